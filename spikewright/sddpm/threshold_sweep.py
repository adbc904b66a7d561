"""Threshold guidance measured: ``python -m spikewright.sddpm.threshold_sweep BUILD``.

The published trick samples a trained network with other thresholds. Here every version is judged at every factor by the
same test images and the same random numbers: the float network, the program requantised for the factor, and the program
as it is with all thresholds moved by whole least significant bits, which is what a chip can do without new weights. The
best point of each version is chance in part, so it is judged once more with other seeds.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..benchmarks.quality import frechet_distance, mean_and_interval
from ..errors import USER_ERRORS, BuildError
from ..generating.made import digest
from ..generating.rows import classifier_distance
from ..models.ann_vae import Autoencoder
from ..models.epsilon_prediction import held_out_error
from ..models.feature_classifier import FeatureClassifier
from ..progress import Step, Steps
from ..recipe import UNetRecipe
from ..workspace import Workspace
from .evaluators import ChipDenoiser, FloatDenoiser
from .generation import generate_in_parts
from .lowering import lower_denoiser
from .system import System, load_system
from .threshold_page import Again, Point, Sweep, best, trained, write_page

Images = NDArray[np.float32]
SCALES = (0.95, 0.99, 0.997, 1.0, 1.003, 1.01, 1.05)
BITS = (-2, -1, 0, 1, 2)
FEWEST = 100  # generated images; a classifier has 64 features


@dataclass(frozen=True)
class Judge:
    """What every version is judged by: so many test images, so many generated ones."""

    workspace: Workspace
    images: int
    count: int

    @property
    def recipe(self) -> UNetRecipe:
        """The build's."""
        recipe = self.workspace.recipe
        assert isinstance(recipe, UNetRecipe)
        return recipe

    @property
    def folder(self) -> Path:
        """Takes generated images until the page is written: a sweep that was killed goes on there."""
        return self.workspace.folder / "thresholds"

    @cached_property
    def _features(self) -> tuple[Autoencoder, FeatureClassifier]:
        autoencoder, classifier = self.workspace.network("fad"), self.workspace.network("classifier")
        assert isinstance(autoencoder, Autoencoder)
        assert isinstance(classifier, FeatureClassifier)
        return autoencoder, classifier

    def distances(self, made: Images) -> tuple[float, float]:
        """Frechet distances of images to all test images, in an autoencoder's features and in a classifier's."""
        real = self.workspace.test_images
        autoencoder, classifier = self._features
        with torch.no_grad():
            features = [autoencoder.features(torch.from_numpy(x)).numpy() for x in (made, real)]
        by_classifier = classifier_distance(classifier, made, real)
        assert by_classifier is not None  # there are more images than features: FEWEST
        return frechet_distance(*(f.astype(np.float64) for f in features)), by_classifier

    def generated(self, system: System, version: str, seed: int, step: Step) -> Images:
        """Images of a seed, kept until the page is written."""
        backend = "float" if version == "float" else "emulator"
        program = digest((system.denoiser,), backend)
        return generate_in_parts(
            system, backend, self.count, self.folder / f"{backend}-{program}-{system.threshold:g}-{seed}",
            seed=seed, sampling_steps=self.recipe.deploy.sampling_steps, report=step.update,
        ).images  # fmt: skip

    def point(self, system: System, version: str, factor: float, bits: int | None, step: Step) -> Point:
        """Quality of a system at its thresholds."""
        chip = None if version == "float" else ChipDenoiser(system, "emulator")
        told = chip or FloatDenoiser(system)
        try:
            error = held_out_error(told, self.workspace.test_images[: self.images], system.schedule)
            rate = None if chip is None else chip.rate
        finally:
            told.close()
        fad, by_classifier = self.distances(self.generated(system, version, self.recipe.seed, step))
        return Point(version, factor, bits, noise_mse=error, fad=fad, classifier=by_classifier, rate=rate)


def rescaled(workspace: Workspace, factor: float, folder: Path) -> System:
    """The system requantised for a factor, in a folder of its own."""
    there = load_system(workspace.folder)
    recipe = workspace.recipe
    assert isinstance(recipe, UNetRecipe)
    images = torch.from_numpy(workspace.train_images[: recipe.quantise.calibration_images])
    per_channel = any(len(set(p.scale)) > 1 for p in there.denoiser.program.populations)
    lowered = lower_denoiser(
        there.network, images, folder, name=recipe.name, threshold=factor, bits=recipe.quantise.bits,
        per_channel=per_channel, chip=recipe.deploy.chip, residual=there.residual,
        payload_bits=recipe.deploy.payload_bits,
    )  # fmt: skip
    return System(lowered, there.network, factor, there.residual)


def moved(system: System, bits: int) -> System:
    """The same program with all firing thresholds moved by whole least significant bits.

    Raises
    ------
    BuildError
        A threshold would not stay above zero.
    """
    populations, firing = [], {p.name for p in system.firing}
    for p in system.denoiser.program.populations:
        threshold = p.threshold if p.name not in firing else p.threshold + bits
        if p.name in firing and (threshold <= 0).any():
            raise BuildError(f"{p.name}: a threshold of {p.threshold.min()} cannot be moved by {bits}")
        populations.append(replace(p, threshold=threshold))
    program = replace(system.denoiser.program, populations=tuple(populations))
    return replace(system, denoiser=replace(system.denoiser, program=program))


