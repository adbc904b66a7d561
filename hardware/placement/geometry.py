"""How the synapses of a map meet a box of its outputs; one class a kind of map.

A convolution's synapses are a product over its axes. Input i of an axis meets tap k inside an output range or not; with
that matrix R of zeros and ones for each axis, and N[c, k, l] weights other than zero from input channel c at tap (k, l)
into the output channels of the box, the input at (c, y, x) has ``sum_kl N[c, k, l] R_y[y, k] R_x[x, l]`` synapses in
the box. Inputs of an axis with equal rows of R are counted once with their number, so the cost depends on neither the
size of the image nor that of the box, and nothing is unrolled.

A map that is not known here is unrolled into a sparse matrix. To teach a new one, register it with :func:`geometry`.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import singledispatch
from hashlib import blake2b
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...export.formats import Ints
from ...export.linear import Conv2d, ConvTranspose2d, Dense, LinearMap, Shape
from ...export.unroll import unroll
from .layout import Bounds, flat_indices, volume
from .reach import Geometry, Mask, Reach, Sources, Tally


@singledispatch
def geometry(map_: LinearMap, grid: Shape) -> Geometry:
    """Geometry of a map whose outputs are numbered over a grid."""
    return Unrolled(map_, grid)


@geometry.register
def _dense(map_: Dense, grid: Shape) -> Geometry:
    return Full(map_.weight, grid)


@geometry.register
def _conv2d(map_: Conv2d, grid: Shape) -> Geometry:
    if grid != map_.output_shape:
        return Unrolled(map_, grid)
    steps = zip(
        map_.input_shape[1:], map_.weight.shape[2:], map_.stride, map_.padding, map_.dilation, strict=True
    )
    return Convolution(map_.weight != 0, map_.input_shape, tuple(Axis(*step) for step in steps), map_.groups)


@geometry.register
def _conv_transpose2d(map_: ConvTranspose2d, grid: Shape) -> Geometry:
    if grid != map_.output_shape or map_.groups > 1:
        return Unrolled(map_, grid)
    steps = zip(
        map_.input_shape[1:], map_.weight.shape[2:], map_.stride, map_.padding, map_.dilation, strict=True
    )
    axes = tuple(Axis(*step, transposed=True) for step in steps)
    return Convolution(map_.weight.swapaxes(0, 1) != 0, map_.input_shape, axes)


def spatial_grid(map_: LinearMap) -> Shape | None:
    """The grid over which a map's outputs are best tiled, or None where neighbours share no inputs."""
    if isinstance(map_, Dense) or len(map_.output_shape) < 2:
        return None
    return map_.output_shape


class Full:
    """A dense matrix; weights of zero are no synapses."""

    def __init__(self, weight: NDArray[Any], grid: Shape) -> None:
        self.taps = 0
        self._weight = weight.reshape(*grid, -1)
        self._inputs = weight.shape[1]

    def reach(self, bounds: Bounds) -> Reach:
        """The synapses into a box."""
        fans = self._fans(bounds)
        sources = Sources(
            (self._inputs,), ((0, self._inputs),), int(np.count_nonzero(fans)), lambda: self._fans(bounds) > 0
        )
        return Reach(sources, Tally.of(fans))

    def alike(self, axis: int, low: int, high: int) -> tuple[Hashable, int]:
        """No two ranges are known to be alike."""
        return (low, high), 0

    def spans(self, axis: int, extent: int) -> tuple[int, int]:
        """Every input, whatever the range."""
        return (self._inputs if axis == 0 else 1), extent * (self._inputs if axis == 0 else 1)

    def _fans(self, bounds: Bounds) -> Ints:
        box = self._weight[tuple(slice(low, high) for low, high in bounds)]
        counts: Ints = np.count_nonzero(box, axis=tuple(range(box.ndim - 1))).astype(np.int64)
        return counts


