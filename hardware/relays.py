"""Lining up branches: delays on synapses, or relay populations that hand spikes on.

A synapse waits up to the chip's longest delay. Where a branch must wait longer, or where delays cost more synaptic memory
than a few neurons do, relays carry the spikes: each fires exactly when its one input did, a step and a delay later.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from ..export.formats import DECAY_ONE, DELAY_MAX
from ..export.linear import Conv2d, fan_out
from .chip import Chip
from .program import Population, Program, ProgramError, SpikeSource, SynapseGroup


@dataclass(frozen=True)
class DelayCosts:
    """What a chip asks for waiting, in bits of synaptic memory.

    Attributes
    ----------
    longest : int
        Longest delay of a synapse beside its own step.
    in_synapses : bool
        A synapse that waits stores how long, in as many bits as the number has.
    shared_kernels : bool
        A convolution stores its kernel once, and one delay for each of its weights.
    synapse_bits, neuron_bits : float
        A synapse, and a neuron's share of a core.
    """

    longest: int = DELAY_MAX
    in_synapses: bool = False
    shared_kernels: bool = False
    synapse_bits: float = 8.0
    neuron_bits: float = 0.0

    @classmethod
    def of(cls, chip: Chip) -> DelayCosts:
        """What a chip's description says."""
        core = chip.synapse_words_per_core.value * chip.synapse_word_bits.value
        return cls(
            chip.delay_max.value, True, chip.shared_kernels.value, max(chip.weight_bits.value),
            core / chip.neurons_per_core.value,
        )  # fmt: skip


@dataclass(frozen=True)
class BalanceCost:
    """What lining up branches costs a program.

    Attributes
    ----------
    delayed_synapses : int
        Synapses that wait.
    longest_delay : int
        Steps beside the one that every synapse takes.
    relay_neurons, relay_synapses : int
        Neurons that only hand spikes on, and the synapses into them.
    depth : int
        Steps from the first input to the last population: what a sample's latency exceeds its time steps by.
    """

    delayed_synapses: int
    longest_delay: int
    relay_neurons: int
    relay_synapses: int
    depth: int


def balance_cost(program: Program) -> BalanceCost:
    """Cost of lining up a program's branches."""
    relays = {p.name for p in program.populations if p.relay}
    delayed = [g for g in program.synapses if g.delay]
    return BalanceCost(
        sum(int(fan_out(g.map).sum()) for g in delayed),
        max((g.delay for g in delayed), default=0),
        sum(p.size for p in program.populations if p.relay),
        sum(int(fan_out(g.map).sum()) for g in program.synapses if g.target in relays),
        program.depth,
    )


def lay_out(
    groups: Collection[SynapseGroup],
    sources: Collection[SpikeSource],
    populations: Collection[Population],
    costs: DelayCosts,
) -> tuple[list[Population], list[SynapseGroup]]:
    """Relays, and groups whose delays the chip has.

    Parameters
    ----------
    groups : collection of SynapseGroup
        With the delay that lines each up, however long.

    Returns
    -------
    relays : list of Population
    groups : list of SynapseGroup
        In order, with those into relays behind.

    Raises
    ------
    ProgramError
        Graded spikes would have to pass a relay, which sends plain ones.
    """
    start = {s.name: 0 for s in sources} | {p.name: p.start for p in populations}
    shape = {s.name: s.shape for s in sources} | {p.name: p.shape for p in populations}
    graded = {s.name for s in sources if s.peak > 1} | {p.name for p in populations if p.graded}
    relays: dict[str, Population] = {}
    hops: list[SynapseGroup] = []
    laid = []
    for group in groups:
        wait = group.delay
        by_relay = (
            bool(wait)
            and costs.in_synapses
            and group.source not in graded
            and _relay_is_cheaper(group, prod(shape[group.source]), costs)
        )
        name = group.source
        while wait > (0 if by_relay else costs.longest):
            if group.source in graded:
                raise ProgramError(
                    f"{group.name}: graded spikes of {group.source} would wait {group.delay} steps, a synapse waits at "
                    f"most {costs.longest} and a relay sends plain spikes; shorten the longer branch"
                )
            step = min(wait - 1, costs.longest)
            at = start[name] + 1 + step
            relay = f"{group.source}_relay{at - start[group.source]}"
            if relay not in start:
                relays[relay] = _relay(relay, shape[group.source], at)
                hops.append(
                    SynapseGroup(f"{name}->{relay}", name, relay, _unit_map(shape[group.source]), 0, step)
                )
                start[relay] = at
            name, wait = relay, wait - step - 1
        laid.append(replace(group, source=name, delay=wait))
    return list(relays.values()), laid + hops


def _relay_is_cheaper(group: SynapseGroup, neurons: int, costs: DelayCosts) -> bool:
    stored = np.count_nonzero(group.map.weight) if costs.shared_kernels else int(fan_out(group.map).sum())
    bits = group.delay.bit_length()
    return bool(neurons * (costs.neuron_bits + costs.synapse_bits + bits) < stored * bits)


def _unit_map(shape: tuple[int, ...]) -> Conv2d:
    """One synapse from each line to its own relay; a weight of 1 shared by all."""
    return Conv2d(np.ones((1, 1, 1, 1), np.int8), (1, 1, prod(shape)))


def _relay(name: str, shape: tuple[int, ...], start: int) -> Population:
    size = prod(shape)
    zeros = np.zeros(size, np.int64)
    # A weight of 1 adds 128 membrane units, the threshold stands at 64, and nothing is left a step later.
    return Population(
        name,
        shape,
        current_decay=zeros + DECAY_ONE - 1,
        membrane_decay=zeros + DECAY_ONE - 1,
        threshold=zeros + 1,
        bias_mantissa=zeros,
        bias_exponent=zeros,
        scale=np.ones(size),
        start=start,
        relay=True,
    )
