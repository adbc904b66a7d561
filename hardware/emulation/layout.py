"""Order of neurons inside the emulator: the channels of a pixel beside each other.

A spike reaches all output channels of a pixel, so with those in one run of memory its synapses are one vector addition.
Everything outside the emulator keeps C order.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...export.formats import Ints
from ...export.linear import Dense, LinearMap, Sparse
from ..program import Program

#: Rasters are padded to whole words, which the kernels scan for spikes.
WORD = 8


def padded(count: int, of: int = WORD) -> int:
    """The next multiple."""
    return -(-count // of) * of


@dataclass(frozen=True)
class Layout:
    """Channel-last order of a number of neurons.

    Attributes
    ----------
    neurons, channels : int
        With one channel, or one a neuron, the order is C order.
    """

    neurons: int
    channels: int = 1

    @classmethod
    def of(cls, neurons: int, channels: int) -> Layout:
        """The layout of a picture with so many channels."""
        return cls(neurons, 1 if channels == neurons else channels)

    @property
    def order(self) -> Ints | None:
        """Neuron (in C order) at each place; None where it is C order."""
        if self.channels == 1:
            return None
        return np.arange(self.neurons).reshape(self.channels, -1).T.reshape(-1)

    def enter(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values (..., neurons) in this order; a view where possible."""
        if self.channels == 1:
            return values
        shape = values.shape[:-1]
        return values.reshape(*shape, self.channels, -1).swapaxes(-1, -2).reshape(*shape, -1)

    def leave(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values (..., neurons) back in C order."""
        if self.channels == 1:
            return values
        shape = values.shape[:-1]
        return values.reshape(*shape, -1, self.channels).swapaxes(-1, -2).reshape(*shape, -1)


def ends(map_: LinearMap) -> tuple[Layout, Layout] | None:
    """Layouts that a map wants of its input and its output; None where it takes any."""
    if isinstance(map_, Dense | Sparse):
        return None
    inputs, outputs = int(np.prod(map_.input_shape)), int(np.prod(map_.output_shape))
    return Layout.of(inputs, map_.input_shape[0]), Layout.of(outputs, map_.output_shape[0])


def choose(program: Program) -> dict[str, Layout]:
    """A layout for each source and population: what most of the maps at it want."""
    sizes = {s.name: s.size for s in program.sources} | {p.name: p.size for p in program.populations}
    wanted: dict[str, Counter[Layout]] = {name: Counter() for name in sizes}
    for group in program.synapses:
        found = ends(group.map)
        if found is not None:
            wanted[group.source][found[0]] += 1
            wanted[group.target][found[1]] += 1
    return {
        name: votes.most_common(1)[0][0] if votes else Layout(sizes[name]) for name, votes in wanted.items()
    }
