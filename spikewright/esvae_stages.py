"""The networks of ESVAE: the spiking one, its ANN twin, and the autoencoder behind FAD."""

from __future__ import annotations

import torch
from torch import nn

from .benchmarks.quality import mean_and_interval, reconstruction_error
from .models.ann_vae import ANNVAE, Autoencoder
from .models.data import DatasetInfo
from .models.esvae import ESVAE
from .recipe import ESVAERecipe
from .stage import Samples, Stage, images_of


def _build(kind: type[ESVAE] | type[Autoencoder], recipe: ESVAERecipe, data: DatasetInfo) -> nn.Module:
    return kind(recipe.config(data.channels))


def evaluate(network: nn.Module, samples: Samples, seed: int = 0) -> dict[str, float]:
    """Reconstruction error over a whole test split, and how it was taken."""
    images = samples.inputs
    figures: dict[str, float] = {}
    modes = {"mse_sampled": True, "mse_pass_through": False} if isinstance(network, ESVAE) else {"mse": None}
    for name, sample in modes.items():
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            outputs = []
            for batch in torch.from_numpy(images).split(100):
                outputs.append(network(batch) if sample is None else network(batch, sample=sample).images)
        errors = reconstruction_error(torch.cat(outputs).numpy(), images)
        figures[name], figures[f"{name}_ci95"] = mean_and_interval(errors)
    return {**figures, "images": len(images)}


STAGES: dict[str, Stage] = {
    "snn": Stage(
        "spiking network", "mse", lambda recipe, data: _build(ESVAE, recipe, data), images_of, evaluate
    ),
    "ann": Stage("ANN twin", "mse", lambda recipe, data: _build(ANNVAE, recipe, data), images_of, evaluate),
    "fad": Stage(
        "autoencoder for FAD",
        "mse",
        lambda recipe, data: _build(Autoencoder, recipe, data),
        images_of,
        evaluate,
    ),
}
