"""What a box of a population takes of a core: the exact accounting that a placement rests on.

Rules, which the validator checks again in its own way:

* An input axon is a source neuron with a synapse in the core, however many slices of the core it reaches.
* An output axon is a neuron and a core that it reaches; the host's lines have none.
* Synaptic memory holds one list an input axon, slice and synapse group. A list either names its targets, paying an index
  a synapse, or is dense: a weight for every neuron of the slice, zeros included. A group and slice use the cheaper kind.
  Where the chip shares kernels, a convolution has one list an input channel instead, of the weights that the slice uses.
* A synapse stores its weight, its delay where there is one, and its index.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from ...export.formats import Ints
from ...export.linear import Shape
from ..chip import Chip
from ..program import Population, Program
from . import limits as names
from .arrivals import Arrivals, Format, Inlet
from .layout import Bounds, volume
from .reach import Sources


@dataclass(frozen=True)
class Take:
    """What slices take of a core; a sum is an upper bound where slices share input axons.

    Attributes
    ----------
    thresholds, settings : frozenset
        Distinct thresholds, and pairs of decays.
    formats, populations : frozenset
        Distinct synapse formats, and names of the populations.
    """

    neurons: int = 0
    words: int = 0
    input_axons: int = 0
    output_axons: int = 0
    delay_slots: int = 0
    thresholds: frozenset[int] = field(default_factory=frozenset)
    settings: frozenset[tuple[int, int]] = field(default_factory=frozenset)
    formats: frozenset[Format] = field(default_factory=frozenset)
    populations: frozenset[str] = field(default_factory=frozenset)

    def __add__(self, other: Take) -> Take:
        """Both together: numbers add up, sets join."""
        return Take(
            self.neurons + other.neurons,
            self.words + other.words,
            self.input_axons + other.input_axons,
            self.output_axons + other.output_axons,
            self.delay_slots + other.delay_slots,
            self.thresholds | other.thresholds,
            self.settings | other.settings,
            self.formats | other.formats,
            self.populations | other.populations,
        )

    def use(self, limits: dict[str, int]) -> dict[str, int]:
        """How much of each limit that is."""
        taken = {
            names.NEURONS: self.neurons,
            names.MEMORY: self.words,
            names.INPUT_AXONS: self.input_axons,
            names.OUTPUT_AXONS: self.output_axons,
            names.THRESHOLDS: len(self.thresholds),
            names.SETTINGS: len(self.settings),
            names.GROUPS: len(self.populations),
            names.FORMATS: len(self.formats),
            names.DELAYS: self.delay_slots,
        }
        return {name: taken[name] for name in limits}


def exceeded(take: Take, limits: dict[str, int]) -> list[str]:
    """Limits that are broken, the worst first."""
    use = take.use(limits)
    broken = [name for name, used in use.items() if used > limits[name]]
    return sorted(broken, key=lambda name: -use[name] / limits[name])


class Demand:
    """What boxes of one population take, given where its spikes go.

    Parameters
    ----------
    destinations : ndarray of int64
        Cores that each neuron reaches; (neurons,).
    """

    def __init__(
        self,
        program: Program,
        population: Population,
        chip: Chip,
        weight_bits: int | None,
        destinations: Ints,
    ) -> None:
        self.name = population.name
        self.arrivals = Arrivals(program, population, chip, weight_bits)
        self.grid = self.arrivals.grid
        shared = not chip.per_neuron_threshold.value
        self._thresholds = _reduced(population.threshold, self.grid) if shared else None
        decays = _pairs(population) if chip.compartment_configurations is not None else None
        self._decays = None if decays is None else _reduced(decays, self.grid)
        self._limits_formats = chip.synapse_formats is not None
        #: Cores that a neuron reaches, in the mean.
        self.departures = float(destinations.mean())
        self._departures = _summed(destinations.reshape(self.grid))
        self._inlets = {group.source: Inlet(self.arrivals, group.source) for group in self.arrivals.groups}
        self._self = frozenset((self.name,))
        self._taken: dict[Bounds, Take] = {}

    def take(self, bounds: Bounds) -> Take:
        """What a box takes."""
        if bounds not in self._taken:
            self._taken[bounds] = self._take(bounds)
        return self._taken[bounds]

    def met(self, bounds: Bounds, name: str) -> Sources | None:
        """Neurons of a population or source with a synapse in a box; None where there are none."""
        return self._inlets[name].met(bounds) if name in self._inlets else None

    def sources(self, bounds: Bounds) -> dict[str, Sources]:
        """Neurons with a synapse in a box, by population or source."""
        found = ((name, inlet.met(bounds)) for name, inlet in self._inlets.items())
        return {name: met for name, met in found if met is not None}

    def _take(self, bounds: Bounds) -> Take:
        size = volume(bounds)
        counted = [inlet.counted(bounds) for inlet in self._inlets.values()]
        formats = frozenset[Format]().union(*(c.formats for c in counted))
        return Take(
            neurons=size,
            words=sum(c.words for c in counted),
            input_axons=sum(c.axons for c in counted),
            output_axons=_box_sum(self._departures, bounds),
            delay_slots=size * (self.arrivals.longest_delay + 1),
            thresholds=_distinct(self._thresholds, bounds),
            settings=frozenset(divmod(code, 1 << 16) for code in _distinct(self._decays, bounds)),
            formats=formats if self._limits_formats else frozenset(),
            populations=self._self,
        )


def _pairs(population: Population) -> Ints:
    """Both decays of each neuron in one number; (neurons,) or (1,) where all are alike."""
    current, membrane = (np.atleast_1d(np.asarray(d, np.int64)) for d in _decays(population))
    pairs: Ints = (current << 16) + membrane
    return pairs


def _decays(population: Population) -> tuple[ArrayLike, ArrayLike]:
    return population.current_decay, population.membrane_decay


def _reduced(values: Ints, grid: Shape) -> Ints:
    """Values over a grid; axes along which they do not change have length 1."""
    if values.size == 1:
        return values.reshape([1] * len(grid))
    over = values.reshape(grid)
    for axis in range(len(grid)):
        first = over.take([0], axis=axis)
        if (over == first).all():
            over = first
    return over


def _distinct(values: Ints | None, bounds: Bounds) -> frozenset[int]:
    if values is None:
        return frozenset()
    at = tuple(
        slice(low, high) if side > 1 else slice(None)
        for (low, high), side in zip(bounds, values.shape, strict=True)
    )
    return frozenset(np.unique(values[at]).tolist())


def _summed(values: Ints) -> Ints:
    """Sums over all boxes from the origin, with a border of zeros."""
    sums = np.pad(values, [(1, 0)] * values.ndim)
    for axis in range(values.ndim):
        np.cumsum(sums, axis=axis, out=sums)
    return sums


def _box_sum(sums: Ints, bounds: Bounds) -> int:
    """Sum over a box, from its corners."""
    corners = sums[tuple(slice(low, high + 1, high - low) for low, high in bounds)]
    for _ in bounds:
        corners = corners[1] - corners[0]
    return int(corners)
