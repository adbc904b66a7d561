"""What each output pixel collects: for the rows of the kernel, inputs that lie beside each other, and their weights.

The opposite view of :mod:`spikewright.hardware.emulation.runs`: there an input that fires adds to all outputs it reaches,
each of them loaded and stored; here an output's sums stay in registers until everything that reaches it is added.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...export.linear import Conv2d, Conv3d, ConvTranspose2d, Dense, LinearMap
from .lanes import VECTOR_BYTES, WORD_BITS, gather, gather_and_integrate
from .layout import Layout, padded
from .runs import Geometry

Array = NDArray[Any]
#: Offsets into the weights are kept in 32 bits.
MOST_WEIGHTS = 1 << 30


@dataclass(frozen=True, eq=False)
class Gathering:
    """Synapses of a map by output pixel (of one group of channels, where there are several).

    Attributes
    ----------
    start : ndarray of int64
        Where the entries of each output pixel begin (pixels + 1).
    first, last : ndarray of int32
        Of each entry: its inputs, which lie beside each other.
    base : ndarray of int32
        Of each entry: the offset at which the weights of input 0 would lie, could the entry reach back to it.
    weights : ndarray of int16 or int32
        Rows of ``row``, one an input of an entry.
    channels : int
        Outputs of a pixel.
    """

    start: NDArray[np.int64]
    first: NDArray[np.int32]
    last: NDArray[np.int32]
    base: NDArray[np.int32]
    weights: Array
    row: int
    channels: int

    @property
    def cells(self) -> int:
        """Cells of a step: the sums, and room for the end of the last row."""
        return (self.start.size - 1) * self.channels + self.row

    def apply(self, raster: Array) -> tuple[Array, Geometry]:
        """Sums of binary spikes (steps, inputs padded to words)."""
        cells = np.empty((len(raster), self.cells), self.weights.dtype)
        gather(
            raster.view(np.uint64), _OFFSETS * np.int32(self.row), self.row, self.start, self.first, self.last, self.base,
            self.weights, self.channels, cells,
        )  # fmt: skip
        count = (self.start.size - 1) * self.channels
        return cells, Geometry(1, count, count, 0, self.cells)

    def integrate(
        self, raster: Array, factor: int, others: Array, neurons: tuple[Any, ...], outputs: tuple[Array, ...]
    ) -> None:
        """Sums of binary spikes (samples, steps, inputs padded to words), and neurons that take them at once.

        ``others`` arrives as well: (samples, steps, neurons), or no samples.
        """
        gather_and_integrate(
            raster.view(np.uint64), _OFFSETS * np.int32(self.row), self.row, self.start, self.first, self.last, self.base,
            self.weights, self.channels, np.int32(factor), others, *neurons, *outputs,
        )  # fmt: skip


def _patterns() -> NDArray[np.int32]:
    """For each pattern of eight inputs, which of them fire, one after another."""
    table = np.zeros((1 << WORD_BITS, WORD_BITS), np.int32)
    for pattern in range(len(table)):
        fired = [i for i in range(WORD_BITS) if pattern >> i & 1]
        table[pattern, : len(fired)] = fired
    return table


_OFFSETS = _patterns()


def takes(map_: LinearMap, peak: int) -> bool:
    """Whether a map of spikes up to ``peak`` can be gathered from lists of them."""
    return (
        peak == 1
        and isinstance(map_, Dense | Conv2d | Conv3d | ConvTranspose2d)
        and _size(map_) < MOST_WEIGHTS
    )


def _size(map_: Dense | Conv2d | Conv3d | ConvTranspose2d) -> int:
    """More than the weights can take, padding included, and than any offset."""
    lanes = VECTOR_BYTES // 2
    if isinstance(map_, Dense):
        return map_.weight.shape[1] * padded(map_.weight.shape[0], lanes)
    inputs = prod(map_.input_shape) + map_.weight.size
    return inputs * padded(map_.output_shape[0] // map_.groups, lanes)


def gathering(
    map_: LinearMap,
    source: Layout,
    target: Layout,
    dtype: type[np.signedinteger[Any]],
) -> Gathering:
    """What each output pixel of a dense or convolutional map collects.

    Parameters
    ----------
    source, target : Layout
        Orders of inputs and outputs; a convolution's own (see :func:`~.layout.ends`).
    dtype : type
        int16 or int32: of sums and weights.
    """
    if isinstance(map_, Dense):
        lanes = VECTOR_BYTES // np.dtype(dtype).itemsize
        outputs, inputs = map_.weight.shape
        weights = np.zeros((inputs, padded(outputs, lanes)), dtype)
        rows = map_.weight if source.order is None else map_.weight[:, source.order]
        weights[:, :outputs] = (rows if target.order is None else rows[target.order]).T
        nothing, everything = np.zeros(1, np.int32), np.array([inputs], np.int32)
        return Gathering(
            np.array([0, 1]),
            nothing,
            everything,
            nothing,
            weights.reshape(-1),
            weights.shape[1],
            outputs,
        )
    assert isinstance(map_, Conv2d | Conv3d | ConvTranspose2d)
    return _gathering(Convolution(map_, dtype))


@dataclass(frozen=True, eq=False)
class Part:
    """What some output pixels see through one row of the kernel, or through a segment of it.

    Attributes
    ----------
    pixel : ndarray of int64
        Output pixels, times the groups, plus the group.
    low, high, begin : ndarray of int64
        Of each: input pixels from which on and before which its inputs lie, and where they would begin without a border.
    weights : ndarray
        Rows (inputs, row) of the segment.
    offset : int
        Of the segment's first row, among the rows of all.
    """

    pixel: NDArray[np.int64]
    group: int
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    begin: NDArray[np.int64]
    weights: Array
    offset: int


class Convolution:
    """Parts of a convolution or transposed convolution over any number of axes.

    Parameters
    ----------
    dtype : type
        Of weights and sums.
    most : int, optional
        Inputs that a part may have; a row of the kernel without it.
    """

    def __init__(
        self,
        map_: Conv2d | Conv3d | ConvTranspose2d,
        dtype: type[np.signedinteger[Any]],
        most: int | None = None,
    ) -> None:
        self.map, self.dtype, self.most = map_, dtype, most
        self.sides, self.out_sides = map_.input_shape[1:], map_.output_shape[1:]
        self.kernel = map_.weight.shape[2:]
        self.inputs, self.outputs = (
            shape[0] // map_.groups for shape in (map_.input_shape, map_.output_shape)
        )
        self.row = padded(self.outputs, VECTOR_BYTES // np.dtype(dtype).itemsize)
        self.whole = map_.input_shape[0]
        self.pixels_out = prod(self.out_sides) * map_.groups

    def seen(self, axis: int, tap: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Input coordinate that each output coordinate sees through a tap, borders ignored, and whether there is one."""
        stride, pad, dilation = (getattr(self.map, f)[axis] for f in ("stride", "padding", "dilation"))
        at = np.arange(self.out_sides[axis])
        if isinstance(self.map, ConvTranspose2d):
            shifted = at + pad - tap * dilation
            return shifted // stride, shifted % stride == 0
        return at * stride - pad + tap * dilation, np.ones(at.size, bool)

    def segments(self) -> list[tuple[int, ...]]:
        """Taps of the last axis that see inputs side by side, in the order of those inputs."""
        taps = range(self.kernel[-1])
        if self.map.groups > 1 or self.map.dilation[-1] > 1:
            return [(tap,) for tap in taps]
        if isinstance(self.map, ConvTranspose2d):
            stride = self.map.stride[-1]
            found = [tuple(reversed(taps[phase::stride])) for phase in range(min(stride, len(taps)))]
        else:
            found = [tuple(taps)]
        if self.most is None:
            return found
        most = self.most // self.inputs
        return [segment[i : i + most] for segment in found for i in range(0, len(segment), most)]

    def parts(self) -> Iterator[Part]:
        """In the order of the taps."""
        segments, combinations = self.segments(), list(product(*(range(k) for k in self.kernel[:-1])))
        for index, combination in enumerate(combinations):
            line, inside = self.lines(combination)
            place = 0
            for segment in segments:
                low, high, begin, pixel = self.pixels(segment, line, inside)
                for group in range(self.map.groups):
                    yield Part(
                        pixel * self.map.groups + group, group, low, high, begin,
                        self.rows[group, index, place : place + len(segment)].reshape(-1, self.row),
                        ((group * len(combinations) + index) * self.rows.shape[2] + place) * self.inputs,
                    )  # fmt: skip
                place += len(segment)

    def lines(self, combination: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Lines of input pixels that the lines of output pixels see through taps of the outer axes, and whether they do."""
        line, inside = np.zeros((1,), np.int64), np.ones((1,), bool)
        for axis, tap in enumerate(combination):
            seen, there = self.seen(axis, tap)
            there = there & (seen >= 0) & (seen < self.sides[axis])
            line = (line[:, None] * self.sides[axis] + seen).reshape(-1)
            inside = (inside[:, None] & there).reshape(-1)
        return line, inside

    def pixels(
        self, segment: tuple[int, ...], line: NDArray[np.int64], inside: NDArray[np.bool_]
    ) -> list[NDArray[np.int64]]:
        """Input pixels before which and up to which an entry lies, and where it would begin without a border.

        Last, the output pixels that have one.
        """
        side = self.sides[-1]
        column, there = self.seen(len(self.sides) - 1, segment[0])
        begin, end = np.clip(column, 0, side), np.clip(column + len(segment), 0, side)
        pixel = np.flatnonzero((inside[:, None] & there & (begin < end)).reshape(-1))
        return [*((line[:, None] * side + at).reshape(-1)[pixel] for at in (begin, end, column)), pixel]

    @cached_property
    def rows(self) -> Array:
        """Weights (group, outer taps, taps of the last axis by segment, input channel, output channel)."""
        taps = [tap for segment in self.segments() for tap in segment]
        groups, weight = self.map.groups, self.map.weight
        if isinstance(self.map, ConvTranspose2d):  # (in, out / groups, ...)
            by_group = weight.reshape(groups, self.inputs, self.outputs, -1, self.kernel[-1]).swapaxes(1, 2)
        else:  # (out, in / groups, ...)
            by_group = weight.reshape(groups, self.outputs, self.inputs, -1, self.kernel[-1])
        rows = by_group[..., taps].transpose(0, 3, 4, 2, 1)
        packed = np.zeros((*rows.shape[:-1], self.row), self.dtype)
        packed[..., : self.outputs] = rows
        return packed


def _gathering(convolution: Convolution) -> Gathering:
    """Entries by output pixel, in the order of the taps."""
    c, pixels, entries = convolution, [], []
    for part in c.parts():
        pixels.append(part.pixel)
        first = part.low * c.whole + part.group * c.inputs
        # With groups an entry is one pixel's share of channels.
        last = (part.high - 1) * c.whole + (part.group + 1) * c.inputs
        base = (part.offset - part.begin * c.whole - part.group * c.inputs) * c.row
        entries.append(np.stack([first, last, base]))
    pixel = np.concatenate(pixels)
    order = np.argsort(pixel, kind="stable")
    counts = np.bincount(pixel, minlength=c.pixels_out)
    # The compiled kernels read each of these by its address.
    first, last, base = np.concatenate(entries, axis=1).astype(np.int32).take(order, axis=1)
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Gathering(start, first, last, base, c.rows.reshape(-1), c.row, c.outputs)
