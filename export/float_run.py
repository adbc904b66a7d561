"""Interpreter of the float level: what the graph means before any integer.

Plain and batched; the order of operations is snnTorch's. It serves calibration and the layer by layer comparison of the
integer program with the float network.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .errors import ExportError
from .graph import LI, LIF, Graph, Input, Synapses, size
from .levels import require


@dataclass(frozen=True, eq=False)
class FloatRun:
    """Result of a float run.

    Attributes
    ----------
    spikes : dict of str to ndarray of uint8
        By population: (samples, timesteps, neurons).
    readouts : dict of str to ndarray of float32
        Membrane at the last step, by read-out: (samples, neurons).
    static_peak : dict of str to float
        Largest magnitude of the current that the host writes for a population: that of its direct input, and all biases.
    current_peak, membrane_peak : dict of str to ndarray of float64
        Largest magnitude that each neuron's synaptic current and membrane (before a reset) reached, by population.
    membranes : dict of str to ndarray of float32
        What each step held against the threshold, before any reset: (samples, timesteps, neurons), when asked for.
    """

    spikes: dict[str, NDArray[np.uint8]]
    readouts: dict[str, NDArray[np.float32]]
    static_peak: dict[str, float] = field(default_factory=dict)
    current_peak: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    membrane_peak: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    membranes: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def rates(self) -> dict[str, NDArray[np.float64]]:
        """Mean spikes a step of each neuron, by population."""
        return {name: spikes.mean((0, 1)) for name, spikes in self.spikes.items()}


def run_float(
    graph: Graph,
    samples: NDArray[np.float32] | None = None,
    injected: dict[str, NDArray[np.uint8]] | None = None,
    *,
    states: bool = False,
) -> FloatRun:
    """Run a float graph.

    Parameters
    ----------
    graph : Graph
        At the float level.
    samples : ndarray, optional
        Direct coding: (samples, ...) real values; spike coding: (samples, timesteps, ...).
    injected : dict of str to ndarray, optional
        Spikes (samples, timesteps, neurons) that the host puts in place of a population's own; what feeds only such
        populations is not run.
    states : bool
        Keep every membrane as well.

    Raises
    ------
    ExportError
        The samples do not have the input's shape.
    """
    require(graph, "float")
    injected = injected or {}
    timesteps = graph.settings.timesteps
    values: dict[str, Tensor] = {name: torch.from_numpy(s).float() for name, s in injected.items()}
    result = FloatRun(dict(injected.items()), {})
    needed = _needed(graph, set(injected))
    with torch.no_grad():
        for stage in graph.loops():
            names = [name for name in stage if name in needed]
            if len(names) > 1:
                _loop(graph, names, values, result, states)
                continue
            for name in names:
                node = graph.nodes[name]
                if isinstance(node, Input):
                    values[name] = _enter(name, node, samples, timesteps)
                elif isinstance(node, Synapses):
                    x = values[graph.sources(name)[0]]
                    values[name] = _synapses(node, _late(x, node.lag))
                elif isinstance(node, LIF | LI):
                    _note_static(graph, name, values, result)
                    currents = [values.pop(s) for s in graph.sources(name)]
                    _population(name, node, currents, timesteps, values, result, states)
    return result


def _synapses(node: Synapses, x: Tensor) -> Tensor:
    """Currents (samples, steps, outputs) of spikes (samples, steps, inputs)."""
    y = node.map.forward(x.flatten(0, 1), torch.from_numpy(node.map.weight))
    if node.bias is not None:
        y = y + _by_neuron(node)
    return y.unflatten(0, x.shape[:2])


def _late(x: Tensor, lag: int) -> Tensor:
    """Spikes that arrive some steps late: nothing at first, and those of the last steps never."""
    if not lag:
        return x
    return torch.cat([torch.zeros_like(x[:, :lag]), x[:, : max(0, x.shape[1] - lag)]], 1)


def _population(
    name: str,
    node: LIF | LI,
    currents: list[Tensor],
    timesteps: int,
    values: dict[str, Tensor],
    result: FloatRun,
    states: bool,
) -> None:
    """All steps of a population that is in no loop."""
    current = torch.stack(list(torch.broadcast_tensors(*currents))).sum(0) if currents[1:] else currents[0]
    cells = Cells(node, len(current), states)
    spikes = torch.empty(len(current), timesteps, size(node))
    current = current.expand(-1, timesteps, -1)
    for t in range(timesteps):
        spikes[:, t] = cells.step(current[:, t])
    _keep(name, cells, spikes, values, result)


def _note_static(graph: Graph, name: str, values: dict[str, Tensor], result: FloatRun) -> None:
    """The largest current that the host writes for a population."""
    node = graph.nodes[name]
    if not (isinstance(node, LIF) and node.static):
        return
    direct, total = graph.direct(name), torch.zeros(1, 1, size(node))
    for source in graph.sources(name):
        synapses = graph.nodes[source]
        assert isinstance(synapses, Synapses)
        if source in direct:
            total = total + values[source]
        elif synapses.bias is not None:
            total = total + _by_neuron(synapses)
    result.static_peak[name] = float(total.abs().max())


def _by_neuron(node: Synapses) -> Tensor:
    """The bias of each output."""
    assert node.bias is not None
    return torch.from_numpy(node.bias).repeat_interleave(prod(node.shape) // len(node.bias))


def _keep(name: str, cells: Cells, spikes: Tensor, values: dict[str, Tensor], result: FloatRun) -> None:
    result.current_peak[name] = cells.current_peak.double().numpy()
    result.membrane_peak[name] = cells.membrane_peak.double().numpy()
    if cells.held:
        result.membranes[name] = torch.stack(cells.held, 1).numpy()
    if isinstance(cells.node, LIF):
        values[name] = spikes
        result.spikes[name] = spikes.to(torch.uint8).numpy()
    else:
        result.readouts[name] = cells.membrane.numpy()


def _loop(graph: Graph, names: list[str], values: dict[str, Tensor], result: FloatRun, states: bool) -> None:
    """Populations that feed each other, step by step."""
    inside = set(names)
    outside = {s: values[s] for name in names for s in graph.sources(name) if s not in inside}
    count = max(len(x) for x in outside.values())
    timesteps = graph.settings.timesteps
    cells = {n: Cells(node, count, states) for n in names if isinstance(node := graph.nodes[n], LIF | LI)}
    spikes = {n: torch.zeros(count, timesteps, size(cell.node)) for n, cell in cells.items()}
    known = {
        n: _synapses(node, _late(outside[graph.sources(n)[0]], node.lag))
        for n in names
        if isinstance(node := graph.nodes[n], Synapses) and graph.sources(n)[0] in outside
    }
    for name in cells:
        _note_static(graph, name, outside | known, result)
    for t in range(timesteps):
        now: dict[str, Tensor] = {n: x[:, min(t, x.shape[1] - 1)] for n, x in (known | outside).items()}
        for name in names:
            node = graph.nodes[name]
            if isinstance(node, Synapses) and name not in now:
                source = spikes[graph.sources(name)[0]]
                x = source[:, t - node.lag] if t >= node.lag else torch.zeros_like(source[:, 0])
                now[name] = _synapses(node, x[:, None])[:, 0]
            elif name in cells:
                total = torch.stack([now[s] for s in graph.sources(name)]).sum(0)
                spikes[name][:, t] = cells[name].step(total)
    for name, cell in cells.items():
        _keep(name, cell, spikes[name], values, result)


def _needed(graph: Graph, injected: set[str]) -> set[str]:
    """Nodes that something reads, once the injected populations are given."""
    waiting = [name for name in graph.nodes if not graph.targets(name) and name not in injected]
    wanted = set(waiting)
    while waiting:
        for source in graph.sources(waiting.pop()):
            if source not in wanted and source not in injected:
                wanted.add(source)
                waiting.append(source)
    return wanted


def _enter(name: str, node: Input, samples: NDArray[np.float32] | None, timesteps: int) -> Tensor:
    if samples is None:
        raise ExportError(f"{name}: the graph needs samples of shape {node.shape}")
    lead = 1 if node.coding == "direct" else 2
    if samples.shape[lead:] != node.shape or (lead == 2 and samples.shape[1] != timesteps):
        wanted = ("samples", *([timesteps] if lead == 2 else []), *node.shape)
        raise ExportError(f"{name}: samples of shape {samples.shape}, wanted ({', '.join(map(str, wanted))})")
    if not len(samples):
        raise ExportError(f"{name}: no samples; give at least one")
    if not np.isfinite(samples).all():
        raise ExportError(f"{name}: the samples hold NaN or infinite values; check the loader")
    flat = torch.from_numpy(np.ascontiguousarray(samples, np.float32)).reshape(
        len(samples), -1, prod(node.shape)
    )
    return flat


class Cells:
    """A population for a batch of samples, from zero state.

    Attributes
    ----------
    membrane : Tensor
        After the last step, before a reset to zero takes effect: (samples, neurons).
    current_peak, membrane_peak : Tensor
        Largest magnitudes so far: (neurons,).
    held : list of Tensor
        Each step's membrane before any reset, when asked for.
    """

    def __init__(self, node: LIF | LI, count: int, states: bool = False) -> None:
        self.node, self.states = node, states
        self.held: list[Tensor] = []
        self.current = self.membrane = self.reset = torch.zeros(count, size(node))
        self.current_peak = self.membrane_peak = torch.zeros(size(node))
        self.beta, self.alpha = torch.from_numpy(node.beta).float(), torch.from_numpy(node.alpha).float()
        self.has_current = bool(node.alpha.any())
        self.threshold = (
            torch.from_numpy(node.threshold) if isinstance(node, LIF) else torch.tensor(torch.inf)
        )

    def step(self, arriving: Tensor) -> Tensor:
        """Advance by one step and return the spikes."""
        self.current = self.alpha * self.current + arriving if self.has_current else arriving
        kind = self.node.reset if isinstance(self.node, LIF) else "zero"
        if kind == "zero":
            self.membrane = (1 - self.reset) * self.membrane
        self.membrane = self.membrane * self.beta + self.current
        if kind == "subtract-delayed":
            self.membrane = self.membrane - self.reset * self.threshold
        spikes = (self.membrane > self.threshold).to(arriving.dtype)
        if self.states:
            self.held.append(self.membrane)
        self.current_peak = torch.maximum(self.current_peak, self.current.abs().amax(0))
        self.membrane_peak = torch.maximum(self.membrane_peak, self.membrane.abs().amax(0))
        if kind == "subtract":
            self.membrane = self.membrane - spikes * self.threshold
        self.reset = spikes
        return spikes
