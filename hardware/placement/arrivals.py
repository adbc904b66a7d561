"""The synapse groups into a population, and what their synapses into a box of it take; see :mod:`.demand` for the rules."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from ...export.linear import Shape
from ..chip import Chip
from ..program import Population, Program, SynapseGroup
from .geometry import geometry, spatial_grid
from .layout import Bounds, volume
from .limits import list_words, narrowest, stored_width
from .reach import Geometry, Reach, Sources, union

#: Width, exponent, delay and index width of a synapse.
Format = tuple[int, int, int, int]


class Arrivals:
    """Synapse groups into a population, over the grid on which it is cut."""

    def __init__(self, program: Program, population: Population, chip: Chip, weight_bits: int | None) -> None:
        self._chip = chip
        self.groups = program.inputs_of(population.name)
        spatial = [grid for grid in (spatial_grid(g.map) for g in self.groups) if grid is not None]
        self.grid: Shape = spatial[0] if spatial else (population.size,)
        self.geometries: list[Geometry] = [geometry(g.map, self.grid) for g in self.groups]
        self.widths = [stored_width(g.map.weight, chip, weight_bits) for g in self.groups]
        self.longest_delay = max((g.delay for g in self.groups), default=0)

    def reach(self, bounds: Bounds) -> list[tuple[SynapseGroup, Reach]]:
        """Synapses into a box of each group."""
        return [(g, shape.reach(bounds)) for g, shape in zip(self.groups, self.geometries, strict=True)]

    def bits(self, index: int) -> int:
        """Bits of a group's synapse without its index."""
        return self.widths[index] + self.groups[index].delay.bit_length()

    def storage(self, index: int, reach: Reach, neurons: int) -> tuple[int, Format | None]:
        """Words that a group's synapses into a box of so many neurons fill, and their format."""
        chip, group = self._chip, self.groups[index]
        if not reach.sources.count:
            return 0, None
        bits = self.bits(index)
        indices = narrowest(max(neurons - 1, 1).bit_length(), chip.synapse_index_bits.value)
        shared = reach.kernel is not None and chip.shared_kernels.value
        tally = reach.kernel if shared and reach.kernel is not None else reach.fans
        carried = indices if not shared or chip.shared_kernel_indices.value else 0
        words = int(list_words(tally.values, bits + carried, chip) @ tally.times)
        if not shared:
            dense = int(list_words(np.array([neurons]), bits, chip)[0]) * reach.sources.count
            if dense <= words:
                words, carried = dense, 0
        return words, (self.widths[index], group.exponent, group.delay, carried)


@dataclass(frozen=True, eq=False)
class Counted:
    """What the synapses from one source into a box take, and where the box lies.

    Attributes
    ----------
    place : tuple of int
        First input of each axis; boxes of one kind differ in it alone.
    met : Sources or None
        Neurons with a synapse in the box; None where there are none.
    """

    words: int
    axons: int
    formats: frozenset[Format]
    met: Sources | None
    place: tuple[int, ...]


class Inlet:
    """The synapse groups from one source. Boxes that meet it alike, as most away from the border do, are counted once."""

    def __init__(self, arrivals: Arrivals, source: str) -> None:
        self._arrivals = arrivals
        self._indices = [i for i, group in enumerate(arrivals.groups) if group.source == source]
        # A source numbered over several grids does not move in all of them alike as a box is moved.
        self._movable = len({arrivals.groups[i].map.input_shape for i in self._indices}) == 1
        self._tokens: dict[Hashable, int] = {}
        self._ranges: dict[tuple[int, int, int], tuple[int, int]] = {}
        self._counted: dict[tuple[int, ...], Counted] = {}

    def counted(self, bounds: Bounds) -> Counted:
        """What the synapses into a box of its kind take; its place may be another's."""
        return self._found(bounds)[0]

    def met(self, bounds: Bounds) -> Sources | None:
        """Neurons with a synapse in a box; None where there are none."""
        counted, place = self._found(bounds)
        if counted.met is None or place == counted.place:
            return counted.met
        return counted.met.moved(tuple(a - b for a, b in zip(place, counted.place, strict=True)))

    def _found(self, bounds: Bounds) -> tuple[Counted, tuple[int, ...]]:
        along = [self._along(axis, low, high) for axis, (low, high) in enumerate(bounds)]
        kind, place = tuple(number for number, _ in along), tuple(first for _, first in along)
        if kind not in self._counted:
            self._counted[kind] = self._count(bounds, place)
        return self._counted[kind], place

    def _along(self, axis: int, low: int, high: int) -> tuple[int, int]:
        """A number that is equal for ranges that meet the source alike, and the first input of this one."""
        key = (axis, low, high)
        if key not in self._ranges:
            met = [self._arrivals.geometries[i].alike(axis, low, high) for i in self._indices]
            first = met[0][1] if self._movable else 0
            token = (axis, high - low, *((alike, place - first) for alike, place in met))
            self._ranges[key] = self._tokens.setdefault(token, len(self._tokens)), first
        return self._ranges[key]

    def _count(self, bounds: Bounds, place: tuple[int, ...]) -> Counted:
        words, sets, formats = 0, [], set()
        for index in self._indices:
            reach = self._arrivals.geometries[index].reach(bounds)
            stored, form = self._arrivals.storage(index, reach, volume(bounds))
            words += stored
            if form is not None:
                formats.add(form)
                sets.append(reach.sources)
        met = union(sets) if sets else None
        return Counted(words, met.count if met else 0, frozenset(formats), met, place)
