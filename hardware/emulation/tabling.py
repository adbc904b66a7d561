"""What output pixels collect from tables: for each pattern of a few inputs, the sum of the weights of those that fire.

A pattern is read once a step and serves every row of the kernel that comes across its inputs; what is left for an output
pixel is one vector addition a row of the kernel, without a branch and however many inputs fire.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...export.linear import Conv2d, Conv3d, ConvTranspose2d, LinearMap
from .gathering import Convolution
from .lanes import VECTOR_BYTES, WORD_BITS
from .layout import padded
from .lookups import look_up, look_up_and_integrate
from .neurons import BLOCK
from .runs import Geometry

Array = NDArray[Any]
#: Sums that tables hold at most: more would not stay in the cache.
MOST_TABLED = 1 << 20


@dataclass(frozen=True, eq=False)
class Tabling:
    """Synapses of a convolution as tables.

    Attributes
    ----------
    word, place, keep, shift : ndarray of int32
        Of each pattern: the word of the raster and the input within it where its inputs begin, a bit for each of them, and
        how many inputs before them lie beyond the border.
    strips : ndarray of int64
        Rows of first output pixel, pixels from one to the next, how many, first pattern, and where the table begins: output
        pixels in a row that see consecutive patterns through the same weights.
    blocks : ndarray of int64
        Where the strips of each ``at_once`` output pixels begin.
    tables : ndarray of int16 or int32
        Rows of ``row``, a table after the other.
    channels, pixels : int
        Outputs of a pixel (of one group of channels, where there are several), and pixels.
    """

    word: NDArray[np.int32]
    place: NDArray[np.int32]
    keep: NDArray[np.int32]
    shift: NDArray[np.int32]
    strips: NDArray[np.int64]
    blocks: NDArray[np.int64]
    at_once: int
    tables: Array
    row: int
    channels: int
    pixels: int

    def apply(self, raster: Array) -> tuple[Array, Geometry]:
        """Sums of binary spikes (steps, inputs padded to words)."""
        count = self.pixels * self.channels
        cells = np.empty((len(raster), count + self.row), self.tables.dtype)
        look_up(raster.view(np.uint64), *self._plan, cells)
        return cells, Geometry(1, count, count, 0, count + self.row)

    def integrate(
        self, raster: Array, factor: int, others: Array, neurons: tuple[Any, ...], outputs: tuple[Array, ...]
    ) -> None:
        """As :meth:`.gathering.Gathering.integrate`."""
        look_up_and_integrate(
            raster.view(np.uint64), *self._plan, self.blocks, self.at_once, self.pixels, np.int32(factor), others, *neurons,
            *outputs,
        )  # fmt: skip

    @property
    def _plan(self) -> tuple[Any, ...]:
        return (
            self.word, self.place, self.keep, self.shift, self.strips, self.tables, self.row, self.channels,
        )  # fmt: skip


def takes_tables(map_: LinearMap, peak: int) -> bool:
    """Whether a map of spikes up to ``peak`` can be gathered from tables: one of few channels and a small kernel."""
    if peak > 1 or not isinstance(map_, Conv2d | Conv3d | ConvTranspose2d):
        return False
    inputs, outputs = (shape[0] // map_.groups for shape in (map_.input_shape, map_.output_shape))
    rows = prod(map_.weight.shape[2:]) * map_.groups << min(inputs, WORD_BITS) * (WORD_BITS // inputs or 1)
    return inputs <= WORD_BITS and rows * padded(outputs, VECTOR_BYTES // 2) <= MOST_TABLED


def tabling(map_: Conv2d | Conv3d | ConvTranspose2d, dtype: type[np.signedinteger[Any]]) -> Tabling:
    """Tables of a convolution whose pixels are in the orders that :func:`.layout.ends` says.

    Parameters
    ----------
    dtype : type
        int16 or int32: of the sums.
    """
    c = Convolution(map_, dtype, WORD_BITS)
    parts = list(c.parts())
    tables = [_sums_of_patterns(part.weights) for part in parts]
    bases = np.cumsum([0, *(table.size for table in tables)]).tolist()
    seen = []
    for part in parts:
        first = part.low * c.whole + part.group * c.inputs
        last = (part.high - 1) * c.whole + (part.group + 1) * c.inputs
        seen.append(np.stack([first, (1 << (last - first)) - 1, (part.low - part.begin) * c.inputs], axis=1))
    # Numbered in the order in which they are first seen, so that a row of pixels sees a row of patterns.
    found, appeared, number = np.unique(np.concatenate(seen), axis=0, return_index=True, return_inverse=True)
    rank = np.empty(len(found), np.int64)
    order = np.argsort(appeared)
    rank[order] = np.arange(len(found))
    first, keep, shift = found[order].astype(np.int32).T.copy()
    numbers = np.split(rank[number.reshape(-1)], np.cumsum([part.pixel.size for part in parts])[:-1])
    at_once = max(1, BLOCK // c.outputs)
    strips = np.concatenate(
        [
            _strips(part.pixel, n, base, at_once)
            for part, n, base in zip(parts, numbers, bases[:-1], strict=True)
        ]
    )
    block = strips[:, 0] // at_once
    blocks = -(-c.pixels_out // at_once)
    return Tabling(
        first // WORD_BITS, first % WORD_BITS, keep, shift,
        np.ascontiguousarray(strips[np.argsort(block, kind="stable")]),
        np.concatenate([[0], np.bincount(block, minlength=blocks).cumsum()]).astype(np.int64),
        at_once, np.concatenate(tables).reshape(-1), c.row, c.outputs, c.pixels_out,
    )  # fmt: skip


def _strips(
    pixel: NDArray[np.int64], pattern: NDArray[np.int64], base: int, at_once: int
) -> NDArray[np.int64]:
    """Cut output pixels into strips: equally far apart, their patterns one after another, all of one block."""
    if not pixel.size:
        return np.empty((0, 5), np.int64)
    apart = np.diff(pixel)
    same = (np.diff(pattern) == 1) & (np.diff(pixel // at_once) == 0)
    rows, begin = [], 0
    while begin < pixel.size:
        end = begin + 1
        step = apart[begin] if end < pixel.size else 1
        while end < pixel.size and same[end - 1] and apart[end - 1] == step:
            end += 1
        rows.append((pixel[begin], step, end - begin, pattern[begin], base))
        begin = end
    return np.array(rows, np.int64)


def _sums_of_patterns(rows: Array) -> Array:
    """For each pattern of inputs, the sum of the rows of those that fire."""
    patterns = np.arange(1 << len(rows))[:, None] >> np.arange(len(rows)) & 1
    return (patterns @ rows.astype(np.int64)).astype(rows.dtype)
