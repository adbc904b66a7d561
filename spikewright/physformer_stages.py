"""The networks of a Spiking-PhysFormer: itself and its ANN twin."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from .models.physformer import SpikingPhysFormer
from .models.physformer_ann import PhysFormer
from .models.pulse_losses import PulseLoss, negative_pearson
from .models.pulse_network import FPS, PulseNetwork
from .models.recipe import PulseData
from .physformer.data import Video, recordings
from .recipe import PulseRecipe
from .stage import Samples, Split, Stage

if TYPE_CHECKING:
    from .workspace import Workspace

_BATCH = 16  # clips evaluated together
MOST_VIDEOS = 40  # test videos that a network is judged on after its training


def clips_of(workspace: Workspace, split: Split, before: Mapping[str, Path]) -> Samples:
    """Clips (N, 3, frames, H, W) in half precision, which holds what 8-bit frames tell, and waves (N, frames).

    Clips lie in a file that goes with the array: a thousand videos of half a minute take 6 GB.
    """
    return _in_a_file(
        recordings(
            _data(workspace), split, workspace.recipe.train_seed, MOST_VIDEOS if split == "test" else None
        )
    )


def clips_of_epochs(workspace: Workspace) -> Callable[[int], Samples] | None:
    """What computes the training clips of an epoch after the first, where the recipe wants them renewed."""
    data = _data(workspace)
    if not data.renewed:
        return None

    def clips(epoch: int) -> Samples:
        subjects = range(epoch * data.train_videos, (epoch + 1) * data.train_videos)
        return _in_a_file(recordings(data, "train", workspace.recipe.train_seed, chosen=subjects))

    return clips


def _data(workspace: Workspace) -> PulseData:
    data = workspace.recipe.data
    assert isinstance(data, PulseData)
    return data


def _in_a_file(videos: Iterable[Video]) -> Samples:
    labels = []
    with TemporaryFile() as file:
        for video in videos:
            video.clips.astype(np.float16).tofile(file)
            labels.append(video.labels)
        file.flush()
        inputs = np.memmap(file, np.float16, "r+", shape=(sum(map(len, labels)), *video.clips.shape[1:]))
    return Samples(inputs, np.concatenate(labels))


def evaluate_network(network: PulseNetwork, samples: Samples) -> dict[str, float]:
    """Correlation of the predicted waves' differences with the labels', by clip, and spike rates where there are any."""
    assert samples.labels is not None
    fired: dict[str, float] = {}
    loss = 0.0
    with torch.no_grad():
        for first in range(0, len(samples.inputs), _BATCH):
            batch = torch.from_numpy(samples.inputs[first : first + _BATCH])
            waves, rasters = network.predict(batch)
            labels = torch.from_numpy(samples.labels[first : first + _BATCH])
            loss += float(negative_pearson(waves, labels)) * len(batch)
            for name, raster in rasters.items():
                fired[name] = fired.get(name, 0.0) + float(raster.mean()) * len(batch)
    count = len(samples.inputs)
    rates = {f"rate_{name}": total / count for name, total in fired.items()}
    return {"correlation": 1 - loss / count, **rates, "clips": count}


def _criterion(recipe: PulseRecipe) -> PulseLoss:
    return PulseLoss(FPS, **recipe.train.loss.model_dump())


def _physformer(recipe: PulseRecipe, data: Any) -> nn.Module:
    return SpikingPhysFormer(recipe.config(), _criterion(recipe))


def _physformer_ann(recipe: PulseRecipe, data: Any) -> nn.Module:
    return PhysFormer(recipe.config(), _criterion(recipe))


STAGES: dict[str, Stage] = {
    "physformer": Stage(
        "Spiking-PhysFormer", "pearson", _physformer, clips_of, evaluate_network, renewed=clips_of_epochs
    ),
    "physformer_ann": Stage(
        "ANN twin", "pearson", _physformer_ann, clips_of, evaluate_network, renewed=clips_of_epochs
    ),
}