def mean_factor(system: System, bits: int) -> float:
    """What moving thresholds by so many bits means as a factor, mean over neurons."""
    values = np.concatenate([p.threshold for p in system.firing])
    return float(((values + bits) / values).mean())


def system_at(workspace: Workspace, version: str, factor: float, bits: int | None) -> System:
    """A version at a threshold."""
    if version == "float":
        return replace(load_system(workspace.folder), threshold=factor)
    with tempfile.TemporaryDirectory() as folder:
        found = rescaled(workspace, factor if bits is None else 1.0, Path(folder))
    return found if bits is None else moved(found, bits)


def sweep(judge: Judge, scales: Sequence[float], bits: Sequence[int], steps: Steps) -> Iterator[Point]:
    """All points, the trained thresholds among them."""
    workspace = judge.workspace
    for factor in scales:
        for version in ("float", "requantised"):
            with steps(f"{version}, thresholds times {factor:g}") as step:
                yield judge.point(system_at(workspace, version, factor, None), version, factor, None, step)
    own = system_at(workspace, "requantised", 1.0, None)
    for shift in bits:
        with steps(f"thresholds {shift:+d} bits") as step:
            yield judge.point(moved(own, shift), "moved", mean_factor(own, shift), shift, step)


def once_more(judge: Judge, points: Sequence[Point], seeds: Sequence[int], steps: Steps) -> Iterator[Again]:
    """Each version's best point beside its trained threshold, with seeds that played no part in the choice."""

    def measured(point: Point) -> list[tuple[float, float]]:
        system = system_at(judge.workspace, point.version, point.factor, point.bits)
        found = []
        for seed in seeds:
            with steps(f"{point.version}, thresholds times {point.factor:.4f}, seed {seed}") as step:
                found.append(judge.distances(judge.generated(system, point.version, seed, step)))
        return found

    for version in dict.fromkeys(p.version for p in points):
        own = trained(points, version)
        if own is None:
            continue
        before = np.array(measured(own))
        chosen = best(points, version)
        after = before if chosen is own else np.array(measured(chosen))
        change = 100 * (after / before - 1)
        yield Again(
            version=version,
            fad=(float(before[:, 0].min()), float(before[:, 0].max())),
            classifier=(float(before[:, 1].min()), float(before[:, 1].max())),
            fad_change=mean_and_interval(change[:, 0]),
            classifier_change=mean_and_interval(change[:, 1]),
        )


def main(given: Sequence[str] | None = None) -> int:
    """Sweep and write the page; the exit status is 1 for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m spikewright.sddpm.threshold_sweep",
        description="Quality against firing thresholds. A sweep that was killed goes on where it was.",
    )
    parser.add_argument("build", type=Path, metavar="BUILD", help="build folder of an SDDPM")
    parser.add_argument("--scales", type=float, nargs="+", default=list(SCALES), help="factors on thresholds")
    parser.add_argument(
        "--bits", type=int, nargs="+", default=list(BITS), help="moves in least significant bits"
    )
    parser.add_argument("--count", type=int, default=400, help="generated images a point (default: 400)")
    parser.add_argument("--images", type=int, default=1000, help="most test images a point (default: 1000)")
    parser.add_argument(
        "--seeds", type=int, default=4, help="other seeds for the best point of each version (default: 4)"
    )
    parser.add_argument("--out", type=Path, default=Path("docs/threshold_guidance.md"))
    options = parser.parse_args(given)
    if options.count < FEWEST or options.images < 1 or options.seeds < 2:
        parser.error(f"--count takes a number from {FEWEST}, --images from 1, --seeds from 2")
    if min(options.scales) <= 0:
        parser.error("--scales takes numbers above 0")
    try:
        workspace, steps = Workspace.open(options.build), Steps()
        own = load_system(options.build)
        if workspace.recipe.quantise.tune:
            raise BuildError(
                f"{options.build}: its weights were fine-tuned, which guidance is not; export it without --tune"
            )
        moved(own, min(options.bits))  # refuses what cannot be moved so far, ahead of the sweep
        judge = Judge(workspace, min(options.images, len(workspace.test_images)), options.count)
        points = list(sweep(judge, options.scales, options.bits, steps))
        seed = workspace.recipe.seed
        again = list(once_more(judge, points, range(seed + 1, seed + 1 + options.seeds), steps))
        found = Sweep(
            name=workspace.recipe.name,
            command=f"python -m spikewright.sddpm.threshold_sweep {shlex.join(sys.argv[1:] if given is None else given)}",
            points=points,
            again={a.version: a for a in again},
            floors=judge.distances(workspace.train_images[: options.count]),
            thresholds=np.concatenate([p.threshold for p in own.firing]),
            sampling_steps=judge.recipe.deploy.sampling_steps,
            count=options.count,
            images=judge.images,
            seeds=options.seeds,
        )
    except USER_ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    write_page(options.out, found)
    shutil.rmtree(judge.folder)
    print(options.out.read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
