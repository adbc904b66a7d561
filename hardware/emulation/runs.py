"""Where a spike goes: for each input pixel, runs of neighbouring synapses, and the weights in the order of those runs.

An input channel adds a run of weights to a run of sums. Taps whose outputs lie side by side share a run; columns beyond
the border have room of their own, so that no run is ever cut, and runs are padded with zeros to whole vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...export.linear import Conv2d, Conv3d, ConvTranspose2d, Dense, LinearMap
from .layout import Layout, padded

#: Bytes of a run are a multiple of this: four vectors of the processor, which its loop takes at a time.
RUN_BYTES = 128


@dataclass(frozen=True)
class Geometry:
    """Where sums lie in a row of cells: ``rows`` runs of ``width`` sums, ``stride`` apart, from ``offset`` on."""

    rows: int
    width: int
    stride: int
    offset: int
    cells: int

    @classmethod
    def plain(cls, count: int) -> Geometry:
        """Sums beside each other."""
        return cls(1, count, count, 0, count)


@dataclass(frozen=True, eq=False)
class Runs:
    """Synapses of a map by input pixel.

    Attributes
    ----------
    channels : int
        Inputs of a pixel (of one group).
    groups : int
        Groups of channels; each pixel has so many entries, one after another.
    start : ndarray of uint64
        Where the runs of each entry begin (entries + 1).
    out, first, length : ndarray of uint64
        Of each run: its first cell, its first weight in the row of an input channel, its cells.
    weights : ndarray of int16 or int32
        (input channels, row), flat.
    row : int
        Weights of an input channel.
    geometry : Geometry
        Of the cells.
    """

    channels: int
    groups: int
    start: NDArray[np.uint64]
    out: NDArray[np.uint64]
    first: NDArray[np.uint64]
    length: NDArray[np.uint64]
    weights: NDArray[Any]
    row: int
    geometry: Geometry


def runs(map_: LinearMap, source: Layout, target: Layout, dtype: type[np.signedinteger[Any]]) -> Runs:
    """The runs of a dense or convolutional map.

    Parameters
    ----------
    source, target : Layout
        Orders of inputs and outputs; a convolution's own (see :func:`~.layout.ends`).
    dtype : type
        int16 or int32: of sums and weights.
    """
    lanes = RUN_BYTES // np.dtype(dtype).itemsize
    if isinstance(map_, Dense):
        return _dense(map_, source, target, dtype, lanes)
    assert isinstance(map_, Conv2d | Conv3d | ConvTranspose2d)
    return _Convolution(map_, dtype, lanes).runs()


def _dense(
    map_: Dense, source: Layout, target: Layout, dtype: type[np.signedinteger[Any]], lanes: int
) -> Runs:
    outputs, inputs = map_.weight.shape
    row = padded(outputs, lanes)
    weights = np.zeros((inputs, row), dtype)
    rows = map_.weight if source.order is None else map_.weight[:, source.order]
    weights[:, :outputs] = (rows if target.order is None else rows[target.order]).T
    one = np.zeros(1, np.uint64)
    return Runs(
        inputs, 1, np.array([0, 1], np.uint64), one, one, one + np.uint64(row), weights.reshape(-1), row,
        Geometry(1, outputs, outputs, 0, row),
    )  # fmt: skip


class _Convolution:
    """Runs of a convolution or transposed convolution over any number of axes."""

    def __init__(
        self, map_: Conv2d | Conv3d | ConvTranspose2d, dtype: type[np.signedinteger[Any]], lanes: int
    ) -> None:
        self.map, self.dtype, self.lanes = map_, dtype, lanes
        self.sides, self.out_sides = map_.input_shape[1:], map_.output_shape[1:]
        self.channels = map_.output_shape[0] // map_.groups
        self.kernel = map_.weight.shape[2:]

    def reached(self, axis: int, tap: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Output coordinate that each input coordinate reaches over a tap, and whether there is one."""
        stride, pad, dilation = (getattr(self.map, f)[axis] for f in ("stride", "padding", "dilation"))
        at = np.arange(self.sides[axis])
        if isinstance(self.map, ConvTranspose2d):
            return at * stride - pad + tap * dilation, np.ones(at.size, bool)
        shifted = at + pad - tap * dilation
        return shifted // stride, shifted % stride == 0

    def runs(self) -> Runs:
        outer, last = range(len(self.sides) - 1), len(self.sides) - 1
        segments = self.segments()
        position, total = {}, 0
        for segment in segments:
            position[segment] = total
            total += padded(len(segment) * self.channels, self.lanes)
        columns = [self.reached(last, tap)[0] for segment in segments for tap in segment]
        left = max(0, -min(int(c.min()) for c in columns))
        width = max(self.out_sides[-1], max(int(c.max()) for c in columns) + 1) + left
        whole = self.map.output_shape[0]
        entries, outs, firsts, lengths = [], [], [], []
        combinations = list(product(*(range(k) for k in self.kernel[:-1])))
        for index, taps in enumerate(combinations):
            row, inside = np.zeros((1,), np.int64), np.ones((1,), bool)
            for axis, tap in zip(outer, taps, strict=True):
                reached, there = self.reached(axis, tap)
                there = there & (reached >= 0) & (reached < self.out_sides[axis])
                row = (row[:, None] * self.out_sides[axis] + reached).reshape(-1)
                inside = (inside[:, None] & there).reshape(-1)
            for segment in segments:
                column, there = self.reached(last, segment[0])
                pixel = np.flatnonzero((inside[:, None] & there).reshape(-1))
                cell = ((row[:, None] * width + left + column) * whole).reshape(-1)[pixel]
                for group in range(self.map.groups):
                    entries.append(pixel * self.map.groups + group)
                    outs.append(cell + group * self.channels)
                    firsts.append(np.full(pixel.size, index * total + position[segment]))
                    lengths.append(np.full(pixel.size, padded(len(segment) * self.channels, self.lanes)))
        entry = np.concatenate(entries)
        order = np.argsort(entry, kind="stable")
        counts = np.bincount(entry, minlength=prod(self.sides) * self.map.groups)
        rows = prod(self.out_sides[:-1])
        # Behind the last row there is room for the zeros at the end of a run.
        geometry = Geometry(
            rows, self.out_sides[-1] * whole, width * whole, left * whole, rows * width * whole + self.lanes
        )
        out, first, length = (np.concatenate(a)[order].astype(np.uint64) for a in (outs, firsts, lengths))
        return Runs(
            self.map.input_shape[0] // self.map.groups,
            self.map.groups,
            np.concatenate([[0], np.cumsum(counts)]).astype(np.uint64),
            out,
            first,
            length,
            self.weights(combinations, segments, total),
            len(combinations) * total,
            geometry,
        )

    def segments(self) -> list[tuple[int, ...]]:
        """Taps of the last axis whose outputs lie side by side, in the order of those outputs."""
        taps = range(self.kernel[-1])
        if self.map.groups > 1:
            return [(tap,) for tap in taps]
        stride, dilation = self.map.stride[-1], self.map.dilation[-1]
        if isinstance(self.map, ConvTranspose2d):
            return [tuple(taps)] if dilation == 1 else [(tap,) for tap in taps]
        # A tap reaches one output of a stride; the next tap of the same phase lies s / gcd(s, d) taps on and reaches
        # the output lcm(s, d) / s before.
        found: list[tuple[int, ...]] = []
        step = int(np.lcm(stride, dilation)) // dilation
        side_by_side = step * dilation == stride
        for phase in range(min(step, len(taps))):
            chain = tuple(reversed(range(phase, len(taps), step)))
            found += [chain] if side_by_side else [(tap,) for tap in chain]
        return found

    def weights(
        self, combinations: list[tuple[int, ...]], segments: list[tuple[int, ...]], total: int
    ) -> NDArray[Any]:
        inputs, groups = self.map.input_shape[0], self.map.groups
        weight = self.map.weight
        if not isinstance(self.map, ConvTranspose2d):  # (out, in / groups, ...) to (in, out / groups, ...)
            by_group = weight.reshape(groups, self.channels, inputs // groups, *self.kernel)
            weight = by_group.swapaxes(1, 2).reshape(inputs, self.channels, *self.kernel)
        packed = np.zeros((inputs, len(combinations) * total), self.dtype)
        for index, taps in enumerate(combinations):
            at = index * total
            rows = weight
            for tap in reversed(taps):
                rows = rows[..., tap, :]
            for segment in segments:
                for place, tap in enumerate(segment):
                    begin = at + place * self.channels
                    packed[:, begin : begin + self.channels] = rows[..., tap]
                at += padded(len(segment) * self.channels, self.lanes)
        return packed.reshape(-1)
