"""Threshold guidance measured: ``python -m spikewright.sddpm.threshold_sweep BUILD``.

The published trick samples a trained network with other thresholds. Here every version is judged at every factor by the
same test images and the same random numbers: the float network, the program requantised for the factor, and the program
as it is with all thresholds moved by whole least significant bits, which is what a chip can do without new weights.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ..benchmarks.quality import frechet_distance
from ..errors import USER_ERRORS, BuildError
from ..generating.rows import classifier_distance
from ..models.ann_vae import Autoencoder
from ..models.epsilon_prediction import held_out_error
from ..models.feature_classifier import FeatureClassifier
from ..progress import Steps
from ..recipe import UNetRecipe
from ..workspace import Workspace
from .evaluators import ChipDenoiser, FloatDenoiser
from .generation import generate
from .lowering import lower_denoiser
from .system import System, load_system
from .threshold_page import Point, write_page

SCALES = (0.95, 0.98, 0.99, 0.995, 0.997, 0.998, 0.999, 1.0, 1.001, 1.002, 1.003, 1.005, 1.01, 1.02, 1.05)
BITS = (-4, -2, -1, 0, 1, 2, 4)


@dataclass(frozen=True)
class Judge:
    """What every version is judged by: so many test images, so many generated ones, one seed."""

    workspace: Workspace
    images: int
    count: int

    def point(self, system: System, version: str, factor: float, bits: int | None = None) -> Point:
        """Quality of a system at its thresholds."""
        chip = None if version == "float" else ChipDenoiser(system, "emulator")
        told = chip or FloatDenoiser(system)
        recipe = self.workspace.recipe
        assert isinstance(recipe, UNetRecipe)
        try:
            error = held_out_error(told, self.workspace.test_images[: self.images], system.schedule)
            rate = None if chip is None else chip.rate
            made = generate(
                system, told, self.count, seed=recipe.seed, sampling_steps=recipe.deploy.sampling_steps
            )
        finally:
            told.close()
        real = self.workspace.test_images
        autoencoder, classifier = self.workspace.network("fad"), self.workspace.network("classifier")
        assert isinstance(autoencoder, Autoencoder)
        assert isinstance(classifier, FeatureClassifier)
        with torch.no_grad():
            features = [autoencoder.features(torch.from_numpy(x)).numpy() for x in (made.images, real)]
        return Point(
            version=version,
            factor=factor,
            bits=bits,
            noise_mse=error,
            fad=frechet_distance(*(f.astype(np.float64) for f in features)),
            classifier=classifier_distance(classifier, made.images, real),
            rate=rate,
        )


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


def sweep(judge: Judge, scales: Sequence[float], bits: Sequence[int], steps: Steps) -> Iterator[Point]:
    """All points, the trained thresholds among them."""
    own = load_system(judge.workspace.folder)
    for factor in scales:
        with steps(f"thresholds times {factor:g}"):
            yield judge.point(replace(own, threshold=factor), "float", factor)
            with tempfile.TemporaryDirectory() as folder:
                yield judge.point(rescaled(judge.workspace, factor, Path(folder)), "requantised", factor)
    with tempfile.TemporaryDirectory() as folder:
        trained = rescaled(judge.workspace, 1.0, Path(folder))
    for shift in bits:
        with steps(f"thresholds {shift:+d} bits"):
            yield judge.point(moved(trained, shift), "moved", mean_factor(trained, shift), shift)


def main(given: Sequence[str] | None = None) -> int:
    """Sweep and write the page; the exit status is 1 for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m spikewright.sddpm.threshold_sweep", description="Quality against firing thresholds."
    )
    parser.add_argument("build", type=Path, metavar="BUILD", help="build folder of an SDDPM")
    parser.add_argument("--scales", type=float, nargs="+", default=list(SCALES), help="factors on thresholds")
    parser.add_argument(
        "--bits", type=int, nargs="+", default=list(BITS), help="moves in least significant bits"
    )
    parser.add_argument("--count", type=int, default=1000, help="generated images a point (default: 1000)")
    parser.add_argument("--images", type=int, default=1000, help="test images a point (default: 1000)")
    parser.add_argument("--out", type=Path, default=Path("docs/threshold_guidance.md"))
    options = parser.parse_args(given)
    if options.count < 100 or options.images < 1:
        parser.error("--count takes a number from 100, --images from 1")
    try:
        workspace = Workspace.open(options.build)
        points = list(
            sweep(Judge(workspace, options.images, options.count), options.scales, options.bits, Steps())
        )
    except USER_ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    command = f"python -m spikewright.sddpm.threshold_sweep {options.build} --count {options.count} --images {options.images}"
    write_page(options.out, workspace.recipe.name, command, points, options.count, options.images)
    print(options.out.read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
