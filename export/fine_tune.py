"""Quantisation-aware fine-tuning: a float graph whose weights lose less when they are rounded.

It starts where :func:`~spikewright.export.quantise.quantise` ends, and keeps that grid: scales, thresholds and decays stay
as they are. Forward, weights are rounded; backward, rounding counts as the identity (straight-through, Bengio et al.
2013) and a spike has the derivative of an arctangent. With the chip in the loop even the spikes of the forward pass are
the integer program's own, and only the gradient is the float network's.

Weights are learned in steps of their grid, so that one learning rate suits layers of every scale. Every few iterations
they are judged on samples held out; the best are the result, those that tuning started with included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from snntorch import surrogate
from torch import Tensor

from . import scales
from .calibration import Calibration
from .errors import ExportError
from .float_run import Numbers, outputs
from .formats import weight_unit
from .graph import LI, LIF, Floats, Graph, IntegerNeuron, Synapses
from .levels import require
from .linear import with_weight
from .quantise import quantise

FloatArray: TypeAlias = NDArray[np.float32]
#: One in so many samples is held out to judge by.
HELD_OUT = 8
#: Steps of the grid by which the weights of a layer that needs no tuning may be off.
ON_GRID = 0.05


class Observed(NamedTuple):
    """What a chip did with samples: spikes (samples, timesteps, neurons) and outputs in float units, by population."""

    spikes: dict[str, NDArray[np.uint8]]
    outputs: dict[str, FloatArray]


#: Runs samples through an integer graph.
Chip: TypeAlias = Callable[[Graph, FloatArray], Observed]
#: Told iterations done, iterations in all, and the last error on held-out samples.
Progress: TypeAlias = Callable[[int, int, float], None]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast weights are tuned.

    Attributes
    ----------
    iterations, batch : int
    lr : float
        Largest learning rate of Adam, in steps of the weight grid; it falls to nothing along half a cosine.
    judge_every : int
        Iterations between two looks at the held-out samples.
    seed : int
        Of the order of the samples.
    """

    iterations: int = 400
    batch: int = 32
    lr: float = 0.03
    judge_every: int = 25
    seed: int = 0


class Tuned(NamedTuple):
    """A quantised graph, and errors on held-out samples relative to the variance of the outputs, before and after."""

    graph: Graph
    before: float
    after: float


def fine_tune(
    graph: Graph,
    samples: FloatArray,
    calibration: Calibration,
    *,
    targets: FloatArray | None = None,
    bits: int = 4,
    per_channel: bool = True,
    schedule: Schedule = Schedule(),
    chip: Chip | None = None,
    progress: Progress = lambda done, total, error: None,
) -> Tuned:
    """Tune a float graph's weights and biases for a bit width.

    Parameters
    ----------
    graph : Graph
        At the float level.
    samples : ndarray
        As for :func:`~spikewright.export.float_run.run_float`; one in eight is held out.
    calibration : Calibration
        What the graph will be quantised with.
    targets : ndarray, optional
        What the only output (samples, neurons) should be; by default what the untuned graph says.
    chip : callable, optional
        Puts the integer program's spikes and outputs in place of the float ones in the forward pass.

    Raises
    ------
    ExportError
        Too few samples, or targets that do not fit the output.
    """
    require(graph, "float")
    held = len(samples) // HELD_OUT
    if not held:
        raise ExportError(f"fine-tuning: {len(samples)} samples are too few; give at least {HELD_OUT}")
    wanted = _targets(graph, samples, targets, schedule.batch)
    spread = {name: max(float(y.var()), 1e-12) for name, y in wanted.items()}
    learned_from = np.arange(held, len(samples))

    start = quantise(graph, calibration, bits=bits, per_channel=per_channel)
    numbers = _Learned(graph, start, calibration, bits)

    def quantised() -> Graph:
        return quantise(numbers.graph(), calibration, bits=bits, per_channel=per_channel, held=start)

    def error(chosen: slice | NDArray[np.int64]) -> Tensor:
        seen = None if chip is None else chip(quantised(), samples[chosen])
        numbers.begin(seen)
        said = outputs(graph, samples[chosen], numbers)
        if seen is not None:
            said = {name: _in_place(y, seen.outputs[name]) for name, y in said.items()}
        return torch.stack([((y - wanted[n][chosen]) ** 2).mean() / spread[n] for n, y in said.items()]).sum()

    def judge() -> float:
        with torch.no_grad():
            parts = [slice(a, min(a + schedule.batch, held)) for a in range(0, held, schedule.batch)]
            return sum(float(error(p)) * (p.stop - p.start) for p in parts) / held

    best, before = start, judge()
    least = last = before
    adam = torch.optim.Adam(numbers.parameters(), schedule.lr)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, schedule.iterations)
    order = np.random.default_rng(schedule.seed)
    for done in range(1, schedule.iterations + 1):
        chosen = order.choice(learned_from, min(schedule.batch, len(learned_from)), replace=False)
        adam.zero_grad()
        error(chosen).backward()  # type: ignore[no-untyped-call]
        adam.step()
        falling.step()
        if done % schedule.judge_every == 0 or done == schedule.iterations:
            last = judge()
            if last < least:
                best, least = quantised(), last
        progress(done, schedule.iterations, last)
    return Tuned(best, before, least)


