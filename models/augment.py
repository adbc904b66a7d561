"""Random changes of training samples; every draw comes from torch's generator, which checkpoints hold."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def shifted(samples: Tensor, most: int) -> Tensor:
    """Samples (N, T, C, H, W), each moved by its own whole number of pixels, up to ``most`` along both axes.

    What leaves the frame is lost.
    """
    height, width = samples.shape[-2:]
    padded = nn.functional.pad(samples, (most,) * 4)
    out = torch.empty_like(samples)
    for index, (y, x) in enumerate(torch.randint(0, 2 * most + 1, (len(samples), 2)).tolist()):
        out[index] = padded[index, ..., y : y + height, x : x + width]
    return out


def thinned(samples: Tensor, drop: float) -> Tensor:
    """Samples of 0 and 1 in which each spike is left out with probability ``drop``."""
    return samples * (torch.rand(samples.shape) >= drop).to(samples.device)


def jittered(samples: Tensor, shift: float, spread: float, drop: float) -> Tensor:
    """Samples (N, T, channels) of 0 and 1 with their spikes moved in time and some left out.

    Parameters
    ----------
    shift : float
        A sample moves as a whole by up to so many steps, earlier or later.
    spread : float
        Standard deviation in steps by which each spike moves besides.
    drop : float
        Probability that a spike is left out.

    Returns
    -------
    Tensor
        Same shape; spikes that leave the sample's steps are lost, and those that meet become one.
    """
    sample, step, channel = samples.nonzero(as_tuple=True)
    moved = shift * (2 * torch.rand(len(samples)) - 1)[sample.cpu()] + spread * torch.randn(len(sample))
    kept = (torch.rand(len(sample)) >= drop).to(samples.device)
    step = (step + moved.to(samples.device)).round().long()
    kept &= (step >= 0) & (step < samples.shape[1])
    out = torch.zeros_like(samples)
    out[sample[kept], step[kept], channel[kept]] = 1
    return out
