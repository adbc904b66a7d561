"""The synapses into given neurons, listed one by one with the weight cell that each uses.

Written from the definition of each map; it shares no formula with the accounting that it is there to check.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import TypeAlias

import numpy as np

from ...export.formats import Ints
from ...export.linear import Conv2d, ConvTranspose2d, Dense, LinearMap, with_weight
from ...export.unroll import unroll

#: Source neuron and weight cell (index of the flat weight) of each synapse.
Entries: TypeAlias = tuple[Ints, Ints]
#: Synapses, taps beyond the border included, that are listed at a time.
CHUNK = 1 << 21
#: Maps of no more synapses than this are unrolled whole.
SMALL = 1 << 22


class Synapses:
    """The synapses of a map, by target neuron."""

    def __init__(self, map_: LinearMap) -> None:
        self._map = map_
        self._reach = map_.weight.size // map_.channels  # synapses into a neuron, at most
        listed = isinstance(map_, Dense | Conv2d) or (isinstance(map_, ConvTranspose2d) and map_.groups == 1)
        self._matrix = None
        if not listed or self._reach * prod(map_.output_shape) <= SMALL:
            cells = np.arange(1, map_.weight.size + 1).reshape(map_.weight.shape)
            self._matrix = unroll(with_weight(map_, np.where(map_.weight != 0, cells, 0)))

    def into(self, neurons: Ints) -> Iterator[Entries]:
        """Synapses into some neurons, in pieces."""
        if self._matrix is not None:
            rows = self._matrix[neurons]
            yield rows.indices.astype(np.int64), rows.data.astype(np.int64) - 1
            return
        step = max(CHUNK // self._reach, 1)
        for first in range(0, len(neurons), step):
            yield _listed(self._map, neurons[first : first + step])


def _listed(map_: LinearMap, neurons: Ints) -> Entries:
    if isinstance(map_, Dense):
        rows, columns = np.nonzero(map_.weight[neurons])
        return columns, neurons[rows] * map_.weight.shape[1] + columns
    assert isinstance(map_, Conv2d | ConvTranspose2d)
    # Axes: neuron, input channel within the group, kernel row, kernel column.
    channel, y, x = (a[:, None, None, None] for a in np.unravel_index(neurons, map_.output_shape))
    _, height, width = map_.input_shape
    k, l = (np.arange(n) for n in map_.weight.shape[2:])
    k = k[:, None]
    if isinstance(map_, Conv2d):
        inputs = np.arange(map_.weight.shape[1])[:, None, None]
        group = channel // (map_.weight.shape[0] // map_.groups)
        source = group * map_.weight.shape[1] + inputs
        at_y = y * map_.stride[0] + k * map_.dilation[0] - map_.padding[0]
        at_x = x * map_.stride[1] + l * map_.dilation[1] - map_.padding[1]
        whole = np.ones(1, np.bool_)
        cell = np.ravel_multi_index(np.broadcast_arrays(channel, inputs, k, l), map_.weight.shape)
    else:
        source = np.arange(map_.weight.shape[0])[:, None, None]
        from_y, from_x = (
            y + map_.padding[0] - k * map_.dilation[0],
            x + map_.padding[1] - l * map_.dilation[1],
        )
        at_y, at_x = from_y // map_.stride[0], from_x // map_.stride[1]
        whole = (from_y % map_.stride[0] == 0) & (from_x % map_.stride[1] == 0)
        cell = np.ravel_multi_index(np.broadcast_arrays(source, channel, k, l), map_.weight.shape)
    inside = whole & (at_y >= 0) & (at_y < height) & (at_x >= 0) & (at_x < width)
    real = inside & (map_.weight.ravel()[cell] != 0)
    column = (source * height + at_y) * width + at_x
    return np.broadcast_to(column, real.shape)[real], cell[real]
