"""Dense kernels in floats: every input takes part, spike or not.

Floats are exact while no partial sum leaves the mantissa; the bound is computed for each map.
"""

from __future__ import annotations

import time
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from ...export.linear import Conv2d, Conv3d, ConvTranspose2d, Dense, LinearMap, Sparse, with_weight
from .layout import Layout

Array = NDArray[Any]
Convolution: TypeAlias = Conv2d | Conv3d | ConvTranspose2d
#: Sums that a float type holds exactly.
EXACT = {torch.float32: 1 << 24, torch.float64: 1 << 53}


class FloatKernel:
    """A map in float32 or float64.

    Parameters
    ----------
    map_ : LinearMap
        With int8 weights.
    source, target : Layout
        Orders of inputs and outputs.
    dtype : torch.dtype
        In which the map's sums are exact.
    """

    def __init__(self, map_: LinearMap, source: Layout, target: Layout, dtype: torch.dtype) -> None:
        self.map = in_order(map_, source, target)
        self.weight = torch.from_numpy(np.ascontiguousarray(self.map.weight)).to(dtype)

    def apply(self, raster: Array) -> Array:
        """Sums (steps, outputs) of spikes (steps, inputs)."""
        x = torch.from_numpy(raster)
        if isinstance(self.map, Dense | Sparse):
            return self.map.forward(x.to(self.weight.dtype), self.weight).numpy()
        shape = self.map.input_shape
        last = torch.channels_last if len(shape) == 3 else torch.channels_last_3d
        pictures = x.reshape(-1, *shape[1:], shape[0]).movedim(-1, 1).to(self.weight.dtype)
        if broad(self.map):
            pictures = pictures.contiguous(memory_format=last)
        else:  # a clone, since a picture of one channel counts as contiguous either way
            pictures = pictures.clone(memory_format=torch.contiguous_format)
        y = _convolve(self.map, pictures, self.weight)
        return y.movedim(1, -1).reshape(len(raster), -1).numpy()


def broad(map_: Convolution) -> bool:
    """Whether the sides of what a convolution sees and gives are two and more.

    Where one is not, torch 2.13 may take pictures with their channels last for others of the same strides, and compute
    something else, or write beyond their memory.
    """
    return min(*map_.input_shape[1:], *map_.output_shape[1:]) > 1


def _convolve(map_: Convolution, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    import torch.nn.functional as F

    if isinstance(map_, ConvTranspose2d):
        return F.conv_transpose2d(
            x, weight, None, map_.stride, map_.padding, map_.output_padding, map_.groups, map_.dilation
        )
    convolve: Any = F.conv2d if len(map_.stride) == 2 else F.conv3d
    y: torch.Tensor = convolve(x, weight, None, map_.stride, map_.padding, map_.dilation, map_.groups)
    return y


def in_order(map_: LinearMap, source: Layout, target: Layout) -> LinearMap:
    """A matrix with its rows and columns in the layouts' order; convolutions have theirs already."""
    if isinstance(map_, Dense):
        rows = map_.weight if source.order is None else map_.weight[:, source.order]
        return with_weight(map_, rows if target.order is None else rows[target.order])
    if isinstance(map_, Sparse) and not (source.order is None and target.order is None):
        matrix = map_.matrix(map_.weight).tocsr()
        matrix = matrix if source.order is None else matrix[:, source.order]
        matrix = matrix if target.order is None else matrix[target.order]
        return Sparse.of(matrix.tocsr(), map_.input_shape, map_.output_shape)
    return map_


@cache
def product_rate(kind: str, side: int = 192) -> float:
    """Products a second of a square matrix product on one processor, in ``float32`` or ``float64``."""
    square = torch.ones(side, side, dtype=getattr(torch, kind))
    best, threads = float("inf"), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for _ in range(5):
            began = time.perf_counter()
            torch.mm(square, square)
            best = min(best, time.perf_counter() - began)
    finally:
        torch.set_num_threads(threads)
    return side**3 / best
