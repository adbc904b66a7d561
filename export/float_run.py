"""Interpreter of the float level: what the graph means before any integer.

Plain and batched; the order of operations is snnTorch's. It serves calibration and the layer by layer comparison of the
integer program with the float network, and with other :class:`Numbers` the search for better weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .errors import ExportError
from .graph import LI, LIF, Graph, Input, Output, Relay, Synapses, size
from .levels import require


@dataclass(frozen=True, eq=False)
class FloatRun:
    """Result of a float run.

    Attributes
    ----------
    spikes : dict of str to ndarray of uint8
        By population: (samples, timesteps, neurons).
    readouts : dict of str to ndarray of float32
        Membrane at the last step, by read-out or relay: (samples, neurons).
    static_peak : dict of str to float
        Largest magnitude of the current that the host writes for a population: that of its direct input, and all biases.
    current_peak, membrane_peak : dict of str to ndarray of float64
        Largest magnitude that each neuron's synaptic current and membrane (before a reset) reached, by population.
    relayed : dict of str to ndarray of float64
        Mean value that each neuron of a relay handed on, by relay.
    membranes : dict of str to ndarray of float32
        What each step held against the threshold, before any reset: (samples, timesteps, neurons), when asked for.
    """

    spikes: dict[str, NDArray[np.uint8]]
    readouts: dict[str, NDArray[np.float32]]
    static_peak: dict[str, float] = field(default_factory=dict)
    current_peak: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    membrane_peak: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    membranes: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    relayed: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def rates(self) -> dict[str, NDArray[np.float64]]:
        """Mean spikes a step of each neuron, by population; of relays the mean value."""
        return {name: spikes.mean((0, 1)) for name, spikes in self.spikes.items()} | self.relayed


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
    injected = injected or {}
    values: dict[str, Tensor] = {name: torch.from_numpy(s).float() for name, s in injected.items()}
    result = FloatRun(dict(injected.items()), {})
    with torch.no_grad():
        run = _Run(graph, Numbers(), values, result, states)
        run.through(samples, set(injected))
    return result


class Numbers:
    """What a run computes with: the graph's own numbers, unless a subclass puts others in their place."""

    def weight(self, name: str, node: Synapses) -> Tensor:
        """Weights of synapses, shaped as their map's."""
        return torch.from_numpy(node.map.weight)

    def bias(self, name: str, node: Synapses) -> Tensor | None:
        """Bias of each output channel of synapses."""
        return None if node.bias is None else torch.from_numpy(node.bias)

    def arrived(self, name: str, node: Synapses, current: Tensor) -> Tensor:
        """Currents (samples, steps, outputs) of synapses outside loops, as their population takes them."""
        return current

    def fire(self, name: str, step: int, distance: Tensor) -> Tensor:
        """Spikes (samples, neurons) of a population whose membranes are this far above their thresholds."""
        return (distance > 0).to(distance.dtype)


def outputs(graph: Graph, samples: NDArray[np.float32], numbers: Numbers) -> dict[str, Tensor]:
    """What each output population says (samples, neurons): a read-out's last membrane, or others' spikes a step.

    Gradients flow through ``numbers``.

    Raises
    ------
    ExportError
        The samples do not have the input's shape.
    """
    run = _Run(graph, numbers, {}, None, False)
    run.through(samples, set())
    ends = [graph.sources(name)[0] for name in graph.select(Output)]
    return {name: run.readouts[name] if name in run.readouts else run.values[name].mean(1) for name in ends}