def _targets(graph: Graph, samples: FloatArray, targets: FloatArray | None, batch: int) -> dict[str, Tensor]:
    """What the outputs should be."""
    with torch.no_grad():
        if targets is None:
            parts = [outputs(graph, samples[a : a + batch], Numbers()) for a in range(0, len(samples), batch)]
            return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        own = {name: y.shape[1] for name, y in outputs(graph, samples[:1], Numbers()).items()}
    if len(own) > 1 or targets.shape != (len(samples), *own.values()):
        shapes = ", ".join(f"{name} ({len(samples)}, {n})" for name, n in own.items())
        raise ExportError(f"fine-tuning: targets of shape {targets.shape}; the outputs are {shapes}")
    return {name: torch.from_numpy(targets).float() for name in own}


def _in_place(soft: Tensor, hard: NDArray[np.float32] | NDArray[np.uint8]) -> Tensor:
    """The value of ``hard`` with the gradient of ``soft``."""
    return soft + (torch.from_numpy(hard).to(soft.dtype) - soft).detach()


class _Learned(Numbers):
    """A graph's numbers with weights and biases to learn: those that rounding moves.

    Synapses whose weights are on the grid as they are (products, pools) stay, as do those of currents that the host
    computes.
    """

    def __init__(self, graph: Graph, integer: Graph, calibration: Calibration, bits: int) -> None:
        self.origin, self.top = graph, (1 << (bits - 1)) - 1
        self.steps: dict[str, Tensor] = {}
        self.weights: dict[str, Tensor] = {}
        self.biases: dict[str, Tensor] = {}
        self.bias_steps: dict[str, float] = {}
        self.now: dict[str, Tensor] = {}
        self.seen: Observed | None = None
        for name in graph.select(Synapses):
            rounded, node = integer.nodes[name], self._node(name)
            assert isinstance(rounded, Synapses)
            if rounded.exponent is None:
                continue
            step = _step(graph, integer, name, rounded)
            if np.abs(rounded.map.weight - node.map.weight / step).max(initial=0) < ON_GRID:
                continue
            self.steps[name] = torch.from_numpy(step.astype(np.float32))
            self.weights[name] = torch.from_numpy(rounded.map.weight.astype(np.float32)).requires_grad_()
            # Quantising takes off the bias what rounding adds on average.
            rates = calibration.rates.get(graph.sources(name)[0])
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

    def begin(self, seen: Observed | None) -> None:
        """Round the weights for one forward pass, in which a chip did what is given."""
        self.seen = seen
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
        """Spikes with a surrogate gradient, the chip's own where there is one."""
        node = self.origin.nodes[name]
        assert isinstance(node, LIF)
        spikes: Tensor = surrogate.atan(alpha=2.0)(distance / torch.from_numpy(node.threshold))
        return spikes if self.seen is None else _in_place(spikes, self.seen.spikes[name][:, step])

    def _node(self, name: str) -> Synapses:
        node = self.origin.nodes[name]
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
