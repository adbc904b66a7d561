"""Traces of runs: a float graph, a program on any backend, a torch module, norse."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ...export.float_run import run_float
from ...export.formats import ALIGNMENT_SHIFT, bias_value
from ...export.graph import LI, LIF, Floats, Graph, Input, Synapses, size
from ...export.record import run_module
from ...hardware import arithmetic as hw
from ...hardware import host, reference
from ...hardware.emulator import Emulator, order
from ...hardware.lava import run as run_lava
from ...hardware.program import Inputs, Population, Program
from ...hardware.recording import Recording
from . import norse_check
from .traces import DiffError, Kind, LayerTrace, RawStates, Trace

Backend: TypeAlias = Literal["emulator", "reference", "lava"]
Samples: TypeAlias = NDArray[np.float32]


def trace_float(graph: Graph, samples: Samples, what: str = "float graph") -> Trace:
    """Run a graph at the float level.

    Raises
    ------
    ExportError
        The graph is not at the float level, or the samples do not fit it.
    """
    run = run_float(graph, samples, states=True)
    layers: dict[str, LayerTrace] = {}
    for name in graph.select(Input, LIF, LI):
        node = graph.nodes[name]
        if isinstance(node, Input):
            layers |= _input(name, node, samples)
            continue
        assert isinstance(node, LIF | LI)
        held = run.membranes[name] / node.unit
        spikes = run.spikes[name] if isinstance(node, LIF) else np.zeros(held.shape, np.uint8)
        layers[name] = LayerTrace(
            node.shape, _kind(node), spikes, graph_sources(graph, name), held, _threshold(node)
        )
    return Trace("float", what, "float", layers, samples)


def trace_module(
    module: nn.Module,
    samples: Samples,
    timesteps: int,
    *,
    graph: Graph | None = None,
    method: str = "forward",
    coding: str = "direct",
    what: str = "snnTorch module",
) -> Trace:
    """Run a module of snnTorch neurons as it is.

    Parameters
    ----------
    graph : Graph, optional
        The graph traced from it, which knows what the module does not say: shapes, thresholds, and who feeds whom.
    """
    run = run_module(module, torch.from_numpy(samples), timesteps, method=method, coding=coding)
    nodes = (
        {} if graph is None else {n: x for n in graph.order() if isinstance(x := graph.nodes[n], LIF | LI)}
    )
    modules = {path.replace(".", "_"): m for path, m in module.named_modules()}
    layers: dict[str, LayerTrace] = {}
    for name in [*(n for n in nodes if n in run.spikes), *(n for n in run.spikes if n not in nodes)]:
        node = nodes.get(name)
        held: Floats = run.membranes[name].astype(np.float64)
        spikes = run.spikes[name]
        reads = isinstance(node, LI) if node else getattr(modules[name], "reset_mechanism", "") == "none"
        if reads:
            spikes = np.zeros_like(spikes)
        elif not getattr(modules[name], "reset_delay", True):  # what made it fire is gone
            held = np.where(spikes > 0, np.nan, held)
        if graph is None or node is None:
            kind: Kind = "readout" if reads else "neurons"
            layers[name] = LayerTrace((spikes.shape[2],), kind, spikes, held=held)
        else:
            sources = graph_sources(graph, name)
            layers[name] = LayerTrace(node.shape, _kind(node), spikes, sources, held, _threshold(node))
    return Trace("snnTorch", what, "float", layers, samples)


def trace_norse(path: Path, graph: Graph, samples: Samples) -> Trace:
    """Run a float NIR file in norse: spikes and read-outs, no membranes.

    Raises
    ------
    DiffError
        norse is not installed, or the input is coded in spikes.
    """
    usable, reason = norse_check.available()
    if not usable:
        raise DiffError(reason)
    if any(isinstance(n, Input) and n.coding != "direct" for n in graph.nodes.values()):
        raise DiffError(f"{path}: norse is run on directly coded inputs only; use the float backend")
    spikes, readouts = norse_check.run_norse(path, samples, graph.settings.timesteps, graph.settings.dt)
    layers = {}
    for name in graph.select(LIF, LI):
        node = graph.nodes[name]
        assert isinstance(node, LIF | LI)
        shape = (len(samples), graph.settings.timesteps, size(node))
        read = readouts[name].astype(np.float64) / node.unit if isinstance(node, LI) else None
        fired = spikes[name].reshape(shape) if read is None else np.zeros(shape, np.uint8)
        sources = graph_sources(graph, name)
        layers[name] = LayerTrace(
            node.shape, _kind(node), fired, sources, threshold=_threshold(node), readout=read
        )
    return Trace("norse", f"{path} in norse", "float", layers, samples)


def trace_program(
    program: Program,
    samples: Samples,
    backend: Backend = "emulator",
    *,
    what: str = "integer program",
    time_limit: float = 600.0,
) -> Trace:
    """Encode samples as the host does and run a program.

    Raises
    ------
    ProgramError
        The samples do not fit the program.
    LavaError
        Lava is missing or failed.
    """
    inputs, clipped = host.encode(program, samples)
    notes = (f"{what}: {clipped} input currents exceed the largest bias and were clipped",) if clipped else ()
    if backend == "emulator":
        recording = Emulator(program).run(inputs, detail="states")
    elif backend == "reference":
        recording = reference.run(program, inputs)
    else:
        recording = run_lava(program, inputs, time_limit=time_limit)
    return trace_recording(program, inputs, recording, samples=samples, what=what, notes=notes)


def trace_recording(
    program: Program,
    inputs: Inputs,
    recording: Recording,
    *,
    samples: Samples | None = None,
    what: str = "integer program",
    notes: tuple[str, ...] = (),
) -> Trace:
    """The trace of a recording with states.

    A backend shows membranes after the reset; what was held against the threshold follows from the state before and the
    current, both recorded.
    """
    layers = {}
    for source in program.sources:
        if not source.constant:
            layers[source.name] = LayerTrace(source.shape, "input", recording.spikes[source.name])
    for stage in order(program):
        for p in stage:
            raw = _raw(p, inputs, recording)
            threshold = np.full(p.size, np.inf) if p.readout else raw.threshold / p.scale
            kind: Kind = "relay" if p.relay else "readout" if p.readout else "neurons"
            spikes, held = recording.spikes[p.name], raw.held / p.scale
            layers[p.name] = LayerTrace(
                p.shape, kind, spikes, program_sources(program, p.name), held, threshold, raw
            )
    return Trace(recording.backend, what, "integer", layers, samples, notes)


def _raw(p: Population, inputs: Inputs, recording: Recording) -> RawStates:
    currents, membranes = recording.currents[p.name], recording.membranes[p.name]
    bias = bias_value(*inputs.biases[p.name])[:, None] if p.host_bias else p.bias
    before = np.zeros_like(membranes)
    before[:, 1:] = membranes[:, :-1]
    held = hw.saturate_membrane(hw.integrate(before, currents, p.membrane_decay, p.threshold, bias, p.reset))
    return RawStates(currents, membranes, held, p.threshold << ALIGNMENT_SHIFT, p.scale)


def graph_sources(graph: Graph, name: str) -> tuple[tuple[str, int], ...]:
    """Populations and inputs that feed a population of a graph, with the steps by which their spikes are late."""
    found = []
    for s in graph.sources(name):
        node = graph.nodes[s]
        lag = node.lag if isinstance(node, Synapses) else 0
        found += [(origin, lag) for origin in graph.sources(s)]
    return tuple(dict.fromkeys(found))


def program_sources(program: Program, name: str, *, merged: bool = True) -> tuple[tuple[str, int], ...]:
    """The same of a program, seen through its relays; not ``merged``, one for each synapse group."""
    relays = {p.name for p in program.populations if p.relay}
    constant = {s.name for s in program.sources if s.constant}
    found: list[tuple[str, int]] = []
    for group in program.inputs_of(name):
        source = group.source
        while source in relays and name not in relays:
            source = program.inputs_of(source)[0].source
        if source not in constant:
            found.append((source, group.lag))
    return tuple(dict.fromkeys(found) if merged else found)


def _input(name: str, node: Input, samples: Samples) -> dict[str, LayerTrace]:
    if node.coding == "direct":
        return {}
    return {name: LayerTrace(node.shape, "input", samples.reshape(*samples.shape[:2], -1).astype(np.uint8))}


def _kind(node: LIF | LI) -> Kind:
    return "neurons" if isinstance(node, LIF) else "readout"


def _threshold(node: LIF | LI) -> Floats:
    value = node.threshold.astype(np.float64) / node.unit if isinstance(node, LIF) else np.full(1, np.inf)
    return np.broadcast_to(value, (size(node),))
