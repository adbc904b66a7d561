"""The networks of Spiking-Diffusion: autoencoder and denoiser, their ANN twins, and two feature spaces."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .benchmarks.quality import mean_and_interval, reconstruction_error
from .feature_stages import FEATURES
from .models.absorbing import elbo, predictor, unigram_bits
from .models.codebook import perplexity
from .models.data import DatasetInfo
from .models.sdid import SDID, Denoiser
from .models.sdid_ann import ANNDenoiser
from .models.vector_quantised import VectorQuantised
from .models.vq_ann import VQVAE
from .models.vq_svae import VQSVAE
from .recipe import DiffusionRecipe
from .stage import Samples, Stage, images_of

if TYPE_CHECKING:
    from .stage import Split
    from .workspace import Workspace

_BATCH = 100  # samples evaluated together


def extract_tokens(network: VQSVAE | VQVAE, images: NDArray[np.float32]) -> NDArray[np.int64]:
    """Token grids (N, h, w) of images (N, C, H, W); every batch starts from rest."""
    with torch.no_grad():
        parts = [network.tokens(batch) for batch in torch.from_numpy(images).split(_BATCH)]
    return torch.cat(parts).numpy()


def _tokens_of(kind: str, workspace: Workspace, split: Split, before: Mapping[str, Path]) -> Samples:
    """Token grids of the data set's images by an autoencoder trained before."""
    network = workspace.load_network(kind, before[kind])
    assert isinstance(network, VQSVAE | VQVAE)
    return Samples(extract_tokens(network, images_of(workspace, split, before).inputs))


def _measure(network: VectorQuantised, images: Tensor, *_: object) -> None:
    network.measure(images)


def evaluate_autoencoder(network: VQSVAE | VQVAE, samples: Samples) -> dict[str, float]:
    """Reconstruction error over a test split; code usage, and spike rates where there are any."""
    images = samples.inputs
    made, tokens = [], []
    fired: dict[str, float] = {}
    with torch.no_grad():
        for batch in torch.from_numpy(images).split(_BATCH):
            if isinstance(network, VQSVAE):
                out = network(batch)
                made.append(out.images)
                tokens.append(out.tokens)
                for name, raster in out.spikes.items():
                    fired[name] = fired.get(name, 0.0) + float(raster.mean()) * len(batch)
            else:
                tokens.append(network.tokens(batch))
                made.append(network.decode(tokens[-1]))
    errors = reconstruction_error(torch.cat(made).numpy(), images)
    figures = dict(zip(("mse", "mse_ci95"), mean_and_interval(errors), strict=True))
    value, used = perplexity(torch.cat(tokens), network.config.codes)
    figures |= {"perplexity": float(value), "used_codes": int(used)}
    rates = {f"rate_{name}": total / len(images) for name, total in fired.items()}
    return {**figures, **rates, "images": len(images)}


def evaluate_denoiser(network: Denoiser, samples: Samples) -> dict[str, float]:
    """Exact bound and masked accuracy over the test tokens, beside what their frequencies alone give."""
    tokens = samples.inputs
    bound = elbo(predictor(network), tokens, network.config.codes)
    figures = {
        "elbo_bits": bound.bits,
        "unigram_bits": unigram_bits(tokens),
        "masked_accuracy": bound.masked_accuracy,
    }
    if isinstance(network, SDID):
        fired: dict[str, float] = {}
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for batch in torch.from_numpy(tokens).split(_BATCH):
                for name, raster in network.spikes(network.corrupt(batch)).items():
                    fired[name] = fired.get(name, 0.0) + float(raster.mean()) * len(batch)
        figures |= {f"rate_{name}": total / len(tokens) for name, total in fired.items()}
    return {**figures, "images": len(tokens)}


def _vq(recipe: DiffusionRecipe, data: DatasetInfo) -> nn.Module:
    return VQSVAE(recipe.vq_config(data.channels))


def _vq_ann(recipe: DiffusionRecipe, data: DatasetInfo) -> nn.Module:
    return VQVAE(recipe.vq_config(data.channels))


def _sdid(recipe: DiffusionRecipe, data: DatasetInfo) -> nn.Module:
    return SDID(recipe.sdid_config(data.channels))


def _sdid_ann(recipe: DiffusionRecipe, data: DatasetInfo) -> nn.Module:
    return ANNDenoiser(recipe.sdid_config(data.channels))


#: In order of training: a denoiser learns the tokens of the autoencoder before it.
STAGES: dict[str, Stage] = {
    "vq": Stage("spiking autoencoder", "mse", _vq, images_of, evaluate_autoencoder, _measure),
    "sdid": Stage("spiking denoiser", "bits", _sdid, partial(_tokens_of, "vq"), evaluate_denoiser),
    "vq_ann": Stage("autoencoder's ANN twin", "mse", _vq_ann, images_of, evaluate_autoencoder, _measure),
    "sdid_ann": Stage(
        "denoiser's ANN twin", "bits", _sdid_ann, partial(_tokens_of, "vq_ann"), evaluate_denoiser
    ),
    **FEATURES,
}
