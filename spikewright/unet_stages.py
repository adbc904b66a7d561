"""The networks of SDDPM: the spiking U-Net, its ANN twin, and two feature spaces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .feature_stages import FEATURES
from .models.data import DatasetInfo
from .models.epsilon_prediction import EpsilonPrediction, held_out_error, predictor
from .models.noise_schedule import NoiseSchedule
from .models.spiking_unet import SpikingUNet
from .models.unet_ann import UNet
from .models.unet_start import start_from_twin
from .recipe import UNetRecipe
from .stage import Samples, Stage, images_of

if TYPE_CHECKING:
    from .workspace import Workspace

_BATCH = 100  # images evaluated together
MOST_IMAGES = 2000  # test images that a network is judged on after its training


def evaluate_network(network: EpsilonPrediction, samples: Samples) -> dict[str, float]:
    """Error of the noise in test images, and spike rates where there are any."""
    images = samples.inputs[:MOST_IMAGES]
    schedule = NoiseSchedule(network.config.diffusion_steps)
    figures: dict[str, float] = {"noise_mse": held_out_error(predictor(network), images, schedule)}
    fired: dict[str, float] = {}
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for batch in torch.from_numpy(images).split(_BATCH):
            for name, raster in network.predict(*network.corrupt(batch))[1].items():
                fired[name] = fired.get(name, 0.0) + float(raster.mean()) * len(batch)
    figures |= {f"rate_{name}": total / len(images) for name, total in fired.items()}
    return {**figures, "images": len(images)}


def _unet(recipe: UNetRecipe, data: DatasetInfo) -> nn.Module:
    return SpikingUNet(recipe.config(data.channels))


def _unet_ann(recipe: UNetRecipe, data: DatasetInfo) -> nn.Module:
    return UNet(recipe.config(data.channels))


def _begin(network: SpikingUNet, samples: Tensor, workspace: Workspace, before: Mapping[str, Path]) -> None:
    recipe = workspace.recipe
    assert isinstance(recipe, UNetRecipe)
    if recipe.train.start == "twin":
        twin = workspace.load_network("unet_ann", before["unet_ann"])
        assert isinstance(twin, UNet)
        start_from_twin(network, twin, samples)


STAGES: dict[str, Stage] = {
    "unet_ann": Stage("ANN twin", "mse", _unet_ann, images_of, evaluate_network),
    "unet": Stage("spiking U-Net", "mse", _unet, images_of, evaluate_network, _begin),
    **FEATURES,
}
