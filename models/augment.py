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
