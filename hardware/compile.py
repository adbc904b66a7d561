"""From the integer graph to the timed program: schedules, delays, and what the host keeps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..export.formats import WEIGHT_BITS, WEIGHT_EXPONENT_MAX, WEIGHT_EXPONENT_MIN, Ints
from ..export.graph import Graph, Input, IntegerNeuron, Output, Synapses
from ..export.levels import require
from ..export.linear import Dense
from .program import Population, Program, ProgramError, SpikeSource, SynapseGroup, validate
from .program_io import map_arrays, map_header
from .relays import DelayCosts, lay_out
from .schedule import Link, start_steps

#: Name of the line over which biases of currents arrive.
ALWAYS_ON = "always_on"


def compile_program(
    graph: Graph,
    *,
    period: int | None = None,
    inject: str | None = None,
    balance: bool = True,
    costs: DelayCosts | None = None,
) -> Program:
    """Compile an integer graph.

    Every synapse group takes one step, so a population starts at its longest path from the input; shorter branches get
    the delay, or the relays, that line them up.

    Parameters
    ----------
    graph : Graph
        At the integer level.
    period : int, optional
        Steps between the starts of two samples; the sample's own steps by default.
    inject : str, optional
        Population whose spikes the host injects: only what it feeds is compiled (a decoder without its encoder).
    balance : bool
        Without it nothing is lined up: each synapse group delivers as soon as it can, as a naive deployment has it.
        Such a program runs, and shows what balancing is worth.
    costs : DelayCosts, optional
        What the chip asks for delays; by default synapses wait as long as they can.

    Raises
    ------
    ProgramError
        A loop is faster than the chip, or ``inject`` names no population that all the rest hangs on.
    """
    require(graph, "integer")
    if inject is not None:
        _check_injection(graph, inject)
    kept = _downstream(graph, inject)
    sources: list[SpikeSource] = []
    host: dict[str, Any] = {"encoders": [], "steps": []}
    arrays: dict[str, Any] = {}
    names: list[str] = []
    for name in kept:
        node = graph.nodes[name]
        if name == inject:
            sources.append(SpikeSource(name, node.shape))
        elif isinstance(node, Input) and node.coding == "spikes":
            sources.append(SpikeSource(name, node.shape, node.peak))
        elif isinstance(node, IntegerNeuron):
            names.append(name)
            if node.static:
                for synapses in graph.direct(name):
                    _encoder(graph, name, synapses, host, arrays)
    last = next(graph.sources(name)[0] for name in graph.select(Output))
    names = [name for name in names if name != last] + [last]  # what the host reads comes last
    known = {*names, *(s.name for s in sources)}
    groups = [g for name in graph.select(Synapses) for g in _groups(graph, name, names, known, inject)]
    lines = [g for name in names for g in _line_groups(name, graph.nodes[name])]
    if lines:
        sources.append(SpikeSource(ALWAYS_ON, (1,), constant=True))
    links = [Link(g.name, g.source, g.target, g.lag) for g in (*groups, *lines)]
    starts = start_steps(graph.name, [s.name for s in sources], names, links)
    populations = [_population(name, graph.nodes[name], starts[name]) for name in names]
    waiting = [replace(g, delay=starts[g.target] + g.lag - starts[g.source] - 1) for g in (*groups, *lines)]
    if not balance:  # what arrives early counts early
        waiting = [replace(g, delay=0, lag=g.lag - g.delay) for g in waiting]
    relays, laid = lay_out(waiting, sources, populations, costs or DelayCosts())
    for index, step in enumerate(graph.host_steps):
        if step.node in kept:
            host["steps"].append({"kind": step.kind, "node": step.node, "arrays": sorted(step.arrays)})
            prefix = f"step{len(host['steps']) - 1}"
            arrays |= {
                f"{prefix}.{key}": np.asarray(array) for key, array in graph.host_steps[index].arrays.items()
            }
    timesteps = graph.settings.timesteps
    program = Program(
        name=graph.name,
        timesteps=timesteps,
        period=timesteps if period is None else period,
        sources=tuple(sources),
        populations=in_order(populations, relays),
        synapses=tuple(laid),
        host=host,
        host_arrays=arrays,
    )
    validate(program)
    return program


def _check_injection(graph: Graph, inject: str) -> None:
    known = [
        n
        for n in graph.select(IntegerNeuron)
        if isinstance(node := graph.nodes[n], IntegerNeuron) and not (node.readout or node.payload_bits)
    ]
    if inject not in known:
        raise ProgramError(
            f"inject: {inject!r} is no firing population of {graph.name}; populations: {', '.join(known)}"
        )
    if all(isinstance(graph.nodes[target], Output) for target in graph.targets(inject)):
        raise ProgramError(f"inject: {inject} is the last population, nothing would run; inject further back")


def _downstream(graph: Graph, inject: str | None) -> list[str]:
    order = graph.order()
    if inject is None:
        return order
    reached, before = {inject}, 0
    while len(reached) > before:  # a loop may lead back in the order
        before = len(reached)
        reached |= {name for name in order if any(s in reached for s in graph.sources(name))}
    return [name for name in order if name in reached]


def _population(name: str, node: Any, start: int) -> Population:
    assert isinstance(node, IntegerNeuron)
    return Population(
        name=name,
        shape=node.shape,
        current_decay=node.current_decay,
        membrane_decay=node.membrane_decay,
        threshold=node.threshold,
        bias_mantissa=node.bias_mantissa,
        bias_exponent=node.bias_exponent,
        scale=node.scale,
        start=start,
        host_bias=node.static,
        readout=node.readout,
        reset=node.reset,
        payload_bits=node.payload_bits,
        payload_shift=node.payload_shift,
    )


def _encoder(
    graph: Graph, population: str, synapses: str, host: dict[str, Any], arrays: dict[str, Any]
) -> None:
    """Keep the float map whose result the host writes as a bias."""
    node = graph.nodes[synapses]
    assert isinstance(node, Synapses)
    sample = graph.nodes[graph.sources(synapses)[0]].shape
    encoder = {"population": population, "name": synapses, "sample": sample, "map": map_header(node.map)}
    host["encoders"].append(encoder)
    arrays |= {f"{synapses}.{key}": array for key, array in map_arrays(node.map).items()}
    arrays[f"{synapses}.bias"] = np.zeros(node.map.channels, np.float32) if node.bias is None else node.bias


def _groups(
    graph: Graph, name: str, populations: list[str], known: set[str], inject: str | None
) -> list[SynapseGroup]:
    node, source = graph.nodes[name], graph.sources(name)[0]
    assert isinstance(node, Synapses)
    groups = []
    for target in graph.targets(name):
        if target not in populations or node.exponent is None:
            continue
        if source not in known:
            raise ProgramError(
                f"inject: {target} is fed by {source} as well, which {inject} does not feed; inject further back"
            )
        unique = name if len(graph.targets(name)) == 1 else f"{name}->{target}"
        groups.append(SynapseGroup(unique, source, target, node.map, node.exponent, lag=node.lag))
    return groups


def _line_groups(name: str, node: Any) -> list[SynapseGroup]:
    """Synapses from the always-on line that bring a population's bias exactly, as few as 8-bit weights allow."""
    assert isinstance(node, IntegerNeuron)
    rest: Ints = node.line
    top = (1 << (WEIGHT_BITS - 1)) - 1
    groups: list[SynapseGroup] = []
    while rest.any():
        largest = int(np.abs(rest).max())
        shift = next(
            (k for k in range(WEIGHT_EXPONENT_MAX - WEIGHT_EXPONENT_MIN) if largest <= top << k),
            WEIGHT_EXPONENT_MAX - WEIGHT_EXPONENT_MIN,
        )
        weight = np.clip(np.rint(rest / (1 << shift)), -top, top).astype(np.int8)
        rest = rest - (weight.astype(np.int64) << shift)
        dense = Dense(weight[:, None], (1,), node.shape)
        label = f"{name}_bias{len(groups)}"
        groups.append(SynapseGroup(label, ALWAYS_ON, name, dense, shift + WEIGHT_EXPONENT_MIN))
    return groups


def in_order(populations: list[Population], relays: list[Population]) -> tuple[Population, ...]:
    """Relays ahead of the first population that starts later; the last population stays last."""
    out = list(populations)
    for relay in relays:
        at = next((i for i, p in enumerate(out) if p.start > relay.start), len(out) - 1)
        out.insert(at, relay)
    return tuple(out)
