"""Weights and biases of a quantised graph that something else may move: by gradients, or to make means right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from snntorch import surrogate
from torch import Tensor

from . import scales
from .calibration import Calibration
from .float_run import Numbers
from .formats import weight_unit
from .graph import LI, LIF, Floats, Graph, IntegerNeuron, Synapses
from .linear import fan_out, with_weight
from .quantise import quantise

#: Steps of the grid by which the weights of a layer that needs no tuning may be off.
ON_GRID = 0.05


class Observed(NamedTuple):
    """What a chip did with samples: spikes (samples, timesteps, neurons) and outputs in float units, by population."""

    spikes: dict[str, NDArray[np.uint8]]
    outputs: dict[str, NDArray[np.float32]]


def in_place(soft: Tensor, hard: NDArray[np.float32] | NDArray[np.uint8]) -> Tensor:
    """The value of ``hard`` with the gradient of ``soft``."""
    return soft + (torch.from_numpy(hard).to(soft.dtype) - soft).detach()


class Learned(Numbers):
    """A graph's numbers with weights and biases to learn: those that rounding moves.

    Synapses whose weights are on the grid as they are (products, pools) stay, as do those of currents that the host
    computes.

    Parameters
    ----------
    graph : Graph
        At the float level; quantised it is what learning starts with, and whose scales and thresholds stay.
    calibration, bits, per_channel
        As in :func:`~spikewright.export.quantise.quantise`.
    """

    def __init__(self, graph: Graph, calibration: Calibration, bits: int, per_channel: bool = True) -> None:
        self.origin, self.top = graph, (1 << (bits - 1)) - 1
        self.calibration, self.bits, self.per_channel = calibration, bits, per_channel
        self.start = integer = quantise(graph, calibration, bits=bits, per_channel=per_channel)
        self.steps: dict[str, Tensor] = {}
        self.weights: dict[str, Tensor] = {}
        self.biases: dict[str, Tensor] = {}
        self.bias_steps: dict[str, float] = {}
        self.now: dict[str, Tensor] = {}
        self.seen: Observed | None = None
        self.fan_out: dict[str, Tensor] = {}
        self.operations = torch.zeros(())
        for name in graph.select(Synapses):
            rounded, node, source = _synapses(integer, name), self._node(name), graph.sources(name)[0]
            if isinstance(graph.nodes[source], LIF):
                reached = torch.from_numpy(fan_out(rounded.map).astype(np.float32))
                self.fan_out[source] = self.fan_out.get(source, 0) + reached
            if rounded.exponent is None:
                continue
            step = _step(graph, integer, name, rounded)
            if np.abs(rounded.map.weight - node.map.weight / step).max(initial=0) < ON_GRID:
                continue
            self.steps[name] = torch.from_numpy(step.astype(np.float32))
            self.weights[name] = torch.from_numpy(rounded.map.weight.astype(np.float32)).requires_grad_()
            # Quantising takes off the bias what rounding adds on average.
            rates = calibration.rates.get(source)
            bias: Floats = -scales.mean_shift(node.map, rounded.map.weight * step, rates)
            if node.bias is not None:
                bias = node.bias.astype(np.float64) + np.repeat(bias, len(node.bias) // len(bias))
            # A bias is learned in mean steps of its layer's weights.
            self.bias_steps[name] = float(step.mean())
            in_steps = torch.from_numpy(np.asarray(bias / self.bias_steps[name], np.float32))
            self.biases[name] = in_steps.requires_grad_()

    def parameters(self) -> list[Tensor]:
        """What is learned."""
        return [*self.weights.values(), *self.biases.values()]

    @contextmanager
    def at(self, values: Sequence[Tensor]) -> Iterator[None]:
        """Other values for a while, in the order of :meth:`parameters`."""
        kept = [learned.detach().clone() for learned in self.parameters()]
        with torch.no_grad():
            for learned, value in zip(self.parameters(), values, strict=True):
                learned.copy_(value)
            try:
                yield
            finally:
                for learned, value in zip(self.parameters(), kept, strict=True):
                    learned.copy_(value)

    def begin(self, seen: Observed | None) -> None:
        """Round the weights for one forward pass, in which a chip did what is given; count operations from nothing."""
        self.seen, self.operations = seen, torch.zeros(())
        for name, learned in self.weights.items():
            self.now[name] = (learned + (self._rounded(name) - learned).detach()) * self.steps[name]

    def graph(self) -> Graph:
        """The float graph with weights on the grid, as learned so far."""
        out = self.origin
        for name in self.weights:
            node = self._node(name)
            weight = (self._rounded(name) * self.steps[name]).numpy()
            bias = (self.biases[name].detach() * self.bias_steps[name]).numpy()
            out = out.with_node(name, replace(node, map=with_weight(node.map, weight), bias=bias))
        return out

    def quantised(self) -> Graph:
        """The integer graph as learned so far, at the scales that it began with."""
        return quantise(
            self.graph(), self.calibration, bits=self.bits, per_channel=self.per_channel, held=self.start
        )

    def _rounded(self, name: str) -> Tensor:
        return self.weights[name].detach().round().clamp(-self.top, self.top)

    def weight(self, name: str, node: Synapses) -> Tensor:
        """Rounded weights."""
        return self.now[name] if name in self.now else super().weight(name, node)

    def bias(self, name: str, node: Synapses) -> Tensor | None:
        """Learned biases."""
        if name in self.biases:
            return self.biases[name] * self.bias_steps[name]
        return super().bias(name, node)

    def fire(self, name: str, step: int, distance: Tensor) -> Tensor:
        """Spikes with a surrogate gradient, the chip's own where there is one.

        ``operations`` grows by the synapses that they reach, as many as there were to begin with.
        """
        node = self.origin.nodes[name]
        assert isinstance(node, LIF)
        spikes: Tensor = surrogate.atan(alpha=2.0)(distance / torch.from_numpy(node.threshold))
        if self.seen is not None:
            spikes = in_place(spikes, self.seen.spikes[name][:, step])
        if name in self.fan_out:
            self.operations = self.operations + (spikes @ self.fan_out[name]).sum()
        return spikes

    def _node(self, name: str) -> Synapses:
        return _synapses(self.origin, name)


def _synapses(graph: Graph, name: str) -> Synapses:
    node = graph.nodes[name]
    assert isinstance(node, Synapses)
    return node


def _step(graph: Graph, integer: Graph, name: str, rounded: Synapses) -> Floats:
    """What a weight of 1 adds in the float graph's units, shaped to multiply the map's weight."""
    target = graph.targets(name)[0]
    node, neuron = graph.nodes[target], integer.nodes[target]
    assert isinstance(node, LIF | LI)
    assert isinstance(neuron, IntegerNeuron)
    assert rounded.exponent is not None
    scale = np.broadcast_to(neuron.scale / node.unit, (prod(rounded.shape),))
    by_channel = scale.reshape(rounded.map.channels, -1)[:, 0]
    return scales.spread(rounded.map, weight_unit(rounded.exponent) / by_channel)
