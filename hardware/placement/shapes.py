"""Ranks the shapes of boxes into which a population with channels and an image may be cut.

All shapes are estimated at once from what a range of outputs meets along each axis, as if no weight were zero; the best
of them are then counted exactly.
"""

from __future__ import annotations

from functools import reduce
from math import ceil

import numpy as np
from numpy.typing import NDArray

from ...export.formats import Ints
from ...export.linear import Shape
from ..chip import Chip
from . import limits as names
from .demand import Demand
from .limits import list_words, narrowest
from .reach import Geometry


def ranked(demand: Demand, chip: Chip, limits: dict[str, int]) -> list[Shape]:
    """Shapes of boxes, those that are estimated to fit first: by the number of boxes, then by their input axons.

    Where none is estimated to fit, all that hold few enough neurons.
    """
    sides = [np.array(_extents(side)) for side in demand.grid]
    neurons = _product(sides)
    number = _product([-(-total // side) for total, side in zip(demand.grid, sides, strict=True)])
    words = np.zeros_like(neurons)
    met: dict[str, Ints] = {}
    for index, (group, geometry) in enumerate(
        zip(demand.arrivals.groups, demand.arrivals.geometries, strict=True)
    ):
        inputs, stored = _estimated(geometry, demand.arrivals.bits(index), sides, neurons, chip)
        # Groups from one source mostly meet the same neurons, as the halves of a wider weight do.
        met[group.source] = np.maximum(met.get(group.source, 0), inputs)
        words += stored
    axons = sum(met.values(), np.zeros_like(neurons))
    good = neurons <= limits[names.NEURONS]
    likely = good & (axons <= limits[names.INPUT_AXONS]) & (words <= limits[names.MEMORY])
    likely &= neurons * demand.departures <= limits[names.OUTPUT_AXONS]
    chosen = likely if likely.any() else good
    # An input axon here is an output axon of the cores that feed these.
    cost = number * (1 + axons / limits[names.OUTPUT_AXONS])
    order = np.lexsort((number[chosen], cost[chosen]))
    shapes = np.argwhere(chosen)[order]
    return [tuple(int(side[i]) for side, i in zip(sides, at, strict=True)) for at in shapes]


def _extents(side: int) -> list[int]:
    """Lengths that cut a side into each possible number of parts."""
    return sorted({ceil(side / parts) for parts in range(1, side + 1)})


def _product(along: list[Ints]) -> Ints:
    """Products of one value for each axis, over all shapes."""
    outer: Ints = reduce(np.multiply.outer, along)
    return outer


def _estimated(
    geometry: Geometry, bits: int, sides: list[Ints], neurons: Ints, chip: Chip
) -> tuple[Ints, NDArray[np.int64]]:
    """Input axons and words of memory of one synapse group, over all shapes."""
    spans = [np.array([geometry.spans(axis, int(e)) for e in each]) for axis, each in enumerate(sides)]
    inputs = _product([span[:, 0] for span in spans])
    if not (geometry.taps and chip.shared_kernels.value):
        synapses = _product([span[:, 1] for span in spans])
        return inputs, synapses * bits // chip.synapse_word_bits.value
    lists = spans[0][:, 0]
    cells = spans[0][:, 1] * geometry.taps // np.maximum(lists, 1)
    widths = np.zeros_like(neurons)
    if chip.shared_kernel_indices.value:
        needed = np.ceil(np.log2(np.maximum(neurons, 2))).astype(np.int64)
        table = [narrowest(max(n, 1), chip.synapse_index_bits.value) for n in range(int(needed.max()) + 1)]
        widths = np.array(table)[needed]
    words = np.zeros_like(neurons)
    for width in np.unique(widths):
        each = lists * list_words(cells, bits + int(width), chip)
        words = np.where(widths == width, each.reshape(-1, *[1] * (neurons.ndim - 1)), words)
    return inputs, words
