"""Cuts a population into boxes that each fit a core.

A population of one axis is cut into the longest ranges that fit, which is the fewest there can be, since what a range
takes never shrinks as it grows. One with channels and an image is cut into boxes of one shape. Shapes are ranked by the
number of boxes and then by the input axons that they are estimated to take, and the first is chosen whose boxes, counted
exactly, all fit. Where none of the best does, the boxes are made smaller axis by axis until they do.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import ceil

from ...export.linear import Shape
from ..chip import Chip
from . import limits as names
from .demand import Demand, exceeded
from .layout import Bounds
from .shapes import ranked

#: Ranked shapes that are counted exactly before the search goes on by making boxes smaller.
TRIES = 12
#: Boxes that judge a shape while it is being made smaller; the result is counted whole.
SAMPLE = 256


class Unplaceable(Exception):
    """A neuron that exceeds a core by itself."""

    def __init__(self, bounds: Bounds, limit: str) -> None:
        super().__init__(f"{bounds}: {limit}")
        self.bounds, self.limit = bounds, limit


def cut(demand: Demand, chip: Chip, limits: dict[str, int]) -> list[Bounds]:
    """Boxes that hold every neuron once and each fit an empty core, in C order.

    Raises
    ------
    Unplaceable
        A neuron alone exceeds a core.
    """
    if len(demand.grid) == 1:
        return list(_ranges(demand, limits))
    shapes = ranked(demand, chip, limits)
    for extents in shapes[:TRIES]:
        if _fits(demand, extents, limits):
            return list(boxes(demand.grid, extents))
    return list(boxes(demand.grid, _shrunk(demand, shapes[0], limits)))


def boxes(grid: Shape, extents: Shape) -> Iterator[Bounds]:
    """Boxes of one shape over a grid; the last of each axis may be smaller."""
    yield from product(
        *(
            [(low, min(low + extent, side)) for low in range(0, side, extent)]
            for side, extent in zip(grid, extents, strict=True)
        )
    )


def _ranges(demand: Demand, limits: dict[str, int]) -> Iterator[Bounds]:
    """The longest ranges that fit, one after the other."""
    (side,), low, step = demand.grid, 0, 1
    while low < side:
        step = _longest(demand, low, min(side - low, limits[names.NEURONS]), step, limits)
        yield ((low, low + step),)
        low += step


def _longest(demand: Demand, low: int, most: int, guess: int, limits: dict[str, int]) -> int:
    """Length of the longest range from ``low`` that fits; neighbouring ranges are mostly as long as each other."""
    fits, fails, stride = 0, most + 1, 1
    trial = min(guess, most)
    while fails - fits > 1:
        broken = exceeded(demand.take(((low, low + trial),)), limits)
        if broken and trial == 1:
            raise Unplaceable(((low, low + 1),), broken[0])
        fits, fails = (fits, trial) if broken else (trial, fails)
        trial, stride = trial - stride if broken else trial + stride, 2 * stride
        if not fits < trial < fails:
            trial = (fits + fails) // 2
    return fits


def _fits(demand: Demand, extents: Shape, limits: dict[str, int]) -> bool:
    every = list(boxes(demand.grid, extents))
    # A box in the middle takes more than one at the border, so some of those go first.
    return all(not exceeded(demand.take(box), limits) for box in (*every[len(every) // 2 :][:9], *every))


def _shrunk(demand: Demand, extents: Shape, limits: dict[str, int]) -> Shape:
    """Make boxes smaller, each time along the axis that helps most for the boxes it adds, until they fit."""
    while not _fits(demand, extents, limits):
        options = []
        for axis, extent in enumerate(extents):
            if extent == 1:
                continue
            parts = ceil(demand.grid[axis] / extent)
            shorter = min(ceil(demand.grid[axis] / ceil(parts * 1.25)), extent - 1)
            smaller = (*extents[:axis], shorter, *extents[axis + 1 :])
            growth = ceil(demand.grid[axis] / shorter) / parts
            options.append((_worst(demand, smaller, limits) * growth, smaller))
        if not options:
            for box in boxes(demand.grid, extents):
                if broken := exceeded(demand.take(box), limits):
                    raise Unplaceable(box, broken[0])
        extents = min(options)[1]
    return extents


def _worst(demand: Demand, extents: Shape, limits: dict[str, int]) -> float:
    """Largest share of a limit that any of some boxes takes."""
    every = list(boxes(demand.grid, extents))
    return max(
        used / limits[name]
        for box in every[:: -(-len(every) // SAMPLE)]
        for name, used in demand.take(box).use(limits).items()
    )
