"""The synapses of a map into a box of its outputs, as sets and tallies; nothing here knows a kind of map."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...export.formats import Ints
from ...export.linear import Shape
from .layout import Bounds, flat_indices, selection

Mask: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Tally:
    """Distinct numbers, each with how often it occurs; zeros are left out. Equal to itself alone."""

    values: Ints
    times: Ints

    @classmethod
    def of(cls, values: NDArray[Any], times: NDArray[Any] | None = None) -> Tally:
        """Tally numbers, each counted ``times`` times (once by default)."""
        flat = np.asarray(values, np.int64).ravel()
        # Doubles count exactly up to 2^53, more than any chip has synapses.
        weight = None if times is None else np.asarray(times, np.float64).ravel()
        often = np.bincount(flat, weight)
        distinct = np.flatnonzero(often[1:]) + 1
        return cls(distinct, often[distinct].astype(np.int64))

    @cached_property
    def count(self) -> int:
        """How many numbers were tallied."""
        return int(self.times.sum())

    @cached_property
    def total(self) -> int:
        """Their sum."""
        return int(self.values @ self.times)


@dataclass(frozen=True, eq=False)
class Sources:
    """A set of source neurons: those of a box, or some of them.

    Attributes
    ----------
    grid : tuple of int
        Shape over which the source neurons are numbered in C order.
    bounds : tuple of pair of int
        Box that holds them all.
    count : int
        How many there are.
    picked : callable or None
        Gives the mask over the box; None for the whole box.
    """

    grid: Shape
    bounds: Bounds
    count: int
    picked: Callable[[], Mask] | None = None

    def mask(self) -> Mask:
        """Mask over the box."""
        if self.picked is None:
            return np.ones(tuple(high - low for low, high in self.bounds), np.bool_)
        return self.picked()

    def moved(self, by: tuple[int, ...]) -> Sources:
        """The set at another place of the grid."""
        bounds = tuple((low + step, high + step) for (low, high), step in zip(self.bounds, by, strict=True))
        return replace(self, bounds=bounds)

    def indices(self) -> Ints:
        """Flat indices, ascending."""
        found = flat_indices(self.grid, self.bounds)
        return found if self.picked is None else found[self.picked().ravel()]


@dataclass(frozen=True, eq=False)
class Reach:
    """The synapses of a map into a box of its outputs.

    Attributes
    ----------
    sources : Sources
        Source neurons with a synapse in the box.
    fans : Tally
        Synapses that each of them has there.
    kernel : Tally or None
        Weight cells that those synapses use, by input channel; None where no two synapses share a cell.
    """

    sources: Sources
    fans: Tally
    kernel: Tally | None = None


class Geometry(Protocol):
    """How a map's synapses meet boxes of its outputs.

    Attributes
    ----------
    taps : int
        Weight cells between an input and an output channel; 0 where no two synapses share a cell.
    """

    taps: int

    def reach(self, bounds: Bounds) -> Reach:
        """The synapses into a box."""
        ...

    def alike(self, axis: int, low: int, high: int) -> tuple[Hashable, int]:
        """What a range of outputs along an axis meets, equal for ranges that differ in their place alone; and that place.

        Boxes that are alike along every axis take as much of a core as each other.
        """
        ...

    def spans(self, axis: int, extent: int) -> tuple[int, int]:
        """Most inputs, and most pairs of output and tap, that a range of so many outputs meets along an axis.

        An estimate is enough: it ranks tile shapes before they are counted exactly.
        """
        ...


def union(sets: list[Sources]) -> Sources:
    """Source neurons of one population that are in any of some sets."""
    if len(sets) == 1:
        return sets[0]
    for whole in (s for s in sets if s.picked is None):
        if all(_holds(whole, s) for s in sets):
            return whole
    grid = sets[0].grid
    if any(s.grid != grid for s in sets):
        grid = (prod(grid),)
        sets = [_flattened(s) for s in sets]
    box = tuple(
        (min(s.bounds[a][0] for s in sets), max(s.bounds[a][1] for s in sets)) for a in range(len(grid))
    )
    mask = np.zeros(tuple(high - low for low, high in box), np.bool_)
    for each in sets:
        inner = tuple((low - b[0], high - b[0]) for (low, high), b in zip(each.bounds, box, strict=True))
        mask[selection(inner)] |= each.mask()
    return Sources(grid, box, int(np.count_nonzero(mask)), lambda: mask)


def _holds(outer: Sources, inner: Sources) -> bool:
    """The box of one set lies within that of the other."""
    return outer.grid == inner.grid and all(
        a <= low and high <= b for (a, b), (low, high) in zip(outer.bounds, inner.bounds, strict=True)
    )


def _flattened(sources: Sources) -> Sources:
    """The same set over flat indices."""
    size, found = prod(sources.grid), sources.indices()
    low, high = (int(found[0]), int(found[-1]) + 1) if len(found) else (0, 0)
    mask = np.zeros(high - low, np.bool_)
    mask[found - low] = True
    return Sources((size,), ((low, high),), len(found), lambda: mask)
