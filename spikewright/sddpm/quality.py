"""How good the integer program is beside the float network and the ANN twin: error of the noise, images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.report.generation import NoiseQuality
from ..models.epsilon_prediction import EpsilonPrediction, NoisePredictor, held_out_error, predictor
from ..workspace import Workspace
from .evaluators import ChipDenoiser, FloatDenoiser
from .generation import generate
from .system import System

Images = NDArray[np.float32]
Progress = Callable[[int, int], None]
GAP_LIMIT = 1.0  # per cent of the noise's error that quantisation may cost


def noise_quality(workspace: Workspace, system: System, count: int, progress: Progress) -> NoiseQuality:
    """Error of the noise in the same test images, told by every version."""
    images = workspace.test_images[:count]
    chip = ChipDenoiser(system, "emulator")
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
    *,
    seed: int,
    sampling_steps: int | None,
    progress: Progress,
) -> dict[str, Images]:
    """As many images from the float network and from the ANN twin, by the same random numbers."""
    found = {"int8": made}
    versions: dict[str, NoisePredictor] = {
        "float": FloatDenoiser(system),
        "ann": predictor(_twin(workspace)),
    }
    for index, (name, told) in enumerate(versions.items()):
        found[name] = generate(
            system, told, len(made), seed=seed, sampling_steps=sampling_steps,
            report=lambda done, of, index=index: progress(index * of + done, 2 * of),  # type: ignore[misc]
        ).images  # fmt: skip
    return found


def _twin(workspace: Workspace) -> EpsilonPrediction:
    network = workspace.network("unet_ann")
    assert isinstance(network, EpsilonPrediction)
    return network
