"""Several independent networks in one program, because a start of Lava costs more than a network does.

*Joined*, the networks lie side by side, each population and synapse group with a process of its own. *Folded*, all
populations that start at the same step become one, and all synapse groups between two of these with the same exponent
become one matrix with a block a network: ten times fewer processes, and every neuron still computes what it did alone.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..export.linear import Dense
from ..export.unroll import unroll
from ..hardware.program import Inputs, Population, Program, SpikeSource, SynapseGroup
from ..hardware.recording import Recording
from .random_programs import Frame, Network


@dataclass(frozen=True, eq=False)
class Batch:
    """Networks as one program.

    Attributes
    ----------
    places : tuple of dict
        A network each: population name to the batch's population and its neurons there.
    """

    program: Program
    inputs: Inputs
    places: tuple[dict[str, tuple[str, slice]], ...]

    def part(self, recording: Recording, network: int) -> Recording:
        """Rasters and states of one network's populations, under their own names."""

        def cut(of: dict[str, Any]) -> dict[str, Any]:
            places = self.places[network].items()
            return {name: of[p][..., neurons] for name, (p, neurons) in places if p in of}

        return replace(
            recording,
            counts=cut(recording.counts),
            readouts={},
            spikes=cut(recording.spikes),
            currents=cut(recording.currents),
            membranes=cut(recording.membranes),
            overhead_spikes=None,
        )


def join(networks: Sequence[Network], frame: Frame) -> Batch:
    """Networks of one frame side by side, each name behind its network's number."""
    sources: list[SpikeSource] = []
    populations: list[Population] = []
    groups: list[SynapseGroup] = []
    spikes: dict[str, Any] = {}
    biases: dict[str, Any] = {}
    places = []
    for index, network in enumerate(networks):
        program, prefix = network.program, f"{index}."
        sources += [replace(s, name=prefix + s.name) for s in program.sources]
        populations += [replace(p, name=prefix + p.name) for p in program.populations]
        groups += [
            replace(g, name=prefix + g.name, source=prefix + g.source, target=prefix + g.target)
            for g in program.synapses
        ]
        spikes |= {prefix + name: raster for name, raster in network.inputs.spikes.items()}
        biases |= {prefix + name: pair for name, pair in network.inputs.biases.items()}
        places.append({p.name: (prefix + p.name, slice(0, p.size)) for p in program.populations})
    program = _program("joined", frame, sources, populations, groups)
    return Batch(program, Inputs(spikes, biases), tuple(places))


def fold(networks: Sequence[Network], frame: Frame) -> Batch:
    """Networks of one frame with equal populations and synapse groups merged.

    Populations merge that start together, reset alike and take their bias from the same side. Read-outs become
    ordinary neurons, whose every membrane is recorded instead.
    """
    merged: dict[Hashable, list[Any]] = {}  # sources and populations that become one, by what they share
    where: dict[tuple[int, str], tuple[str, int]] = {}  # each one's new name and first neuron
    names: dict[Hashable, str] = {}
    sizes: dict[str, int] = {}
    blocks: dict[tuple[str, str, int, int, int], list[tuple[int, SynapseGroup]]] = {}
    for index, network in enumerate(networks):
        items: tuple[SpikeSource | Population, ...] = (*network.program.sources, *network.program.populations)
        for item in items:
            key = _kind(item)
            name = names.setdefault(key, f"{type(item).__name__.lower()}{len(names)}")
            where[index, item.name] = (name, sizes.get(name, 0))
            sizes[name] = sizes.get(name, 0) + item.size
            merged.setdefault(key, []).append((index, item))
        for g in network.program.synapses:
            ends = where[index, g.source][0], where[index, g.target][0]
            blocks.setdefault((*ends, g.exponent, g.delay, g.lag), []).append((index, g))
    sources: list[SpikeSource] = []
    populations: list[Population] = []
    groups: list[SynapseGroup] = []
    spikes: dict[str, Any] = {}
    biases: dict[str, Any] = {}
    for key, parts in merged.items():
        name, first = names[key], parts[0][1]
        if isinstance(first, SpikeSource):
            sources.append(replace(first, name=name, shape=(sizes[name],)))
            if not first.constant:
                spikes[name] = np.concatenate([networks[i].inputs.spikes[s.name] for i, s in parts], 2)
            continue
        populations.append(_merged(name, [p for _, p in parts]))
        if first.host_bias:
            pairs = [networks[i].inputs.biases[p.name] for i, p in parts]
            biases[name] = tuple(np.concatenate(part, 1) for part in zip(*pairs, strict=True))
    for (source, target, exponent, delay, lag), members in blocks.items():
        weight = np.zeros((sizes[target], sizes[source]), np.int8)
        for index, g in members:
            entries = unroll(g.map).tocoo()
            row, column = where[index, g.target][1], where[index, g.source][1]
            # No two groups of a network join the same populations with the same lag, so blocks never overlap.
            weight[entries.row + row, entries.col + column] = entries.data
        dense = Dense(weight, (sizes[source],), (sizes[target],))
        groups.append(SynapseGroup(f"g{len(groups)}", source, target, dense, exponent, delay, lag))
    places = [
        {
            p.name: (where[i, p.name][0], slice(where[i, p.name][1], where[i, p.name][1] + p.size))
            for p in network.program.populations
        }
        for i, network in enumerate(networks)
    ]
    program = _program("folded", frame, sources, populations, groups)
    return Batch(program, Inputs(spikes, biases), tuple(places))


def _kind(item: SpikeSource | Population) -> Hashable:
    """What sources or populations share that become one."""
    if isinstance(item, SpikeSource):
        return "source", item.peak, item.constant
    return "population", item.start, item.host_bias, item.reset


def _merged(name: str, parts: Sequence[Population]) -> Population:
    registers = ("current_decay", "membrane_decay", "threshold", "bias_mantissa", "bias_exponent", "scale")
    joined: dict[str, Any] = {key: np.concatenate([getattr(p, key) for p in parts]) for key in registers}
    size = sum(p.size for p in parts)
    first = parts[0]
    return Population(
        name, (size,), start=first.start, host_bias=first.host_bias, reset=first.reset, **joined
    )


def _program(
    name: str,
    frame: Frame,
    sources: Sequence[SpikeSource],
    populations: Sequence[Population],
    groups: Sequence[SynapseGroup],
) -> Program:
    return Program(name, frame.timesteps, frame.period, tuple(sources), tuple(populations), tuple(groups))
