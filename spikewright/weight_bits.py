"""What fewer weight bits cost: ``python -m spikewright.weight_bits BUILD...``.

Every build's float network is quantised anew for each bit width: rounded to the nearest, rounded so that weights make up
for each other's errors, and on request fine-tuned. Each integer program runs on the emulator over the same test samples.
Writes ``docs/weight_bits.md`` and its plot.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .errors import USER_ERRORS, BuildError
from .export.calibration import Calibration
from .export.correct_biases import correct_biases
from .export.fine_tune import Schedule, fine_tune
from .export.float_run import run_float
from .export.graph import Graph
from .export.learned import Learned
from .export.quantise import quantise
from .hardware import host
from .hardware.chip import load_chip
from .hardware.compile import compile_program
from .hardware.emulator import Emulator
from .hardware.evaluation import evaluate
from .hardware.in_the_loop import emulated
from .hardware.program import Program
from .lowering import load
from .models.spiking_unet import SpikingUNet
from .progress import Steps
from .recipe import ESVAERecipe, UNetRecipe
from .sddpm.lowering import noisy_samples
from .workspace import Workspace, write_text

Array = NDArray[np.float32]
BITS = (8, 7, 6, 5, 4, 3, 2)
OUT = Path("docs/weight_bits.md")
#: Float samples at a time, and samples that tuning sees.
TILE, TUNED_ON = 64, 4096
WAYS = {
    "nearest": "rounded to the nearest",
    "compensated": "rounded so that weights make up for each other's errors, biases corrected layer by layer",
    "tuned": "fine-tuned from there",
    "looped": "fine-tuned with the emulator in the loop",
}


@dataclass(frozen=True, eq=False)
class Task:
    """What a network is asked, and what it should say.

    Attributes
    ----------
    what : str
        Name of the error.
    graph : Graph
        The float network.
    calibration, tuning, test : ndarray
        Samples for each purpose; of the test set only the last.
    tuning_targets : ndarray
        What tuning aims at: (samples, neurons).
    targets : ndarray
        What test samples should give, in the units of the program's result.
    """

    what: str
    graph: Graph
    calibration: Array
    tuning: Array
    tuning_targets: Array
    test: Array
    targets: Array

    def of_program(self, program: Program) -> float:
        """Mean squared error of an integer program on the emulator."""
        return self._error(evaluate(Emulator(program), self.test).outputs)

    def of_float(self, program: Program) -> float:
        """Mean squared error of the float network; the program tells what the host does behind it."""
        last = program.populations[-1].name
        told = [
            host.apply_functions(program, last, run.readouts[last].astype(np.float64))
            for first in range(0, len(self.test), TILE)
            for run in [run_float(self.graph, self.test[first : first + TILE])]
        ]
        return self._error(np.concatenate(told))

    def _error(self, told: NDArray[np.floating]) -> float:
        return float(np.square(told.reshape(len(told), -1) - self.targets.reshape(len(told), -1)).mean())


@dataclass(frozen=True)
class Row:
    """Errors at one bit width, by way of quantising."""

    bits: int
    errors: dict[str, float]


@dataclass(frozen=True)
class Section:
    """All that was measured of a build."""

    title: str
    what: str
    count: int
    plain: float
    rows: list[Row]


def task_of(workspace: Workspace, count: int) -> Task:
    """The task of a build's network, judged on so many test images.

    Raises
    ------
    BuildError
        No single error tells how good a network of this system is.
    """
    recipe = workspace.recipe
    graph = load(workspace.folder).float_graph
    train, test = workspace.train_images, workspace.test_images[:count]
    calibration = train[: recipe.quantise.calibration_images]
    if isinstance(recipe, ESVAERecipe):
        shown = train[:TUNED_ON]
        return Task(
            "error of reconstructions", graph, calibration, shown, shown.reshape(len(shown), -1), test, test
        )
    network = workspace.network("unet") if isinstance(recipe, UNetRecipe) else None
    if not isinstance(network, SpikingUNet) or network.config.build == "faithful":
        raise BuildError(
            f"{workspace.folder}: weight bits are compared of ESVAE and of SDDPM without a tail on the host, not of "
            f"{recipe.name}"
        )
    asked = [
        noisy_samples(network, torch.from_numpy(x), seed) for seed, x in enumerate((calibration, train, test))
    ]
    (seen, _), (tuning, aims), (tested, wanted) = asked
    what = f"error of the {network.config.prediction}"
    return Task(what, graph, seen, tuning[:TUNED_ON], aims[:TUNED_ON], tested, wanted)


def measure(
    task: Task,
    bits: Sequence[int],
    *,
    per_channel: bool,
    tune: Mapping[int, Schedule],
    progress: Callable[[str], None],
) -> Iterator[Row]:
    """Errors at each bit width; ``tune`` says which of them weights are fine-tuned for."""
    calibration = Calibration.of(run_float(task.graph, task.calibration))

    def error(name: str, integer: Graph) -> float:
        found = task.of_program(compile_program(integer))
        progress(f"{integer.settings.weight_bits} bits, {name}: {found:.5g}")
        return found

    for width in bits:
        plain = quantise(task.graph, calibration, bits=width, per_channel=per_channel, compensate=False)
        errors = {"nearest": error("nearest", plain)}
        if width < 8:
            learned = Learned(task.graph, calibration, width, per_channel)
            correct_biases(learned, task.calibration)
            errors["compensated"] = error("compensated", learned.quantised())
        for name, chip in (("tuned", None), ("looped", emulated)):
            if width not in tune:
                continue
            tuned = fine_tune(
                task.graph, task.tuning, calibration, targets=task.tuning_targets, bits=width,
                per_channel=per_channel, schedule=tune[width], chip=chip,
            )  # fmt: skip
            errors[name] = error(name, tuned.graph)
        yield Row(width, errors)


def section_of(
    folder: Path, bits: Sequence[int], count: int, tune: Mapping[int, Schedule], steps: Steps
) -> Section:
    """Measure a build."""
    workspace = Workspace.open(folder)
    task = task_of(workspace, count)
    per_channel = workspace.recipe.quantise.per_channel
    if per_channel == "auto":
        per_channel = load_chip(workspace.recipe.deploy.chip).per_neuron_threshold.value
    with steps(f"{workspace.recipe.name}, float"):
        plain = task.of_float(load(folder).program)
    rows = list(measure(task, bits, per_channel=per_channel, tune=tune, progress=steps.note))
    return Section(workspace.recipe.name, task.what, len(task.test), plain, rows)


def page(sections: Sequence[Section], command: str, tune: Mapping[int, Schedule], picture: str) -> str:
    """The page."""
    ways = [way for way in WAYS if any(way in row.errors for s in sections for row in s.rows)]
    lines = [
        "# Weight bits", "", "Written by", "", f"    {command}", "",
        "Change of an integer program's error against the float network's, on the emulator, over the same test samples. "
        "Thresholds are exact integers at every width; decays and biases keep their registers.", "",
        *(f"- {way}: weights {WAYS[way]}." for way in ways), "",
    ]  # fmt: skip
    for schedule in set(tune.values()):
        lines += [
            f"Fine-tuning took {schedule.iterations} iterations of {schedule.batch} training samples; it is kept only "
            "where it lowers the error of held-out ones.",
            "",
        ]
    for section in sections:
        lines += [
            f"## {section.title}", "",
            f"{section.what[0].upper()}{section.what[1:]} over {section.count:,} test samples; float: {section.plain:.4g}.", "",
            f"| bits | {' | '.join(ways)} |", f"| ---: | {' | '.join('---:' for _ in ways)} |",
            *(
                f"| {row.bits} | {' | '.join(_change(row.errors.get(way), section.plain) for way in ways)} |"
                for row in section.rows
            ),
            "",
        ]  # fmt: skip
    return "\n".join([*lines, f"![Error against weight bits]({picture})", ""])


def _change(error: float | None, plain: float) -> str:
    return "–" if error is None else f"{100 * (error / plain - 1):+.1f} %".replace("-", "−")


def draw(sections: Sequence[Section], file: Path) -> None:
    """Error against bits, a panel a build."""
    figure = Figure(figsize=(4.2 * len(sections), 3.4), layout="constrained")
    for section, axes in zip(sections, figure.subplots(1, len(sections), squeeze=False)[0], strict=True):
        for way, marker in zip(WAYS, "ovs^", strict=True):
            found = [(row.bits, row.errors[way] / section.plain) for row in section.rows if way in row.errors]
            if found:
                axes.plot(*zip(*found, strict=True), marker=marker, label=way)
        axes.axhline(1, color="0.5", linewidth=0.8, linestyle=":")
        axes.set(title=section.title, xlabel="weight bits", ylabel=f"{section.what}, float = 1")
        axes.legend(frameon=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=150)


def main(given: Sequence[str] | None = None) -> int:
    """Measure and write the page; the exit status is 1 for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m spikewright.weight_bits", description="Quality against weight bits."
    )
    parser.add_argument(
        "builds", nargs="+", type=Path, metavar="BUILD", help="folders of `spikewright export`"
    )
    parser.add_argument(
        "--bits", type=int, nargs="+", default=list(BITS), help="weight bits (default: 8 to 2)"
    )
    parser.add_argument("--images", type=int, default=1000, help="test images (default: 1000)")
    parser.add_argument("--tune", type=int, default=0, help="iterations of fine-tuning (default: none)")
    parser.add_argument("--tune-at", type=int, nargs="+", default=[4], help="bits to tune for (default: 4)")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args(given)
    if (
        options.images < 1
        or options.tune < 0
        or not all(2 <= b <= 8 for b in (*options.bits, *options.tune_at))
    ):
        parser.error(
            "--images takes a number from 1, --tune one from 0, --bits and --tune-at numbers from 2 to 8"
        )
    tune = {b: Schedule(options.tune) for b in options.tune_at if options.tune}
    try:
        sections = [section_of(b, options.bits, options.images, tune, Steps()) for b in options.builds]
    except USER_ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    command = f"python -m spikewright.weight_bits {' '.join(map(str, options.builds))}"
    command += f" --bits {' '.join(map(str, options.bits))}" if tuple(options.bits) != BITS else ""
    command += f" --images {options.images}" if options.images != 1000 else ""
    command += f" --tune {options.tune}" if options.tune else ""
    command += f" --tune-at {' '.join(map(str, options.tune_at))}" if options.tune_at != [4] else ""
    command += f" --out {options.out}" if options.out != OUT else ""
    picture = options.out.with_suffix(".png")
    draw(sections, picture)
    write_text(options.out, page(sections, command, tune, picture.name))
    print(options.out.read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
