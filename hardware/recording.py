"""What a backend hands back, the same type for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..export.formats import Ints

Detail: TypeAlias = Literal["totals", "counts", "spikes", "states"]


@dataclass(frozen=True, eq=False)
class Recording:
    """Result of running a program on a batch of samples, each population in its own local time.

    Attributes
    ----------
    backend : str
        Who computed it.
    counts : dict of str to ndarray of int64
        Spikes a neuron within its sample windows, by population or source: (samples, neurons).
    readouts : dict of str to ndarray of int64
        Membrane at the last step of each sample, by read-out population: (samples, neurons).
    spikes : dict of str to ndarray of uint8
        Rasters (samples, timesteps, neurons), when asked for; of graded relays the values sent, as int32.
    currents, membranes : dict of str to ndarray of int64
        States after each step (samples, timesteps, neurons), when asked for.
    overhead_spikes : dict of str to int, or None
        Spikes outside every sample window (pipeline fill and drain); None from a backend that does not step through
        global time.
    seconds : float
        Wall time of the run, start-up included.
    totals : dict of str to ndarray of int64
        Spikes a neuron over all samples, (neurons,), where a run for totals left the counts of each out.
    """

    backend: str
    counts: dict[str, Ints]
    readouts: dict[str, Ints]
    spikes: dict[str, NDArray[Any]] = field(default_factory=dict)
    currents: dict[str, Ints] = field(default_factory=dict)
    membranes: dict[str, Ints] = field(default_factory=dict)
    overhead_spikes: dict[str, int] | None = None
    seconds: float = 0.0
    totals: dict[str, Ints] = field(default_factory=dict)

    def total(self, name: str) -> Ints:
        """Spikes of each neuron over all samples: (neurons,)."""
        return self.totals[name] if name in self.totals else self.counts[name].sum(0, dtype=np.int64)


def merge(parts: Sequence[Recording], seconds: float) -> Recording:
    """Recordings of consecutive samples as one."""
    keys = ("counts", "readouts", "spikes", "currents", "membranes")
    merged: dict[str, Any] = {
        key: {name: np.concatenate([getattr(p, key)[name] for p in parts]) for name in getattr(parts[0], key)}
        for key in keys
    }
    totals = {
        name: np.sum([p.totals[name] for p in parts if name in p.totals], 0) for name in parts[0].totals
    }
    overhead: dict[str, int] | None = None
    if parts[0].overhead_spikes is not None:
        overhead = {
            name: sum((p.overhead_spikes or {}).get(name, 0) for p in parts)
            for name in parts[0].overhead_spikes
        }
    return Recording(parts[0].backend, **merged, overhead_spikes=overhead, seconds=seconds, totals=totals)


def shifted(raster: NDArray[Any], frames: int) -> NDArray[Any]:
    """A raster (frames, ...) as the frames after them see it, or before them where ``frames`` is negative; zeros beyond."""
    if not frames:
        return raster
    out = np.zeros_like(raster)
    kept = max(0, len(raster) - abs(frames))
    if frames > 0:
        out[frames:] = raster[:kept]
    else:
        out[:kept] = raster[-frames:]
    return out


@dataclass(frozen=True)
class Difference:
    """First place where two recordings part.

    Attributes
    ----------
    quantity : str
        ``spikes``, ``currents``, ``membranes`` or ``readouts``.
    sample, timestep, neuron : int
        Where; the timestep is local to the population, and -1 for a read-out.
    left, right : int
        Both values.
    """

    quantity: str
    population: str
    sample: int
    timestep: int
    neuron: int
    left: int
    right: int


@dataclass(frozen=True)
class Comparison:
    """How far two recordings agree.

    Attributes
    ----------
    neuron_steps : int
        Spikes compared: samples x time steps x neurons, over populations.
    differing_spikes, differing_states : int
        Disagreements; states are currents, membranes and read-outs.
    compared_states : int
        States compared.
    first : Difference or None
        The earliest population (in program order) and step that parts.
    by_population : dict of str to int
        Differing spikes and states of each population.
    """

    neuron_steps: int
    differing_spikes: int
    compared_states: int
    differing_states: int
    first: Difference | None
    by_population: dict[str, int]

    @property
    def equal(self) -> bool:
        """Nothing differs, and something was compared."""
        return self.neuron_steps > 0 and not self.differing_spikes and not self.differing_states


def compare(left: Recording, right: Recording, order: list[str]) -> Comparison:
    """Compare everything that both recordings hold.

    Parameters
    ----------
    order : list of str
        Populations in order of data flow, so that the first difference is the first cause.

    Raises
    ------
    ValueError
        The recordings have no raster in common: there is nothing to compare.
    """
    if not left.spikes.keys() & right.spikes.keys():
        raise ValueError("the recordings share no raster; record spikes in both")
    neuron_steps = states = differing_spikes = differing_states = 0
    first: Difference | None = None
    by_population: dict[str, int] = {}
    for name in order:
        found: list[Difference] = []
        for quantity in ("spikes", "currents", "membranes", "readouts"):
            a, b = getattr(left, quantity).get(name), getattr(right, quantity).get(name)
            if a is None or b is None:
                continue
            unequal = np.asarray(a, np.int64) != np.asarray(b, np.int64)
            count = int(unequal.sum())
            if quantity == "spikes":
                neuron_steps += unequal.size
                differing_spikes += count
            else:
                states += unequal.size
                differing_states += count
            by_population[name] = by_population.get(name, 0) + count
            if count:
                found.append(_first(quantity, name, unequal, a, b))
        if found and first is None:
            first = min(found, key=lambda d: (d.sample, d.timestep if d.timestep >= 0 else np.inf))
    return Comparison(neuron_steps, differing_spikes, states, differing_states, first, by_population)


def _first(quantity: str, name: str, unequal: NDArray[np.bool_], a: Ints, b: Ints) -> Difference:
    at = tuple(int(i) for i in np.argwhere(unequal)[0])
    timestep = at[1] if len(at) == 3 else -1
    return Difference(quantity, name, at[0], timestep, at[-1], int(a[at]), int(b[at]))
