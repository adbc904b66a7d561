"""How good the integer program is beside the float network and the ANN twin: error of the noise, images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.report.generation import NoiseQuality
from ..generating.made import Made, in_parts, weights_digest
from ..models.epsilon_prediction import EpsilonPrediction, NoisePredictor, held_out_error, predictor
from ..workspace import Workspace
from .evaluators import ChipDenoiser, FloatDenoiser
from .generation import generate
from .system import System

Images = NDArray[np.float32]
Progress = Callable[[int, int], None]
GAP_LIMIT = 1.0  # per cent of the noise's error that quantisation may cost


def noise_quality(
    workspace: Workspace, system: System, count: int, progress: Progress, opened: ChipDenoiser | None = None
) -> NoiseQuality:
    """Error of the noise in the same test images, told by every version.

    Parameters
    ----------
    opened : ChipDenoiser, optional
        One that is open on the emulator already, which has counted the evaluations in the end; by default one is opened.
    """
    images = workspace.test_images[:count]
    chip = opened or ChipDenoiser(system, "emulator")
    try:
        versions: dict[str, NoisePredictor] = {
            "float": FloatDenoiser(system),
            "int8": chip,
            "ann": predictor(_twin(workspace)),
        }
        errors = {
            name: held_out_error(
                told, images, system.schedule,
                report=lambda done, of, index=index: progress(index * of + done, 3 * of),  # type: ignore[misc]
            )
            for index, (name, told) in enumerate(versions.items())
        }  # fmt: skip
    finally:
        if chip is not opened:
            chip.close()
    gap = 100 * (errors["int8"] / errors["float"] - 1)
    return NoiseQuality(
        images=len(images),
        mse_float=errors["float"],
        mse_int8=errors["int8"],
        mse_ann=errors["ann"],
        gap_percent=gap,
        limit_percent=GAP_LIMIT,
        within_limit=gap <= GAP_LIMIT,
    )


def generate_twins(
    workspace: Workspace,
    system: System,
    made: Images,
    folder: Path,
    *,
    seed: int,
    sampling_steps: int | None,
    progress: Progress,
) -> dict[str, Images]:
    """As many images from the float network and from the ANN twin, by the same random numbers; parts are kept in a folder."""
    found, twin = {"int8": made}, _twin(workspace)
    versions: dict[str, tuple[NoisePredictor, EpsilonPrediction]] = {
        "float": (FloatDenoiser(system), system.network),
        "ann": (predictor(twin), twin),
    }
    for index, (name, (told, network)) in enumerate(versions.items()):

        def make(first: int, many: int, done: Progress, told: NoisePredictor = told) -> Made:
            return generate(
                system, told, many, seed=seed, sampling_steps=sampling_steps, first=first,
                report=lambda evaluations, of: done(evaluations * many // of, many),
            )  # fmt: skip

        found[name] = in_parts(
            Made, make, len(made), folder / name, anew=True,
            key={
                "weights": weights_digest(network), "seed": seed, "steps": sampling_steps, "threshold": system.threshold,
            },
            report=lambda done, of, index=index: progress(index * of + done, 2 * of),  # type: ignore[misc]
        ).images  # fmt: skip
    return found


def _twin(workspace: Workspace) -> EpsilonPrediction:
    network = workspace.network("unet_ann")
    assert isinstance(network, EpsilonPrediction)
    return network
