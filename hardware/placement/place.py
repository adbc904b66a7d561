"""Places a program on a chip: each population in boxes that fit a core, small ones together.

Populations are placed from the last to the first: then it is known into how many cores the spikes of a population go,
on which its output axons depend. Where populations form a loop, the cores of the round before stand in for those not
placed yet.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from ...export.formats import Ints
from ...export.levels import Finding
from ...export.unroll import unroll
from ..chip import Chip
from ..program import Population, Program
from . import limits as names
from .cut import Unplaceable, cut
from .demand import Demand, Take, exceeded
from .layout import Bounds, Core, Placement, Slice, flat_indices, selection, volume
from .limits import capacities
from .reach import Sources, union

#: Rounds for populations that form a loop.
ROUNDS = 6
#: Half-filled cores that a further box may join: enough to fill them well, few enough to try each time.
OPEN = 32
#: A core of which more than this share is taken is left as it is.
FULL = 0.97
#: Limits of which each box takes its own share; of the others it may take what is there already.
SUMMED = (names.NEURONS, names.MEMORY, names.INPUT_AXONS, names.OUTPUT_AXONS, names.DELAYS)
SHARED = (names.THRESHOLDS, names.SETTINGS, names.FORMATS)


def place(program: Program, chip: Chip, *, weight_bits: int | None = None) -> Placement:
    """Cut a program into cores, on as many chips as it takes.

    Parameters
    ----------
    weight_bits : int, optional
        Store weights in no more bits than this: what the program would take if it were quantised to them.

    Returns
    -------
    Placement
        With an error among its findings where a neuron exceeds a core by itself; its population is then left out.
    """
    destinations: dict[str, Ints] = {}
    for number in range(ROUNDS):
        trial = _Round(program, chip, weight_bits, _expected(destinations, number, chip))
        cores, destinations = trial.settle()
        over = [core for core in cores if any(core.use[name] > most for name, most in core.limits.items())]
        if not over:
            break
    findings = (*trial.findings, *_overfull(over, chip), *_shared_registers(cores))
    return Placement(program, chip, weight_bits, cores, findings)


def _expected(destinations: dict[str, Ints], number: int, chip: Chip) -> dict[str, Ints]:
    """Cores that each neuron will reach, from those of the round before.

    Smaller parts reach more cores, so each round leaves more room than the last, but no neuron by itself is expected to
    exceed a core that did not.
    """
    most, growth = chip.output_axons_per_core.value, 1 + number / 20
    return {
        name: np.minimum(np.ceil(before * growth).astype(np.int64), np.maximum(before, most))
        for name, before in destinations.items()
    }


class _Filling:
    """A core that is being filled."""

    def __init__(self) -> None:
        self.take = Take()
        self.parts: list[tuple[Demand, Bounds]] = []

    def add(self, demand: Demand, bounds: Bounds) -> None:
        """Put one more box into it."""
        self.take = self.take + demand.take(bounds)
        self.parts.append((demand, bounds))

    def has_room(self, wanted: Take, limits: dict[str, int]) -> bool:
        """So much more would fit."""
        taken = self.take
        return (
            taken.neurons + wanted.neurons <= limits[names.NEURONS]
            and taken.words + wanted.words <= limits[names.MEMORY]
            and taken.input_axons + wanted.input_axons <= limits[names.INPUT_AXONS]
            and not exceeded(taken + wanted, limits)
        )

    def met(self, name: str) -> Sources | None:
        """Neurons of one population or source with a synapse in the core; None where there are none."""
        sets = [met for demand, bounds in self.parts if (met := demand.met(bounds, name)) is not None]
        return union(sets) if sets else None

    def input_axons(self) -> int:
        """Neurons and lines with a synapse in the core, each counted once for all its parts."""
        if len(self.parts) == 1:
            return self.take.input_axons
        found: dict[str, list[Sources]] = {}
        for demand, bounds in self.parts:
            for source, met in demand.sources(bounds).items():
                found.setdefault(source, []).append(met)
        return sum(union(sets).count for sets in found.values())


class _Round:
    """One pass over the populations, from the last to the first.

    Parameters
    ----------
    before : dict of str to ndarray
        Cores that each neuron reached in the round before; empty in the first.
    """

    def __init__(
        self, program: Program, chip: Chip, weight_bits: int | None, before: dict[str, Ints]
    ) -> None:
        self.findings: list[Finding] = []
        self._program, self._limits = program, capacities(chip)
        self._cores: list[_Filling] = []
        self._open: list[_Filling] = []
        self._fed_by: dict[str, dict[_Filling, None]] = {}
        # Sorting is stable: populations that start together keep their order.
        flow = sorted(program.populations, key=lambda p: p.start)
        self._rank = {p.name: rank for rank, p in enumerate(flow)}
        self._reached: dict[str, Ints] = {}
        for population in reversed(flow):
            # None of its own cores is there yet, but a neuron with a synapse onto itself reaches the one it will be in.
            reached = self._destinations(population) + self._onto_itself(population)
            expected = [reached]
            if self._in_a_loop(population.name):
                # The round before may have reached more cores than this one will: an estimate, which may be too high.
                expected.insert(0, np.maximum(reached, before.get(population.name, 0)))
            else:
                self._reached[population.name] = reached
            self._cut(population, [Demand(program, population, chip, weight_bits, e) for e in expected], chip)

    def settle(self) -> tuple[tuple[Core, ...], dict[str, Ints]]:
        """The cores in order of data flow with what they really take, and the cores that each neuron reaches."""
        for population in self._program.populations:
            if population.name not in self._reached:
                self._reached[population.name] = self._destinations(population)
        self._cores.sort(key=self._position)
        return tuple(self._core(index, core) for index, core in enumerate(self._cores)), self._reached

    def _cut(self, population: Population, demands: list[Demand], chip: Chip) -> None:
        """Cut by the first of some demands that can be cut, and put the boxes into cores."""
        for demand in demands:
            try:
                parts = cut(demand, chip, self._limits)
            except Unplaceable as error:
                found = _too_large(population, demand, error, chip, self._limits)
                continue
            for bounds in parts:
                self._put(demand, bounds)
            return
        self.findings.insert(0, found)

    def _position(self, core: _Filling) -> tuple[float, Bounds]:
        """Where a core stands in the data flow: the mean of its neurons."""
        ranks = sum(self._rank[demand.name] * volume(bounds) for demand, bounds in core.parts)
        return ranks / core.take.neurons, core.parts[0][1]

    def _in_a_loop(self, name: str) -> bool:
        """Some of what it feeds is placed after it."""
        return any(self._rank[group.target] <= self._rank[name] for group in self._program.outputs_of(name))

    def _destinations(self, population: Population) -> Ints:
        """Cores that each neuron reaches, among those that there are by now; (neurons,)."""
        reached = np.zeros(population.size, np.int64)
        for core in self._fed_by.get(population.name, ()):
            met = core.met(population.name)
            if met is not None:
                reached.reshape(met.grid)[selection(met.bounds)] += 1 if met.picked is None else met.mask()
        return reached

    def _onto_itself(self, population: Population) -> Ints:
        """1 for each neuron with a synapse onto itself; (neurons,)."""
        found = np.zeros(population.size, np.bool_)
        for group in self._program.outputs_of(population.name):
            if group.target == population.name:
                found |= unroll(group.map).diagonal() != 0
        return found.astype(np.int64)

    def _put(self, demand: Demand, bounds: Bounds) -> None:
        """Into the first core with room, or a new one."""
        wanted = demand.take(bounds)
        core = next((c for c in reversed(self._open) if c.has_room(wanted, self._limits)), None)
        if core is None:
            core = _Filling()
            self._cores.append(core)
            self._open.append(core)
            del self._open[:-OPEN]
        core.add(demand, bounds)
        use = core.take.use(self._limits)
        if max(use[name] / self._limits[name] for name in SUMMED) > FULL:
            self._open.remove(core)
        for group in demand.arrivals.groups:
            self._fed_by.setdefault(group.source, {})[core] = None

    def _core(self, index: int, filling: _Filling) -> Core:
        """A filled core, counted again: slices share input axons, and loops are closed by now."""
        departures = sum(
            int(self._reached[demand.name].reshape(demand.grid)[selection(bounds)].sum())
            for demand, bounds in filling.parts
        )
        take = replace(filling.take, input_axons=filling.input_axons(), output_axons=departures)
        parts = sorted(filling.parts, key=lambda part: (self._rank[part[0].name], part[1]))
        slices = tuple(Slice(demand.name, demand.grid, bounds) for demand, bounds in parts)
        return Core(index, slices, take.use(self._limits), self._limits)


def _too_large(
    population: Population, demand: Demand, error: Unplaceable, chip: Chip, limits: dict[str, int]
) -> Finding:
    neuron = int(flat_indices(demand.grid, error.bounds)[0])
    used = demand.take(error.bounds).use(limits)[error.limit]
    taken, held = names.amount(error.limit, used), limits[error.limit]
    detail = f"neuron {neuron} alone takes {taken}, a core of {chip.title} has {held:,}"
    return Finding("error", population.name, error.limit, detail, names.REMEDIES[error.limit])


def _overfull(cores: list[Core], chip: Chip) -> list[Finding]:
    """Loops whose cores never came to rest, the worst core of each population."""
    found: dict[str, Finding] = {}
    for core in sorted(cores, key=lambda core: -core.share):
        limit, name = core.binding, core.slices[-1].population
        taken, held = names.amount(limit, core.use[limit]), core.limits[limit]
        detail = (
            f"its part {core.slices[-1]} takes {taken}, a core of {chip.title} has {held:,}, "
            "and smaller parts reach more cores"
        )
        found.setdefault(name, Finding("error", name, limit, detail, names.REMEDIES[limit]))
    return list(found.values())


def _shared_registers(cores: tuple[Core, ...]) -> list[Finding]:
    """Populations that take several cores only because neurons of a core share registers, one note a limit."""
    bound: dict[str, Counter[str]] = {}
    for core in cores:
        for name in core.populations:
            bound.setdefault(name, Counter())[core.binding] += 1
    found = []
    for limit in SHARED:
        taken = {
            name: counted.total() for name, counted in bound.items() if counted[limit] > counted.total() / 2
        }
        several = {name: number for name, number in taken.items() if number > 1}
        if several:
            worst = max(several, key=lambda name: several[name])
            others = f"; so do {len(several) - 1} other populations" if len(several) > 1 else ""
            detail = f"takes {several[worst]} cores because its neurons differ in {limit}{others}"
            found.append(Finding("note", worst, limit, detail, "quantise with one scale a layer"))
    return found