class _Run:
    """One run through a graph: values of nodes as they become known, and what is kept of them."""

    def __init__(
        self, graph: Graph, numbers: Numbers, values: dict[str, Tensor], result: FloatRun | None, states: bool
    ) -> None:
        require(graph, "float")
        self.graph, self.numbers, self.values, self.result, self.states = (
            graph,
            numbers,
            values,
            result,
            states,
        )
        self.timesteps = graph.settings.timesteps
        self.readouts: dict[str, Tensor] = {}

    def through(self, samples: NDArray[np.float32] | None, injected: set[str]) -> None:
        """Run every node that something reads, and let go of what has been read for the last time."""
        needed = _needed(self.graph, injected)
        stages = [found for stage in self.graph.loops() if (found := [n for n in stage if n in needed])]
        last = {source: stage for stage in stages for name in stage for source in self.graph.sources(name)}
        kept = {self.graph.sources(name)[0] for name in self.graph.select(Output)}
        for stage in stages:
            if len(stage) > 1:
                self._loop(stage)
            else:
                self._alone(stage[0], samples)
            for source in {s for name in stage for s in self.graph.sources(name)} - kept:
                if last[source] is stage:
                    self.values.pop(source, None)

    def _alone(self, name: str, samples: NDArray[np.float32] | None) -> None:
        """A node that is in no loop."""
        node = self.graph.nodes[name]
        if isinstance(node, Input):
            self.values[name] = _enter(name, node, samples, self.timesteps)
        elif isinstance(node, Synapses):
            x = self.values[self.graph.sources(name)[0]]
            current = self._synapses(name, node, _late(x, node.lag))
            self.values[name] = self.numbers.arrived(name, node, current)
        elif isinstance(node, LIF | LI):
            self._note_static(name, self.values)
            self._population(name, node, [self.values.pop(s) for s in self.graph.sources(name)])

    def _synapses(self, name: str, node: Synapses, x: Tensor) -> Tensor:
        """Currents (samples, steps, outputs) of spikes (samples, steps, inputs)."""
        y = node.map.forward(x.flatten(0, 1), self.numbers.weight(name, node))
        bias = self.numbers.bias(name, node)
        if bias is not None:
            y = y + bias.repeat_interleave(prod(node.shape) // len(bias))
        return y.unflatten(0, x.shape[:2])

    def _cells(self, name: str, node: LIF | LI, count: int) -> Cells:
        return Cells(node, count, self.states, lambda step, distance: self.numbers.fire(name, step, distance))

    def _population(self, name: str, node: LIF | LI, currents: list[Tensor]) -> None:
        """All steps of a population that is in no loop."""
        current = (
            torch.stack(list(torch.broadcast_tensors(*currents))).sum(0) if currents[1:] else currents[0]
        )
        cells = self._cells(name, node, len(current))
        current = current.expand(-1, self.timesteps, -1)
        spikes = [cells.step(current[:, t]) for t in range(self.timesteps)]
        self._keep(name, cells, torch.stack(spikes, 1))

    def _note_static(self, name: str, values: dict[str, Tensor]) -> None:
        """The largest current that the host writes for a population."""
        node = self.graph.nodes[name]
        if self.result is None or not (isinstance(node, LIF) and node.static):
            return
        direct, total = self.graph.direct(name), torch.zeros(1, 1, size(node))
        for source in self.graph.sources(name):
            synapses = self.graph.nodes[source]
            assert isinstance(synapses, Synapses)
            if source in direct:
                total = total + values[source]
            elif synapses.bias is not None:
                bias = torch.from_numpy(synapses.bias)
                total = total + bias.repeat_interleave(prod(synapses.shape) // len(bias))
        self.result.static_peak[name] = float(total.abs().max())

    def _keep(self, name: str, cells: Cells, spikes: Tensor) -> None:
        if isinstance(cells.node, LIF | Relay):
            self.values[name] = spikes
        if not isinstance(cells.node, LIF):
            self.readouts[name] = cells.membrane
        if self.result is None:
            return
        self.result.current_peak[name] = cells.current_peak.double().numpy()
        self.result.membrane_peak[name] = cells.membrane_peak.double().numpy()
        if cells.held:
            self.result.membranes[name] = torch.stack(cells.held, 1).numpy()
        if isinstance(cells.node, Relay):
            self.result.relayed[name] = spikes.double().mean((0, 1)).numpy()
        if isinstance(cells.node, LIF):
            self.result.spikes[name] = spikes.to(torch.uint8).numpy()
        else:
            self.result.readouts[name] = cells.membrane.numpy()

    def _loop(self, names: list[str]) -> None:
        """Populations that feed each other, step by step."""
        graph, inside = self.graph, set(names)
        outside = {s: self.values[s] for name in names for s in graph.sources(name) if s not in inside}
        count = max(len(x) for x in outside.values())
        cells = {
            n: self._cells(n, node, count) for n in names if isinstance(node := graph.nodes[n], LIF | LI)
        }
        spikes: dict[str, list[Tensor]] = {n: [] for n in cells}
        known = {
            n: self._synapses(n, node, _late(outside[graph.sources(n)[0]], node.lag))
            for n in names
            if isinstance(node := graph.nodes[n], Synapses) and graph.sources(n)[0] in outside
        }
        for name in cells:
            self._note_static(name, outside | known)
        for t in range(self.timesteps):
            now: dict[str, Tensor] = {n: x[:, min(t, x.shape[1] - 1)] for n, x in (known | outside).items()}
            for name in names:
                node = graph.nodes[name]
                if isinstance(node, Synapses) and name not in now:
                    source = graph.sources(name)[0]
                    earlier = t - node.lag
                    # In its own step a population that fires later has not fired yet.
                    there = 0 <= earlier < len(spikes[source])
                    x = spikes[source][earlier] if there else torch.zeros(count, size(cells[source].node))
                    now[name] = self._synapses(name, node, x[:, None])[:, 0]
                elif name in cells:
                    total = torch.stack([now[s] for s in graph.sources(name)]).sum(0)
                    spikes[name].append(cells[name].step(total))
        for name, cell in cells.items():
            self._keep(name, cell, torch.stack(spikes[name], 1))


def _late(x: Tensor, lag: int) -> Tensor:
    """Spikes that arrive some steps late: nothing at first, and those of the last steps never."""
    if not lag:
        return x
    return torch.cat([torch.zeros_like(x[:, :lag]), x[:, : max(0, x.shape[1] - lag)]], 1)


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

    ``fire`` tells the spikes of a step from how far membranes are above their thresholds. What a relay sends in their
    place are its membranes.
    """

    def __init__(
        self, node: LIF | LI, count: int, states: bool, fire: Callable[[int, Tensor], Tensor]
    ) -> None:
        self.node, self.states, self.fire, self.steps = node, states, fire, 0
        self.held: list[Tensor] = []
        self.current = self.membrane = self.reset = torch.zeros(count, size(node))
        self.current_peak = self.membrane_peak = torch.zeros(size(node))
        self.beta, self.alpha = torch.from_numpy(node.beta).float(), torch.from_numpy(node.alpha).float()
        self.has_current = bool(node.alpha.any())
        self.threshold = torch.from_numpy(node.threshold) if isinstance(node, LIF) else torch.zeros(1)

    def step(self, arriving: Tensor) -> Tensor:
        """Advance by one step and return the spikes."""
        self.current = self.alpha * self.current + arriving if self.has_current else arriving
        kind = self.node.reset if isinstance(self.node, LIF) else "zero"
        if kind == "zero":
            self.membrane = (1 - self.reset) * self.membrane
        self.membrane = self.membrane * self.beta + self.current
        if kind == "subtract-delayed":
            self.membrane = self.membrane - self.reset * self.threshold
        if isinstance(self.node, LIF):
            spikes = self.fire(self.steps, self.membrane - self.threshold)
        else:
            spikes = torch.zeros_like(self.membrane)
        self.steps += 1
        sent = spikes if not isinstance(self.node, Relay) else self.membrane
        if self.states:
            self.held.append(self.membrane)
        self.current_peak = torch.maximum(self.current_peak, self.current.detach().abs().amax(0))
        self.membrane_peak = torch.maximum(self.membrane_peak, self.membrane.detach().abs().amax(0))
        if kind == "subtract":
            self.membrane = self.membrane - spikes * self.threshold
        self.reset = spikes
        return sent
