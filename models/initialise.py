"""Initial weights of the denoising networks."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

Affine = TypeVar("Affine", nn.Linear, nn.Conv2d, nn.Conv3d)


def xavier(layer: Affine, gain: float = 1.0) -> Affine:
    """The layer with weights uniform in ``+-gain sqrt(6 / (fan_in + fan_out))`` (Glorot and Bengio 2010) and no bias."""
    nn.init.xavier_uniform_(layer.weight, gain=gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
