"""From the integer graph to the timed program: schedules, delays, and what the host keeps."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..export.formats import DELAY_MAX
from ..export.graph import Graph, Input, IntegerNeuron, Output, Synapses
from ..export.levels import require
from .program import Population, Program, ProgramError, SpikeSource, SynapseGroup, validate
from .program_io import map_header


def compile_program(graph: Graph, *, period: int | None = None, inject: str | None = None) -> Program:
    """Compile an integer graph.

    Every synapse group takes one step, so a population starts at its longest path from the input; shorter branches get
    the delay that lines them up.

    Parameters
    ----------
    graph : Graph
        At the integer level.
    period : int, optional
        Steps between the starts of two samples; the sample's own steps by default.
    inject : str, optional
        Population whose spikes the host injects: only what it feeds is compiled (a decoder without its encoder).

    Raises
    ------
    ProgramError
        A branch needs a longer delay than a synapse has, or ``inject`` names no population that all the rest hangs on.
    """
    require(graph, "integer")
    if inject is not None:
        _check_injection(graph, inject)
    kept = _downstream(graph, inject)
    starts: dict[str, int] = {}
    sources: list[SpikeSource] = []
    populations: list[Population] = []
    host: dict[str, Any] = {"encoders": [], "steps": []}
    arrays: dict[str, Any] = {}
    for name in kept:
        node = graph.nodes[name]
        if name == inject or (isinstance(node, Input) and node.coding == "spikes"):
            sources.append(SpikeSource(name, node.shape))
            starts[name] = 0
        elif isinstance(node, IntegerNeuron):
            feeding = [graph.sources(s)[0] for s in graph.sources(name)]
            missing = [f for f in feeding if not node.static and f not in starts]
            if missing:
                raise ProgramError(
                    f"inject: {name} is fed by {missing[0]} as well, which {inject} does not feed; inject further back"
                )
            starts[name] = 0 if node.static else 1 + max(starts[f] for f in feeding)
            populations.append(_population(name, node, starts[name]))
            if node.static:
                for synapses in graph.sources(name):
                    _encoder(graph, name, synapses, host, arrays)
    for index, step in enumerate(graph.host_steps):
        if step.node in kept:
            host["steps"].append({"kind": step.kind, "node": step.node, "arrays": sorted(step.arrays)})
            prefix = f"step{len(host['steps']) - 1}"
            arrays |= {
                f"{prefix}.{key}": np.asarray(array) for key, array in graph.host_steps[index].arrays.items()
            }
    groups = tuple(_groups(graph, starts, {p.name for p in populations}))
    timesteps = graph.settings.timesteps
    program = Program(
        name=graph.name,
        timesteps=timesteps,
        period=timesteps if period is None else period,
        sources=tuple(sources),
        populations=tuple(populations),
        synapses=groups,
        host=host,
        host_arrays=arrays,
    )
    validate(program)
    return program


def _check_injection(graph: Graph, inject: str) -> None:
    known = [n for n in graph.select(IntegerNeuron) if not getattr(graph.nodes[n], "readout", False)]
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
    reached = {inject}
    for name in order:
        if any(s in reached for s in graph.sources(name)):
            reached.add(name)
    return [name for name in order if name in reached]


def _population(name: str, node: IntegerNeuron, start: int) -> Population:
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
    arrays[f"{synapses}.weight"] = node.map.weight
    arrays[f"{synapses}.bias"] = np.zeros(node.map.channels, np.float32) if node.bias is None else node.bias


def _groups(graph: Graph, starts: dict[str, int], targets: set[str]) -> list[SynapseGroup]:
    groups = []
    for name in graph.select(Synapses):
        node, source = graph.nodes[name], graph.sources(name)[0]
        assert isinstance(node, Synapses)
        for target in graph.targets(name):
            if target not in targets or source not in starts or node.exponent is None:
                continue
            delay = starts[target] - starts[source] - 1
            if delay > DELAY_MAX:
                raise ProgramError(
                    f"{name}: {source} must wait {delay} steps for {target}, a synapse delays by at most {DELAY_MAX}; "
                    "shorten the longer branch"
                )
            unique = name if len(graph.targets(name)) == 1 else f"{name}->{target}"
            groups.append(SynapseGroup(unique, source, target, node.map, node.exponent, delay))
    return groups
