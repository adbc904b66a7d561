"""Dense kernels: every input takes part, spike or not, in the fastest arithmetic that is exact for the map.

Floats are exact while no partial sum leaves the mantissa; the bound is computed for each map. Eight-bit products into
32 bits are exact for spikes up to 127, unless the processor's instructions saturate half-way, which a probe finds out.
"""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...export.linear import Conv2d, Conv3d, ConvTranspose2d, Dense, LinearMap, Sparse, with_weight
from .layout import Layout

Array = NDArray[Any]
#: Sums that a float type holds exactly.
EXACT = {torch.float32: 1 << 24, torch.float64: 1 << 53}
INT8_PEAK = 127


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
        pictures = x.reshape(-1, *shape[1:], shape[0]).movedim(-1, 1)
        y = _convolve(self.map, pictures.to(self.weight.dtype).contiguous(memory_format=last), self.weight)
        return y.movedim(1, -1).reshape(len(raster), -1).numpy()


def _convolve(map_: Conv2d | Conv3d | ConvTranspose2d, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
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


class IntegerKernel:
    """A dense map or an ungrouped two-dimensional convolution in int8: its patches gathered, then one matrix product."""

    def __init__(self, map_: Dense | Conv2d, source: Layout, target: Layout) -> None:
        self.map = in_order(map_, source, target)
        weight = self.map.weight
        if weight.ndim == 4:
            weight = weight.transpose(0, 2, 3, 1)
        self.weight = torch.from_numpy(np.ascontiguousarray(weight.reshape(len(weight), -1))).t()

    @staticmethod
    def takes(map_: LinearMap, peak: int) -> bool:
        """Whether the map has this form."""
        plain = isinstance(map_, Dense) or (isinstance(map_, Conv2d) and map_.groups == 1)
        # With a fan-in of one, torch 2.13 on a processor with 8-bit products hands back memory that it never wrote.
        return plain and map_.weight[0].size > 1 and peak <= INT8_PEAK and int8_is_exact()

    def apply(self, raster: Array) -> Array:
        """Sums (steps, outputs) of spikes (steps, inputs)."""
        x = torch.from_numpy(raster).view(torch.int8)
        patches = x.contiguous() if isinstance(self.map, Dense) else self._patches(x)
        count = len(patches)
        if count < _FEWEST_ROWS:
            patches = torch.cat([patches, patches.new_zeros(_FEWEST_ROWS - count, patches.shape[1])])
        y: torch.Tensor = torch._int_mm(patches, self.weight)  # type: ignore[attr-defined]
        return y[:count].reshape(len(raster), -1).numpy()

    def _patches(self, x: torch.Tensor) -> torch.Tensor:
        """(steps x pixels, taps x channels): what each output sees."""
        assert isinstance(self.map, Conv2d)
        (channels, height, width), (down, across) = self.map.input_shape, self.map.padding
        picture = x.reshape(-1, height, width, channels)
        picture = torch.nn.functional.pad(picture, (0, 0, across, across, down, down))
        _, out_height, out_width = self.map.output_shape
        step, row, column, _ = picture.stride()
        shape = (len(picture), out_height, out_width, *self.map.weight.shape[2:], channels)
        (sy, sx), (dy, dx) = self.map.stride, self.map.dilation
        seen = picture.as_strided(shape, (step, sy * row, sx * column, dy * row, dx * column, 1))
        return seen.reshape(-1, int(np.prod(self.map.weight.shape[1:])))


@cache
def product_rate(kind: str, side: int = 192) -> float:
    """Products a second of a square matrix product on one processor, in ``int8``, ``float32`` or ``float64``."""
    square = torch.ones(side, side, dtype=getattr(torch, kind))
    product: Any = torch._int_mm if kind == "int8" else torch.mm  # type: ignore[attr-defined]
    best, threads = float("inf"), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for _ in range(5):
            began = time.perf_counter()
            product(square, square)
            best = min(best, time.perf_counter() - began)
    finally:
        torch.set_num_threads(threads)
    return side**3 / best


_FEWEST_ROWS = 17  # torch's product wants more than 16


@cache
def int8_is_exact() -> bool:
    """Whether this machine's int8 product is: instructions without 32-bit sums saturate where both signs are large."""
    one = torch.ones(_FEWEST_ROWS + 15, 64, dtype=torch.int8)
    for x in (INT8_PEAK, 1):
        for w in (INT8_PEAK, -INT8_PEAK):
            try:
                product = torch._int_mm(one * x, (one[:24] * w).t())  # type: ignore[attr-defined]
            except (RuntimeError, NotImplementedError, AttributeError):
                return False
            if not (product == 64 * x * w).all():
                return False
    return True
