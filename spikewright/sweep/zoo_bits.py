"""What eight and four weight bits cost each model of the zoo: ``python -m spikewright.sweep.zoo_bits``.

A sweep over the shipped recipes, at eight bits, at four, and at four with weights fine-tuned for them; kept and gone on with
as any sweep. Writes ``docs/zoo_bits.md``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..benchmarking.zoo import models
from ..benchmarks.report import units
from ..errors import USER_ERRORS
from ..models.classifier_recipe import CLASSIFIERS
from ..progress import Steps
from ..recipe import load_recipe
from ..workspace import write_text
from .collect import write_results
from .figures import Quality
from .grid import Spec
from .plan import Planned, plan
from .run import Cluster, Result, run, stored
from .store import Store

OUT, FOLDER = Path("docs/zoo_bits.md"), Path("build/zoo-bits")
TUNE, SAMPLES = 300, 500
#: Models whose samples run in no time and differ so much that few of them say little.
MANY = {"esvae": 10_000}
#: Recipes whose weights take more iterations to settle.
LONGER = {"sddpm-mnist": 900}
#: Energy model of the page.
MODEL = "memory"
#: Per cent of a float network's error that a deployment may add.
LIMITS = {(8, 0): 1.0, (4, 0): None, (4, TUNE): 5.0}


def shipped() -> list[str]:
    """Recipes of the zoo whose weights are there, classifiers aside, which are judged by other rules."""
    every = models(full=True, lava=False, folder=FOLDER)
    return [model.name for model in every if model.unit is not None and model.name not in CLASSIFIERS]


def planned(names: Sequence[str], samples: int | None = None) -> list[Planned]:
    """Every point of recipes: at eight bits, at four, and at four with weights fine-tuned for them.

    Parameters
    ----------
    samples : int, optional
        Test samples of each at most; by default :data:`SAMPLES`, or more as :data:`MANY` says.
    """
    found = []
    for name in names:
        own: dict[str, list[Any]] = {"recipe": [name]}
        grids = {**own, "bits": [8], "tune": [0]}, {**own, "bits": [4], "tune": [0, LONGER.get(name, TUNE)]}
        taken = samples or MANY.get(load_recipe(name).model.kind, SAMPLES)
        found += plan(Spec(grids, taken).points(), taken)
    return found


def page(results: Sequence[Result], samples: int | None, command: str) -> str:
    """The page: a row for each model and measure, a column for each way."""
    longer = "".join(f"; {name}: {count}" for name, count in LONGER.items())
    head = ["model, measure", "float", "8 bits", "4 bits", f"4 bits, fine-tuned ({TUNE} iterations{longer})"]
    lines = [
        "# Weight bits of the zoo", "",
        "Written by", "", f"    {command}", "",
        f"Errors of the float networks and of their integer programs on the emulator, over at most {_counted(samples)} test "
        "images (or videos) each, and how much larger an integer program's is. Lower is better throughout. In brackets: the "
        "95 % interval of the change, sample by sample, where samples are judged one by one. A mark says whether a change stays "
        "within 1 % at eight bits, and within 5 % at four once weights are fine-tuned; a question mark: it is larger, but its "
        "interval reaches below that limit, as where a few videos are wholly misread. Energies are those of the model with "
        "memory traffic. A dash: not measured.", "",
        "| " + " | ".join(head) + " |", "| --- | ---: | ---: | ---: | ---: |",
    ]  # fmt: skip
    failures: list[str] = []
    rows: list[list[str]] = []
    for name in dict.fromkeys(r.planned.point.recipe for r in results):
        mine = {_way(r): r for r in results if r.planned.point.recipe == name}
        failures += [f"- {name}, {way[0]} bits: {r.failure.text}" for way, r in mine.items() if r.failure]
        known = {way: r.record.figures for way, r in mine.items() if r.record and r.record.figures}
        if not known:
            rows.append([name, *["–"] * (len(head) - 1)])
            continue
        some = next(iter(known.values()))
        for number, quality in enumerate(some.quality):
            cells = [
                _cell(known[way].quality[number], limit) if way in known else "–"
                for way, limit in LIMITS.items()
            ]
            rows.append([f"{name}, {quality.measure}", units.significant(quality.float_network), *cells])
        twin = some.energy[MODEL].ann_int8_joule
        told = "" if twin is None else f" (its int8 ANN twin: {units.joule(twin)})"
        taken = [units.joule(known[way].energy[MODEL].snn_joule) if way in known else "–" for way in LIMITS]
        rows.append([f"{name}, energy of a sample{told}", "", *taken])
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*lines, "", *(["Failed:", "", *failures, ""] if failures else [])])


def _counted(samples: int | None) -> str:
    if samples is not None:
        return f"{samples:,}"
    return f"{SAMPLES:,} ({', '.join(f'{kind}: {count:,}' for kind, count in MANY.items())})"


def _way(result: Result) -> tuple[int, int]:
    values = result.planned.point.values
    return values["bits"], TUNE if values["tune"] else 0


def _cell(quality: Quality, limit: float | None) -> str:
    if not quality.float_network:
        return units.significant(quality.chip)
    change = 100 * (quality.chip / quality.float_network - 1)
    told, spread = f"{change:+.1f} %".replace("-", "−"), 0.0
    if quality.change_ci95 is not None:
        spread = 100 * quality.change_ci95 / quality.float_network
        told += f" (± {spread:.1f})"
    if limit is None:
        return told
    return f"{told} {'✓' if change <= limit else '?' if change - spread <= limit else '✗'}"


def main(given: Sequence[str] | None = None) -> int:
    """Measure and write the page; the exit status is 1 for bad input or a point that failed."""
    parser = argparse.ArgumentParser(
        prog="python -m spikewright.sweep.zoo_bits", description="Weight bits of the zoo."
    )
    parser.add_argument(
        "recipes", nargs="*", metavar="RECIPE", help="shipped recipes (default: all with weights)"
    )
    parser.add_argument("--samples", type=int, help=f"test samples of each (default: {_counted(None)})")
    parser.add_argument("--workers", type=int, help="processes (default: as many as processors)")
    parser.add_argument("--collect", action="store_true", help="measure nothing: write what is known so far")
    parser.add_argument("--retry-failed", action="store_true", help="measure again what failed")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args(given)
    if any(number is not None and number < 1 for number in (options.samples, options.workers)):
        parser.error("--samples and --workers take numbers from 1")
    try:
        points, store, steps = planned(options.recipes or shipped(), options.samples), Store(FOLDER), Steps()
        with store.locked():
            if options.collect:
                results = stored(points, store, steps.note)
            else:
                where = Cluster(None, options.workers)
                results = run(points, store, where, steps, retry_failed=options.retry_failed)
        write_results(results, max(point.samples for point in points), FOLDER)
    except USER_ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    command = " ".join(["python -m spikewright.sweep.zoo_bits", *options.recipes])
    command += f" --samples {options.samples}" if options.samples else ""
    write_text(options.out, page(results, options.samples, command))
    print(options.out.read_text(encoding="utf-8"))
    return int(any(r.failure is not None for r in results))


if __name__ == "__main__":
    sys.exit(main())