class Unrolled:
    """Any map, through its sparse matrix."""

    def __init__(self, map_: LinearMap, grid: Shape) -> None:
        self.taps = 0
        self._grid = grid
        self._matrix = unroll(map_)
        self._inputs = int(self._matrix.shape[1])

    def reach(self, bounds: Bounds) -> Reach:
        """The synapses into a box."""
        fans = self._fans(bounds)
        sources = Sources(
            (self._inputs,), ((0, self._inputs),), int(np.count_nonzero(fans)), lambda: self._fans(bounds) > 0
        )
        return Reach(sources, Tally.of(fans))

    def alike(self, axis: int, low: int, high: int) -> tuple[Hashable, int]:
        """No two ranges are known to be alike."""
        return (low, high), 0

    def spans(self, axis: int, extent: int) -> tuple[int, int]:
        """Nothing is known before counting."""
        return 0, 0

    def _fans(self, bounds: Bounds) -> Ints:
        rows = flat_indices(self._grid, bounds)
        columns = self._matrix[rows].indices
        return np.bincount(columns, minlength=self._inputs).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Strip:
    """Inputs of one axis that a range of outputs may meet.

    Attributes
    ----------
    first, last : int
        Half-open range of the inputs.
    rows : ndarray of bool
        Distinct rows of R; (rows, taps).
    which : ndarray of int64
        Row of each input of the range.
    times : ndarray of int64
        Inputs that have each row.
    key : bytes
        Equal for ranges that meet the taps alike, whatever the order of their inputs.
    """

    first: int
    last: int
    rows: Mask
    which: Ints
    times: Ints
    key: bytes


