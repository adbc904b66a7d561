"""The diffusion time as a vector: sinusoids and two linear maps, as in DDPM (Ho et al., arXiv 2006.11239)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .initialise import xavier

BASE = 10_000.0  # of the wavelengths (Vaswani et al., arXiv 1706.03762)


def sinusoids(steps: int, width: int) -> Tensor:
    """Table (steps, width): columns 2i and 2i + 1 are sine and cosine of ``t BASE^(-2i / width)``."""
    frequencies = torch.exp(-math.log(BASE) * torch.arange(0, width, 2, dtype=torch.float64) / width)
    angles = torch.arange(steps, dtype=torch.float64)[:, None] * frequencies
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1).float()


class TimeEmbedding(nn.Module):
    """Indices of the diffusion (N,), int64, to vectors (N, 4 width)."""

    def __init__(self, steps: int, width: int) -> None:
        super().__init__()
        self.table: Tensor
        self.register_buffer("table", sinusoids(steps, width), persistent=False)
        self.first, self.last = xavier(nn.Linear(width, 4 * width)), xavier(nn.Linear(4 * width, 4 * width))

    def forward(self, times: Tensor) -> Tensor:
        """Vectors of the indices."""
        vectors: Tensor = self.last(nn.functional.silu(self.first(self.table[times])))
        return vectors


class TimeCurrent(nn.Module):
    """Vectors of the time (N, width) to a current a channel (N, channels), the same for all pixels and time steps."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.linear = xavier(nn.Linear(width, channels))

    def forward(self, vectors: Tensor) -> Tensor:
        """Currents of the vectors."""
        currents: Tensor = self.linear(nn.functional.silu(vectors))
        return currents
