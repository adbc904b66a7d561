"""The two networks in whose features images of a diffusion are judged: an autoencoder and a classifier."""

from __future__ import annotations

import torch
from torch import nn

from .esvae_stages import evaluate
from .models.ann_vae import Autoencoder
from .models.data import DatasetInfo
from .models.feature_classifier import FeatureClassifier
from .recipe import DiffusionRecipe, UNetRecipe
from .stage import Samples, Stage, images_of, labelled_images_of

_BATCH = 100  # samples evaluated together


def evaluate_classifier(network: FeatureClassifier, samples: Samples) -> dict[str, float]:
    """Accuracy over a test split."""
    assert samples.labels is not None
    with torch.no_grad():
        found = [network(batch).argmax(1) for batch in torch.from_numpy(samples.inputs).split(_BATCH)]
    right = torch.cat(found).numpy() == samples.labels
    return {"accuracy": float(right.mean()), "images": len(right)}


def _fad(recipe: DiffusionRecipe | UNetRecipe, data: DatasetInfo) -> nn.Module:
    return Autoencoder(recipe.fad_config(data.channels))


def _classifier(recipe: DiffusionRecipe | UNetRecipe, data: DatasetInfo) -> nn.Module:
    return FeatureClassifier(recipe.data.image, data.channels, data.classes)


FEATURES: dict[str, Stage] = {
    "fad": Stage("autoencoder for FAD", "mse", _fad, images_of, evaluate),
    "classifier": Stage(
        "classifier for features", "accuracy", _classifier, labelled_images_of, evaluate_classifier
    ),
}