@dataclass(frozen=True)
class Axis:
    """One spatial axis of a convolution.

    Output o takes tap k from input ``o stride - padding + k dilation``; transposed, input i gives tap k to output
    ``i stride - padding + k dilation``.
    """

    inputs: int
    taps: int
    stride: int
    padding: int
    dilation: int
    transposed: bool = False

    def strip(self, low: int, high: int) -> Strip:
        """How a range of outputs meets inputs and taps."""
        reach = self.dilation * (self.taps - 1)
        if self.transposed:
            first, last = (
                -(-(low + self.padding - reach) // self.stride),
                (high - 1 + self.padding) // self.stride + 1,
            )
        else:
            first, last = (
                low * self.stride - self.padding,
                (high - 1) * self.stride - self.padding + reach + 1,
            )
        first = min(max(first, 0), self.inputs)
        last = max(min(last, self.inputs), first)  # a range in the padding alone meets no input
        i, k = np.arange(first, last)[:, None], self.dilation * np.arange(self.taps)
        if self.transposed:
            output = i * self.stride - self.padding + k
            met = (output >= low) & (output < high)
        else:
            output, off = np.divmod(i + self.padding - k, self.stride)
            met = (off == 0) & (output >= low) & (output < high)
        rows, which, times = np.unique(met, axis=0, return_inverse=True, return_counts=True)
        key = rows.tobytes() + times.tobytes()
        return Strip(first, last, rows, which.ravel().astype(np.int64), times.astype(np.int64), key)


@dataclass(frozen=True, eq=False)
class _Channels:
    """Weights other than zero from each input channel into a range of output channels, alike channels together."""

    first: int
    last: int
    patterns: Ints  # (patterns, taps...)
    which: Ints
    times: Ints
    key: bytes  # equal where patterns and their order are


class Convolution:
    """A convolution or transposed convolution of any number of axes."""

    def __init__(self, live: Mask, input_shape: Shape, axes: tuple[Axis, ...], groups: int = 1) -> None:
        """``live`` tells which weights are not zero: (outputs, inputs / groups, taps...)."""
        self.taps = prod(axis.taps for axis in axes)
        self._live, self._input_shape, self._axes, self._groups = live, input_shape, axes, groups
        self._strips: dict[tuple[int, int, int], Strip] = {}
        self._channels: dict[tuple[int, int], _Channels] = {}
        self._counts: dict[tuple[Any, ...], tuple[Ints, Tally, Tally]] = {}

    def reach(self, bounds: Bounds) -> Reach:
        """The synapses into a box (channels, then the spatial axes)."""
        channels = self._channel_range(*bounds[0])
        strips = [self._strip(axis, low, high) for axis, (low, high) in enumerate(bounds[1:])]
        fans, tally, kernel = self._count(bounds[0], channels, strips)
        box = ((channels.first, channels.last), *((s.first, s.last) for s in strips))
        count = tally.count
        whole = count == volume(box)

        def picked() -> Mask:
            return (fans > 0)[np.ix_(channels.which, *(s.which for s in strips))]

        return Reach(Sources(self._input_shape, box, count, None if whole else picked), tally, kernel)

    def alike(self, axis: int, low: int, high: int) -> tuple[Hashable, int]:
        """Ranges whose inputs meet the taps alike and in the same order; the first of them."""
        if axis == 0:
            channels = self._channel_range(low, high)
            return channels.key, channels.first
        strip = self._strip(axis - 1, low, high)
        return (strip.key, strip.which.tobytes()), strip.first

    def spans(self, axis: int, extent: int) -> tuple[int, int]:
        """Along the channels: input channels and weights; along an image: inputs and pairs of output and tap."""
        if axis == 0:
            outputs, inputs = self._live.shape[:2]
            groups = -(-extent // (outputs // self._groups))
            return min(groups * inputs, self._input_shape[0]), extent * inputs
        side = self._axes[axis - 1]
        if side.transposed:
            reach = side.dilation * (side.taps - 1)
            return min(side.inputs, (extent - 1 + reach) // side.stride + 1), -(
                -extent * side.taps // side.stride
            )
        window = side.dilation * (side.taps - 1) + 1
        met = (extent - 1) * side.stride + window if side.stride < window else extent * window
        return min(side.inputs, met), extent * side.taps

    def _strip(self, axis: int, low: int, high: int) -> Strip:
        key = (axis, low, high)
        if key not in self._strips:
            self._strips[key] = self._axes[axis].strip(low, high)
        return self._strips[key]

    def _channel_range(self, low: int, high: int) -> _Channels:
        if (low, high) not in self._channels:
            outputs, inputs = self._live.shape[:2]
            each = outputs // self._groups
            first, last = low // each, (high - 1) // each + 1
            blocks = [
                self._live[max(low, g * each) : min(high, (g + 1) * each)].sum(0, dtype=np.int64)
                for g in range(first, last)
            ]
            counts = np.concatenate(blocks)
            patterns, which, times = np.unique(counts, axis=0, return_inverse=True, return_counts=True)
            self._channels[low, high] = _Channels(
                first * inputs,
                last * inputs,
                patterns,
                which.ravel().astype(np.int64),
                times.astype(np.int64),
                blake2b(counts.tobytes(), digest_size=16).digest(),
            )
        return self._channels[low, high]

    def _count(
        self, outputs: tuple[int, int], channels: _Channels, strips: list[Strip]
    ) -> tuple[Ints, Tally, Tally]:
        """Synapses of each distinct input (patterns, rows...), their tally, and that of the kernel's cells."""
        key = (outputs, *(s.key for s in strips))
        if key not in self._counts:
            fans, times, used = channels.patterns, channels.times, channels.patterns
            for axis, strip in enumerate(strips):
                fans = np.tensordot(fans, strip.rows.astype(np.int64), axes=(1, 1))
                times = np.multiply.outer(times, strip.times)
                shape = [1] * used.ndim
                shape[axis + 1] = -1
                used = used * strip.rows.any(0).reshape(shape)
            cells = used.reshape(len(used), -1).sum(1)
            self._counts[key] = (fans, Tally.of(fans, times), Tally.of(cells, channels.times))
        return self._counts[key]


def whole(map_: LinearMap) -> Reach:
    """All synapses of a map; nothing is unrolled where the map is known."""
    grid = spatial_grid(map_) or (prod(map_.output_shape),)
    return geometry(map_, grid).reach(tuple((0, side) for side in grid))


def has_kernel(map_: LinearMap) -> bool:
    """Several synapses share a weight cell, which a chip may store once."""
    return isinstance(map_, Conv2d | ConvTranspose2d)
