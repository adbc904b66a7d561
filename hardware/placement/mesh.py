"""Where cores lie on a chip, and how far spikes travel to them.

Cores follow the data flow along the tiles of the mesh, up one column and down the next (a serpentine), so that cores
that feed each other lie near. Chips stand in a row, the mesh of each to the east of the one before. A spike goes once to
each core where its neuron has a synapse, first along its row and then along its column; spikes that the host injects
enter at the first tile. The links between two chips are counted and have no length.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...export.formats import Ints
from ..chip import Chip
from .arrivals import Arrivals
from .layout import Placement, selection
from .reach import Sources, union


@dataclass(frozen=True)
class Hops:
    """Journeys of a sample's spikes, mean over samples.

    Attributes
    ----------
    deliveries : float
        Spikes times the cores that each goes to.
    east_west, north_south : float
        Hops from tile to tile, along rows and along columns.
    between_chips : float
        Crossings from a chip to the next.
    """

    deliveries: float
    east_west: float
    north_south: float
    between_chips: float


def positions(cores: Ints, chip: Chip) -> tuple[Ints, Ints, Ints]:
    """Column and row of the tile of each core, over all chips, and the chip's number."""
    chips, core = np.divmod(cores, chip.cores.value)
    column, row = np.divmod(core // chip.cores_per_tile.value, chip.mesh_rows.value)
    row = np.where(column % 2, chip.mesh_rows.value - 1 - row, row)
    return column + chips * columns(chip), row, chips


def columns(chip: Chip) -> int:
    """Columns of the chip's mesh."""
    return -(-chip.cores.value // (chip.cores_per_tile.value * chip.mesh_rows.value))


def hops(placement: Placement, spikes: Mapping[str, NDArray[np.float64]]) -> Hops:
    """How far the spikes of a sample travel.

    Parameters
    ----------
    spikes : mapping of str to ndarray
        Mean spikes in a sample, of every population and source: (neurons,).

    Raises
    ------
    ValueError
        Spikes of a population or source are missing, or those of another number of neurons.
    """
    program, chip = placement.program, placement.chip
    means = _means(placement, spikes)
    home = _homes(placement)
    arrivals = {p.name: Arrivals(program, p, chip, placement.weight_bits) for p in program.populations}
    totals = np.zeros(4)
    for core in placement.cores:
        found: dict[str, list[Sources]] = {}
        for part in core.slices:
            for group, reach in arrivals[part.population].reach(part.bounds):
                if reach.sources.count:
                    found.setdefault(group.source, []).append(reach.sources)
        for name, sets in found.items():
            met = union(sets)
            box, mask = selection(met.bounds), met.mask()
            sent = means[name].reshape(met.grid)[box][mask]
            x, y, on = positions(home[name].reshape(met.grid)[box][mask], chip)
            to_x, to_y, to = (int(v[0]) for v in positions(np.array([core.index]), chip))
            totals += [sent.sum(), sent @ abs(x - to_x), sent @ abs(y - to_y), sent @ abs(on - to)]
    return Hops(*(float(total) for total in totals))


def _sizes(placement: Placement) -> dict[str, int]:
    """Neurons of every population and lines of every source."""
    program = placement.program
    return {s.name: s.size for s in program.sources} | {p.name: p.size for p in program.populations}


def _means(placement: Placement, spikes: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    means = {}
    for name, size in _sizes(placement).items():
        if name not in spikes:
            raise ValueError(f"{name}: no spike counts of it; run the whole program")
        array = np.asarray(spikes[name], np.float64)
        if array.shape != (size,):
            raise ValueError(f"{name}: mean spikes of shape {array.shape}, wanted ({size},)")
        means[name] = array
    return means


def _homes(placement: Placement) -> dict[str, Ints]:
    """Core of each neuron; the host's lines are at the first."""
    homes = {name: np.zeros(size, np.int64) for name, size in _sizes(placement).items()}
    for core in placement.cores:
        for part in core.slices:
            homes[part.population].reshape(part.grid)[selection(part.bounds)] = core.index
    return homes
