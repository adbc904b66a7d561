"""From a trained spiking U-Net to a program that tells the noise in images."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import torch
from torch import Tensor

from .errors import BuildError
from .export.graph import HostStep
from .hardware.noise import LOOK_UP_TIME
from .lowering import Lowered, lower
from .models.guidance import firing_threshold
from .models.spiking_unet import SpikingUNet


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
) -> Lowered:
    """Export, quantise and compile a spiking U-Net, and write every level.

    Parameters
    ----------
    network : SpikingUNet
        Of a build whose tail is linear.
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

    Raises
    ------
    BuildError
        The network's tail is not linear.
    """
    if network.config.build == "faithful":
        raise BuildError(
            f"{name}: the tail of the faithful build has a SiLU, which no synapse computes; train the build 'chip', whose "
            "tail is one convolution"
        )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        samples = network.pack(*network.corrupt(images)).numpy()
        currents = network.time_table().numpy()
    with firing_threshold(network, threshold):
        return lower(
            network, samples, folder, name=name, timesteps=network.config.timesteps, method="step", bits=bits,
            per_channel=per_channel, wide=wide, chip=chip,
            host_steps=[HostStep(LOOK_UP_TIME, "coding_n", {"currents": currents})],
        )  # fmt: skip
