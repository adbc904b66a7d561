"""Ways to put the analogue residual stream on a chip, beside each other: ``python -m spikewright.sddpm.comparing_builds BUILD...``.

Each folder holds the report of one deployed build of the U-Net; all are of one data set. What is compared is what the
reports measured: quality, size, operations and energy of an evaluation. Writes ``docs/unet_builds.md``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ..benchmarks.report.generation import Generation
from ..benchmarks.report.schema import Report
from ..benchmarks.report.units import count, joule, significant
from ..benchmarks.report.write import read_report
from ..errors import USER_ERRORS, BuildError
from ..workspace import write_text

#: Builds as the page names them, and what it says of each.
TITLES = {
    "faithful": "as published: composed shortcuts, SiLU tail on the host",
    "chip": "composed shortcuts, linear tail on the chip",
    "lean": "shortcuts from spikes, linear tail on the chip",
    "faithful, graded": "as published, the stream in relays that send its values; SiLU tail on the host",
    "chip, graded": "the stream in relays that send its values, linear tail on the chip",
}
OPENING = [
    "# Builds of the U-Net",
    "",
    "Between two of its blocks SDDPM passes an analogue stream on, which no spike holds. Three ways around it: the stream is a",
    "linear function of earlier spikes, so its shortcuts can be composed into synapses (nothing changes, synapses are added);",
    "or shortcuts read the spikes at the block's entrance (fewest synapses, another network, trained as such); or, on a chip",
    "with graded spikes, relays hold the stream and send its values, rounded, at every step (nothing is composed, but each",
    "value is a message and multiplies the weights that it meets).",
    "",
    "Written by",
    "",
]


def rows(reports: Sequence[tuple[str, Report, Generation]]) -> list[tuple[str, ...]]:
    """One row a measure, a cell a build."""

    def row(title: str, cell: Callable[[Report, Generation], str]) -> tuple[str, ...]:
        return (title, *(cell(report, made) for _, report, made in reports))

    def mse(version: str) -> Callable[[Report, Generation], str]:
        def cell(report: Report, made: Generation) -> str:
            value = None if made.noise is None else getattr(made.noise, f"mse_{version}")
            return "–" if value is None else f"{value:.4f}"

        return cell

    def sample(version: str, name: str) -> Callable[[Report, Generation], str]:
        def cell(report: Report, made: Generation) -> str:
            value = getattr(made.samples[version], name)
            return "–" if value is None else significant(value)

        return cell

    def floor(name: str) -> Callable[[Report, Generation], str]:
        def cell(report: Report, made: Generation) -> str:
            value = getattr(made.floors, name)
            return "–" if value is None else significant(value)

        return cell

    found = [
        row(f"error of the noise, {title}", mse(version))
        for version, title in (("float", "float SNN"), ("int8", "chip"), ("ann", "ANN twin"))
    ]
    for name, measure in (("fad", "FAD"), ("classifier_frechet", "classifier distance")):
        for version, title in (("float", "float SNN"), ("int8", "chip"), ("ann", "ANN twin")):
            found.append(row(f"{measure}, {title}", sample(version, name)))
        found.append(row(f"{measure}, real training images", floor(name)))
    found += [
        row("neurons, relays among them", lambda report, made: count(report.totals.neurons)),
        row("synapses", lambda report, made: count(report.totals.synapses)),
        row(
            "cores",
            lambda report, made: "–" if report.fit.cores_placed is None else count(report.fit.cores_placed),
        ),
        row(
            "steps from an evaluation's begin to its read-out",
            lambda report, made: count(made.programs[0].latency_steps),
        ),
        row(
            "spikes an evaluation", lambda report, made: count(round(report.totals.spikes / made.evaluations))
        ),
        row(
            "synaptic operations an evaluation",
            lambda report, made: count(round(report.totals.sops / made.evaluations)),
        ),
        row(
            "of them multiplications by graded spikes",
            lambda report, made: count(round(report.totals.graded_sops / made.evaluations)),
        ),
        row(
            "payload of graded spikes delivered an evaluation, kbit",
            lambda report, made: count(round(report.totals.payload_bits / made.evaluations / 1000)),
        ),
        row("steps from the image to the read-out", lambda report, made: count(depth(report))),
        row(
            "host, multiply-accumulates an evaluation",
            lambda report, made: count(round(made.host_macs / made.evaluations)),
        ),
        row(
            "state words read an evaluation",
            lambda report, made: count(round(made.exchange.state_words_read / made.evaluations)),
        ),
    ]
    kinds = [part.title for part in reports[0][2].evaluation_energy or []]
    for index, title in enumerate(kinds):

        def cell(report: Report, made: Generation, index: int = index) -> str:
            return joule((made.evaluation_energy or [])[index].snn_joule)

        found.append(row(f"energy of an evaluation: {title[0].lower()}{title[1:]}", cell))
    return found


def build_name(report: Report) -> str:
    """The build of a report, as :data:`TITLES` has it."""
    build = str(report.recipe["model"]["build"])
    return f"{build}, graded" if report.recipe.get("deploy", {}).get("residual") == "graded" else build


def depth(report: Report) -> int:
    """Latest start of a population."""
    return max(layer.start for layer in report.layers)


def _conditions(report: Report, made: Generation) -> dict[str, object]:
    """What has to be the same for figures to be compared, as errors name it."""
    assert made.sampler is not None
    return {
        "data set": report.dataset,
        "chip": report.chip,
        "number of weight bits": report.weight_bits,
        "number of generated images": report.samples.generated,
        "sampler": f"{made.sampler.steps} steps of {made.sampler.rule}",
        "factor on thresholds": made.sampler.threshold,
    }


def page(folders: Sequence[Path], command: str) -> str:
    """The page.

    Raises
    ------
    BuildError
        A folder is of another system than SDDPM, or was deployed under other conditions than the first.
    """
    found: list[tuple[str, Report, Generation]] = []
    for folder in folders:
        report = read_report(folder / "report.json")
        made = report.generation
        if made is None or made.sampler is None:
            raise BuildError(f"{folder}: its report is of {report.model}, which is no SDDPM")
        found.append((build_name(report), report, made))
        own, others = _conditions(report, made), _conditions(*found[0][1:])
        for what, value in own.items():
            if value != others[what]:
                raise BuildError(f"{folder}: its {what} is {value}, that of {folders[0]} is {others[what]}")
    first, made = found[0][1:]
    assert made.sampler is not None
    lines = [
        *OPENING,
        f"    {command}",
        "",
        f"Data set {first.dataset}, {first.weight_bits}-bit weights, {count(first.samples.generated)} images of "
        f"{made.sampler.steps} steps of {made.sampler.rule.upper()}, {count(first.samples.quality)} test images for the error of the noise, whose "
        "variance is 1. Every build was trained once, by the same recipe; how far two trainings of one build lie apart is not known.",
        "",
        *(f"- {build}: {TITLES[build]}." for build, _, _ in found),
        "",
        f"| | {' | '.join(build for build, _, _ in found)} |",
        f"| --- | {' | '.join('---:' for _ in found)} |",
        *(f"| {' | '.join(cells)} |" for cells in rows(found)),
    ]
    return "\n".join(lines) + "\n"


def main(given: Sequence[str] | None = None) -> int:
    """Compare and write the page; the exit status is 1 for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m spikewright.sddpm.comparing_builds",
        description="Builds of the U-Net beside each other.",
    )
    parser.add_argument("builds", nargs="+", type=Path, metavar="BUILD", help="folders with report.json")
    parser.add_argument("--out", type=Path, default=Path("docs/unet_builds.md"))
    options = parser.parse_args(given)
    command = f"python -m spikewright.sddpm.comparing_builds {' '.join(map(str, options.builds))}"
    try:
        text = page(options.builds, command)
    except USER_ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    write_text(options.out, text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
