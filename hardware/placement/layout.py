"""What a placement is: boxes of populations in cores of a chip."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TypeAlias

import numpy as np

from ...export.formats import Ints
from ...export.levels import Finding
from ...export.linear import Shape
from ..chip import Chip
from ..program import Program

#: Half-open range along each axis of a grid.
Bounds: TypeAlias = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Slice:
    """Neurons of one population that share a core: a box of its grid.

    Attributes
    ----------
    population : str
        Whose neurons.
    grid : tuple of int
        Shape over which the population's neurons are numbered in C order; (neurons,) where nothing is spatial.
    bounds : tuple of pair of int
        Half-open range along each axis of the grid.
    """

    population: str
    grid: Shape
    bounds: Bounds

    @property
    def size(self) -> int:
        """Number of neurons."""
        return volume(self.bounds)

    @property
    def neurons(self) -> Ints:
        """Flat indices of the neurons, ascending."""
        return flat_indices(self.grid, self.bounds)

    def __str__(self) -> str:
        ranges = ", ".join(f"{low}:{high}" for low, high in self.bounds)
        return f"{self.population}[{ranges}]"


@dataclass(frozen=True)
class Core:
    """One core and what it holds.

    Attributes
    ----------
    index : int
        Number of the core over all chips, in order of data flow.
    slices : tuple of Slice
        What it holds.
    use : dict of str to int
        How much of each limit is taken.
    limits : dict of str to int
        How much of each there is, the same for every core of a placement.
    """

    index: int
    slices: tuple[Slice, ...]
    use: dict[str, int]
    limits: dict[str, int]

    @property
    def binding(self) -> str:
        """The limit of which the largest share is taken."""
        return max(self.limits, key=lambda name: self.use[name] / self.limits[name])

    @property
    def share(self) -> float:
        """Share of the binding limit; 1 is full."""
        return self.use[self.binding] / self.limits[self.binding]

    @property
    def populations(self) -> tuple[str, ...]:
        """Names of the populations, in the order of the slices, each once."""
        return tuple(dict.fromkeys(part.population for part in self.slices))


@dataclass(frozen=True, eq=False)
class Placement:
    """A program cut into cores.

    Attributes
    ----------
    program : Program
        What is placed.
    chip : Chip
        Whose limits hold.
    weight_bits : int or None
        Widest weight that is stored; None for what the weights need. Fewer bits are an assumption about storage: they
        change no weight of the program.
    cores : tuple of Core
        In order of data flow, as many as it takes.
    findings : tuple of Finding
        Why a population could not be placed, and what costs cores needlessly.
    """

    program: Program
    chip: Chip
    weight_bits: int | None
    cores: tuple[Core, ...]
    findings: tuple[Finding, ...] = ()

    @property
    def complete(self) -> bool:
        """Every neuron has its place."""
        return all(finding.severity != "error" for finding in self.findings)

    @property
    def chips(self) -> int:
        """Chips that the cores fill."""
        return -(-len(self.cores) // self.chip.cores.value)

    def chip_of(self, core: Core) -> int:
        """Number of the chip that a core is on."""
        return core.index // self.chip.cores.value

    def fits(self, chips: int = 1) -> bool:
        """Every neuron has its place, on no more than so many chips."""
        return self.complete and self.chips <= chips

    @cached_property
    def cores_of(self) -> dict[str, tuple[Core, ...]]:
        """Cores that hold a slice of each population."""
        held: dict[str, list[Core]] = {p.name: [] for p in self.program.populations}
        for core in self.cores:
            for name in core.populations:
                held[name].append(core)
        return {name: tuple(cores) for name, cores in held.items()}


def volume(bounds: Bounds) -> int:
    """Number of elements in a box."""
    return prod(high - low for low, high in bounds)


def selection(bounds: Bounds) -> tuple[slice, ...]:
    """Index of a box in an array over its grid."""
    return tuple(slice(low, high) for low, high in bounds)


def flat_indices(grid: Shape, bounds: Bounds) -> Ints:
    """Flat indices of a box, ascending."""
    found = np.zeros(1, np.int64)
    for side, (low, high) in zip(grid, bounds, strict=True):
        found = (found[:, None] * side + np.arange(low, high)).ravel()
    return found
