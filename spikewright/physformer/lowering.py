"""From a trained Spiking-PhysFormer to a program of its spiking blocks."""

from __future__ import annotations

import copy
from collections.abc import Collection
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..lowering import Lowered, Tuning, lower
from ..models.physformer import SpikingPhysFormer
from ..models.temporal_difference import without_differences

_BATCH = 16  # clips that are embedded together
#: Cells of matrices in a NIR file: convolutions over tokens of three axes, which NIR lacks, would fill gigabytes.
DENSE_LIMIT = 1 << 20


def lower_blocks(
    network: SpikingPhysFormer,
    clips: NDArray[np.float32],
    folder: Path,
    *,
    name: str = "blocks",
    bits: int = 8,
    per_channel: bool = True,
    wide: Collection[str] | None = (),
    chip: str | None = None,
    tune: Tuning | None = None,
) -> Lowered:
    """Export, quantise and compile the spiking blocks of a network, and write every level.

    Parameters
    ----------
    network : SpikingPhysFormer
    clips : ndarray
        Clips (N, 3, frames, H, W) for calibration.
    folder : Path
        Takes ``model.nir``, ``model.int8.nir`` and ``program.npz``.
    bits, per_channel, wide, chip, tune
        As in :func:`~spikewright.lowering.lower`.
    """
    return lower(
        exportable(network), embeddings(network, clips), folder, name=name, timesteps=network.config.timesteps,
        method="step", bits=bits, per_channel=per_channel, wide=wide, chip=chip, tune=tune, dense_limit=DENSE_LIMIT,
    )  # fmt: skip


def exportable(network: SpikingPhysFormer) -> SpikingPhysFormer:
    """A copy with plain convolutions in place of temporal differences."""
    plain = copy.deepcopy(network)
    without_differences(plain)
    return plain.eval()


def embeddings(network: SpikingPhysFormer, clips: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the host writes for clips (N, 3, frames, H, W): embeddings (N, width, tokens in time, height and width)."""
    with torch.no_grad():
        parts = [network.embedding(part.float()).numpy() for part in torch.from_numpy(clips).split(_BATCH)]
    return np.concatenate(parts)
