"""What one run of a network did, layer by layer, in a form that runs of any level or backend share.

Membranes are those that a step held against the threshold, before any reset: the number that decided whether the neuron
fired. They stand in units of the source network, whatever the level; integer runs keep their raw states beside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...export.formats import Ints
from ...export.graph import Floats
from ...export.linear import Shape

Kind: TypeAlias = Literal["input", "neurons", "readout", "relay"]
Arithmetic: TypeAlias = Literal["float", "integer"]


class DiffError(Exception):
    """Runs that cannot be compared, or a recording that cannot be read; the message names it and the remedy."""


@dataclass(frozen=True, eq=False)
class RawStates:
    """States of an integer population as the chip holds them.

    Attributes
    ----------
    currents, membranes : ndarray of int64
        After each step, any reset done: (samples, timesteps, neurons).
    held : ndarray of int64
        Membranes before any reset, same layout.
    threshold : ndarray of int64
        What a membrane must exceed, in membrane units, one a neuron.
    scale : ndarray of float64
        Membrane units per unit of the source network, one a neuron.
    """

    currents: Ints
    membranes: Ints
    held: Ints
    threshold: Ints
    scale: Floats


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """One population over a batch of samples, in its own local time.

    Attributes
    ----------
    shape : tuple of int
        Shape of the population; arrays are flat in C order.
    kind : str
        ``input`` spikes, ``neurons``, a ``readout`` that never fires, or a ``relay`` that only one level has.
    spikes : ndarray of uint8
        (samples, timesteps, neurons); all zero for a read-out.
    sources : tuple of (str, int)
        Layers whose spikes reach it, and how many steps late.
    held : ndarray of float64, or None
        Membrane held against the threshold at each step, in units of the source network. NaN at a spike means that it
        is not known (the run showed only what was left after the reset); NaN elsewhere is a NaN of the network.
    threshold : ndarray of float64, or None
        One a neuron, in the same units; infinite for a read-out.
    raw : RawStates or None
        What stands behind ``held`` in an integer run.
    readout : ndarray of float64, or None
        A read-out's membrane after the last step, (samples, neurons), where ``held`` is not known.
    """

    shape: Shape
    kind: Kind
    spikes: NDArray[np.uint8]
    sources: tuple[tuple[str, int], ...] = ()
    held: Floats | None = None
    threshold: Floats | None = None
    raw: RawStates | None = None
    readout: Floats | None = None

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return int(self.spikes.shape[2])

    def result(self, timesteps: int) -> Floats | None:
        """A read-out's membrane after so many steps, (samples, neurons); None where it is not known."""
        if self.kind != "readout":
            return None
        if self.held is not None:
            return self.held[:, timesteps - 1]
        return self.readout if timesteps == self.spikes.shape[1] else None


@dataclass(frozen=True, eq=False)
class Trace:
    """A run.

    Attributes
    ----------
    who : str
        Who ran, in a word or two: ``float``, ``emulator``, ``lava``, ``snnTorch``.
    what : str
        What was run, for people.
    layers : dict of str to LayerTrace
        In order of data flow.
    samples : ndarray, or None
        What went in, where it is known: two runs are compared on the same samples only.
    notes : tuple of str
        What must be said with the run.
    """

    who: str
    what: str
    arithmetic: Arithmetic
    layers: Mapping[str, LayerTrace]
    samples: NDArray[np.float32] | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def extent(self) -> tuple[int, int]:
        """Samples and time steps."""
        first = next(iter(self.layers.values())).spikes
        return int(first.shape[0]), int(first.shape[1])


def place(shape: Shape, neuron: int) -> tuple[tuple[str, int], ...]:
    """Where a neuron stands in its population: channel, row and column, or as many axes as there are."""
    if len(shape) < 2:
        return ()
    axes = {2: ("channel", "position"), 3: ("channel", "row", "column")}.get(
        len(shape), tuple(f"axis {axis}" for axis in range(len(shape)))
    )
    return tuple(zip(axes, (int(i) for i in np.unravel_index(neuron, shape)), strict=True))
