"""Dense kernels in eight-bit integers: oneDNN's products and convolutions, by the operators torch has for quantised networks.

With all scales one, what comes back is the sum itself, as a float32 that is exact below 2^24. They gather no patches, and
use the processor's eight-bit instructions, down to those of any x86 with AVX2.
"""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...export.linear import Conv2d, Conv3d, ConvTranspose2d, Dense, LinearMap
from .dense import EXACT, Convolution, broad, in_order
from .layout import Layout
from .phases import Phases, dilated

Array = NDArray[Any]
INT8_PEAK = 127  # two products of it and a weight fit the 16 bits of instructions that add pairs
_OPERATORS: Any = torch.ops.onednn
#: Of an output: scale, zero point, type, and nothing behind it.
_PLAIN: tuple[Any, ...] = (1.0, 0, torch.float32, "none", [], "")


class IntegerProduct:
    """A dense map."""

    def __init__(self, map_: Dense, source: Layout, target: Layout) -> None:
        weight = in_order(map_, source, target).weight
        self.scales, self.zeros = _unscaled(len(weight))
        self.packed = _OPERATORS.qlinear_prepack(torch.from_numpy(np.ascontiguousarray(weight)), None)

    def apply(self, raster: Array) -> Array:
        """Sums (steps, outputs) of spikes (steps, inputs)."""
        x = torch.from_numpy(raster).contiguous()
        y: Tensor = _OPERATORS.qlinear_pointwise(
            x, 1.0, 0, self.packed, self.scales, self.zeros, None, *_PLAIN
        )
        return y.numpy()


class IntegerConvolution:
    """A convolution, or a transposed one as a convolution that gives its phases as channels."""

    def __init__(self, map_: Convolution) -> None:
        self.map = map_
        self.phases = Phases(map_) if isinstance(map_, ConvTranspose2d) else None
        plain = map_ if self.phases is None else self.phases.map
        self.shape = (plain.stride, plain.padding, plain.dilation)
        self.last = torch.channels_last if len(plain.stride) == 2 else torch.channels_last_3d
        self.scales, self.zeros = _unscaled(len(plain.weight))
        self.packed = _OPERATORS.qconv_prepack(
            torch.from_numpy(np.ascontiguousarray(plain.weight)), self.scales, 1.0, 0, *self.shape, map_.groups,
            [1, *map_.input_shape],
        )  # fmt: skip

    def apply(self, raster: Array) -> Array:
        """Sums (steps, outputs) of spikes (steps, inputs), channels last in both."""
        channels, *sides = self.map.input_shape
        x = (
            torch.from_numpy(raster)
            .reshape(-1, *sides, channels)
            .movedim(-1, 1)
            .contiguous(memory_format=self.last)
        )
        if self.phases is None:
            return self._convolve(x).reshape(len(raster), -1).numpy()
        out = torch.empty(len(raster), self.phases.pixels, dtype=torch.float32)
        for few, place in zip(x.split(self.phases.few), out.split(self.phases.few), strict=True):
            self.phases.put(self._convolve(few), place)
        return out.numpy()

    def _convolve(self, x: Tensor) -> Tensor:
        """Sums (N, ..., channels) of pictures (N, channels, ...)."""
        y: Tensor = _OPERATORS.qconv_pointwise(
            x, 1.0, 0, self.packed, self.scales, self.zeros, None, *self.shape, self.map.groups, *_PLAIN
        )
        return y.movedim(1, -1)


def integer_kernel(map_: LinearMap, source: Layout, target: Layout) -> IntegerProduct | IntegerConvolution:
    """The kernel of a map that :func:`takes` it."""
    if isinstance(map_, Dense):
        return IntegerProduct(map_, source, target)
    assert isinstance(map_, Convolution)
    return IntegerConvolution(map_)


def takes(map_: LinearMap, peak: int, bound: int) -> bool:
    """Whether a map has a kernel here, for spikes of up to ``peak`` and sums of up to ``bound``."""
    if peak > INT8_PEAK or bound >= EXACT[torch.float32] or not integers_are_exact():
        return False
    return isinstance(map_, Dense) or (isinstance(map_, Convolution) and _ordinary(map_))


def _ordinary(map_: Convolution) -> bool:
    """Pictures that are broad enough, and no padding beyond the kernel: with more, torch 2.13 writes elsewhere, too."""
    plain = Phases(map_).map if isinstance(map_, ConvTranspose2d) else map_
    kernel = dilated(plain.weight, plain.dilation).shape[2:]
    return broad(plain) and all(p < k for p, k in zip(plain.padding, kernel, strict=True))


def _unscaled(outputs: int) -> tuple[Tensor, Tensor]:
    """Scales and zero points of weights that are the integers they are."""
    return torch.ones(outputs), torch.zeros(outputs, dtype=torch.int64)


@cache
def integers_are_exact() -> bool:
    """Whether this torch has the operators and they add integers on this processor: largest spikes, weights of both signs."""
    for spike in (INT8_PEAK, 1):
        for weight in (INT8_PEAK, -INT8_PEAK, -INT8_PEAK - 1):
            for map_, size, taps in _probes(weight):
                layout = Layout(size)
                try:
                    kernel = integer_kernel(map_, layout, layout)
                    sums = kernel.apply(np.full((3, size), spike, np.uint8))
                except (RuntimeError, NotImplementedError, AttributeError):
                    return False
                if not (sums == taps * spike * weight).all():
                    return False
    return True


def _probes(weight: int) -> list[tuple[Dense | Conv2d | Conv3d, int, int]]:
    """Maps of one weight throughout: with their inputs, and the weights of an output."""

    def full(*shape: int) -> NDArray[np.int8]:
        return np.full(shape, weight, np.int8)

    return [
        (Dense(full(24, 64), (64,), (24,)), 64, 64),
        (Conv2d(full(24, 40, 3, 3), (40, 5, 4), (1, 1), (0, 0), (1, 1), 1), 800, 360),
        (Conv3d(full(24, 40, 1, 2, 2), (40, 2, 3, 4), (1, 1, 1), (0, 0, 0), (1, 1, 1), 1), 960, 160),
    ]


@cache
def integer_rate(convolution: bool) -> float:
    """Products a second of a square product, or of a convolution, on one processor."""
    rng = np.random.default_rng(0)
    if convolution:
        map_: Dense | Conv2d = Conv2d(
            rng.integers(-127, 128, (64, 64, 3, 3), np.int8), (64, 8, 8), (1, 1), (1, 1), (1, 1), 1
        )
        inputs, rows, products = 4096, 8, 64 * 64 * 9 * 64
    else:
        map_ = Dense(rng.integers(-127, 128, (192, 192), np.int8), (192,), (192,))
        inputs, rows, products = 192, 192, 192 * 192
    kernel, raster = integer_kernel(map_, Layout(inputs), Layout(inputs)), np.ones((rows, inputs), np.uint8)
    best, threads = float("inf"), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for _ in range(5):
            began = time.perf_counter()
            kernel.apply(raster)
            best = min(best, time.perf_counter() - began)
    finally:
        torch.set_num_threads(threads)
    return rows * products / best
