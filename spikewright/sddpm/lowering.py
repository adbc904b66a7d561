"""From a trained spiking U-Net to a program that tells the noise in images."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..deploy_recipe import Residual
from ..export.formats import PAYLOAD_BITS
from ..export.graph import HostStep
from ..hardware.noise import LOOK_UP_TIME, Tail
from ..lowering import Lowered, Tuning, lower
from ..models.guidance import firing_threshold
from ..models.spiking_unet import SpikingUNet


def lower_denoiser(
    network: SpikingUNet,
    images: Tensor,
    folder: Path,
    *,
    name: str = "denoiser",
    threshold: float = 1.0,
    bits: int = 8,
    per_channel: bool = True,
    wide: Collection[str] | None = (),
    chip: str | None = None,
    seed: int = 0,
    tune: Tuning | None = None,
    residual: Residual = "unrolled",
    payload_bits: int = PAYLOAD_BITS,
) -> Lowered:
    """Export, quantise and compile a spiking U-Net, and write every level.

    Parameters
    ----------
    network : SpikingUNet
        The published build without its tail, which is the host's (:func:`host_tail`); others as a whole.
    images : Tensor
        Images (N, C, H, W) in [-1, 1] for calibration; they are seen with noise as in training.
    folder : Path
        Takes ``model.nir``, ``model.int8.nir`` and ``program.npz``.
    threshold : float
        Of all neurons (threshold guidance). It is the program's exactly: weights are quantised for it.
    bits, per_channel, wide, chip
        As in :func:`~spikewright.lowering.lower`.
    seed : int
        Of the noise in calibration.
    tune : Tuning, optional
        Fine-tune weights for their bits, as with :func:`noisy_samples`.
    residual, payload_bits
        The stream between blocks, and bits of its values where relays hand it on.
    """
    samples, _ = noisy_samples(network, images, seed)
    looked_up = {"currents": network.time_table().detach(), **network.noise_tables}
    tables = {name: table.numpy() for name, table in looked_up.items()}
    with firing_threshold(network, threshold), streams(network, residual):
        return lower(
            network, samples, folder, name=name, timesteps=network.config.timesteps, method=one_step(network), bits=bits,
            per_channel=per_channel, wide=wide, chip=chip, tune=tune, payload_bits=payload_bits,
            host_steps=[HostStep(LOOK_UP_TIME, "coding_n", tables)],
        )  # fmt: skip


def streams(network: SpikingUNet, residual: Residual) -> AbstractContextManager[None]:
    """The network with its streams as they are deployed, for whatever traces or steps it meanwhile."""
    return network.relayed() if residual == "graded" else nullcontext()


def noisy_samples(
    network: SpikingUNet, images: Tensor, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Images (N, C, H, W) with noise as in training, packed as the program takes them, and what it should tell (N, pixels)."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        seen, times, noise = network.draw(images)
        return network.pack(seen, times).numpy(), network.aim(images, times, noise).flatten(1).numpy()


def one_step(network: SpikingUNet) -> str:
    """Name of the method whose time step the program computes: without the published tail, which is the host's."""
    return "stream_step" if network.config.build == "faithful" else "step"


def host_tail(network: SpikingUNet) -> Tail | None:
    """The part of a network behind its program, for :class:`~spikewright.hardware.noise.ChipNoise`; None if it has none."""
    if network.config.build != "faithful":
        return None

    def tail(streams: NDArray[np.float64]) -> NDArray[np.float64]:
        with torch.no_grad():
            told = network.tell(torch.from_numpy(streams).float().movedim(1, 0))
        return np.asarray(told.numpy(), np.float64)

    return tail
