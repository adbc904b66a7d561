"""One population from floats to integers: its scales, the exponent of its weights, and the bias left to write."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import formats, scales
from .calibration import Calibration
from .compensate import Compensation
from .errors import ExportError
from .formats import ALIGNMENT_SHIFT, weight_unit
from .graph import LI, LIF, Floats, Graph, IntegerNeuron, Synapses
from .linear import expand_channels, with_weight

#: Room above the largest static current seen in calibration.
STATIC_MARGIN = 1.25
MAX_BITS = 8
#: Shift between the two parts of a wide weight, and the largest that they hold together: 127 * 128 + 63.
WIDE_SHIFT, WIDE_TOP = 7, 16319
CORRECTION_ROUNDS = 20


@dataclass(frozen=True)
class Lowered:
    """Whole quantised weights by synapses, the exponent that they share, scales and the bias left to write."""

    weights: dict[str, Synapses]
    exponent: int
    scale: Floats
    bias: Floats
    neuron: IntegerNeuron
    wide: bool

    def into(self, graph: Graph, name: str) -> Graph:
        """The graph with the population lowered; wide weights become two nodes."""
        graph = graph.with_node(name, self.neuron)
        for s, group in self.weights.items():
            q = group.map.weight
            if not self.wide:
                graph = graph.with_node(s, replace(group, map=with_weight(group.map, q.astype(np.int8))))
                continue
            high = (q + (1 << (WIDE_SHIFT - 1))) >> WIDE_SHIFT
            low = q - (high << WIDE_SHIFT)
            coarse = with_weight(group.map, high.astype(np.int8))
            graph = graph.with_node(s, replace(group, map=coarse, exponent=self.exponent + WIDE_SHIFT))
            finer = f"{s}_low"
            while finer in graph.nodes:
                finer += "_"
            fine = replace(group, map=with_weight(group.map, low.astype(np.int8)), refines=s)
            edges = ((graph.sources(s)[0], finer), (finer, name))
            graph = replace(graph, nodes={**graph.nodes, finer: fine}, edges=(*graph.edges, *edges))
        return graph


class _Rounded(NamedTuple):
    """Whole weights at a scale, and the bias that they leave to write; it may be too large yet."""

    weights: dict[str, Synapses]
    exponent: int
    scale: Floats
    bias: Floats


class Held(NamedTuple):
    """Exponent and scales (membrane units per unit of the source network) of a population that was quantised before."""

    exponent: int
    scale: Floats

    @classmethod
    def of(cls, integer: Graph, name: str, groups: Iterable[str]) -> Held:
        """Those of a population that groups of synapses feed."""
        neuron, exponents = integer.nodes[name], {getattr(integer.nodes[s], "exponent", None) for s in groups}
        assert isinstance(neuron, IntegerNeuron)
        (exponent,) = exponents
        assert exponent is not None
        return cls(exponent, neuron.scale)


class Population:
    """A population that spikes drive, with what quantising it needs."""

    def __init__(
        self,
        graph: Graph,
        name: str,
        node: LIF | LI,
        calibration: Calibration,
        per_channel: bool,
        strict: bool,
        late: bool,
        compensate: bool | None,
    ) -> None:
        self.name, self.node, self.timesteps = name, node, graph.settings.timesteps
        direct = graph.direct(name) if isinstance(node, LIF) and node.static else []
        self.groups = {
            s: g for s in graph.sources(name) if isinstance(g := graph.nodes[s], Synapses) and s not in direct
        }
        self.written = (
            static_peak(name, calibration) if direct else None
        )  # what the host adds, own bias included
        self.units = scales.units_of(self.groups, node, per_channel)
        self.rates = {s: calibration.rates.get(graph.sources(s)[0]) for s in self.groups}
        self.compensate = compensate
        self.spikes = {
            s: calibration.spikes[source]
            for s in self.groups
            if (source := graph.sources(s)[0]) in calibration.spikes
        }
        peaks = (calibration.current_peak.get(name), calibration.membrane_peak.get(name))
        self.calibrated = np.zeros(self.units) if strict else scales.calibrated_caps(node, *peaks, self.units)
        # Graded spikes of the input weigh as much as several plain ones.
        self.peak = {s: getattr(graph.nodes[graph.sources(s)[0]], "peak", 1) for s in self.groups}
        self.worst = self._worst({s: g.map.weight for s, g in self.groups.items()})
        # What the host writes is there from the sample's first step on, in loops as well.
        self.line = not direct and (late or bool(node.alpha.any()))
        self.bias = np.zeros(1)
        for s in graph.sources(name):
            g = graph.nodes[s]
            assert isinstance(g, Synapses)
            if g.bias is not None:
                self.bias = self.bias + expand_channels(g.bias.astype(np.float64), node.shape)

    def lower(self, top: int, held: Held | None = None) -> Lowered:
        """Quantise to weights of at most ``top``, at scales that are held where they fit."""
        exponents = range(formats.WEIGHT_EXPONENT_MIN, formats.WEIGHT_EXPONENT_MAX + 1)
        if top == WIDE_TOP:  # the high part's exponent is higher by the shift
            exponents = exponents[: len(exponents) - WIDE_SHIFT]
        largest = scales.largest_weights(self.groups, self.units)
        # A proof is worth fine states, but not weight resolution; nor that of a bias over the line, 64 membrane units.
        with np.errstate(divide="ignore"):
            wanted = np.where(self.line, np.inf, top * weight_unit(exponents[0]) / largest)
        if held is not None:
            scale = np.broadcast_to(held.scale / self.node.unit, (prod(self.node.shape),)).reshape(
                self.units, -1
            )[:, 0]
            # Learned biases may have left the range of some units: those alone get a lower scale.
            for attempt in range(CORRECTION_ROUNDS):
                result = self._at(scale, held.exponent, top, tuned=True)
                fits = self._fits(result, np.full(self.units, np.inf))
                outside = scale > fits * (1 + 1e-6)
                if not outside.any():
                    return self._lowered(result, top)
                lower = np.minimum(scale, fits * (1 - 0.01 * attempt))
                if isinstance(self.node, LIF):
                    lower = scales.snap(self.name, lower, self.node, self.units)
                scale = np.where(outside, lower, scale)
        corrected, cap = self.bias, np.full(self.units, np.inf)
        for attempt in range(CORRECTION_ROUNDS):
            cap = np.minimum(cap, self._caps(corrected, wanted))
            exponent, scale = scales.choose(largest, cap, top, exponents)
            if isinstance(self.node, LIF):
                scale = scales.snap(self.name, scale, self.node, self.units)
            scale = scales.clip(self.name, self.node, self.groups, self.rates, scale, cap, exponent, top)
            result = self._at(scale, exponent, top)
            corrected = result.bias
            fits = self._fits(result, wanted)
            if (scale <= fits * (1 + 1e-9)).all():
                return self._lowered(result, top)
            # A step too small to turn any rounding would change nothing, so steps grow.
            cap = np.minimum(cap, np.where(fits < scale, fits * (1 - 0.01 * attempt), cap))
        raise ExportError(
            f"{self.name}: rounded to a largest weight of {top} its bias or membrane leaves the chip's range at every "
            "scale; use more bits"
        )

    def _at(self, scale: Floats, exponent: int, top: int, *, tuned: bool = False) -> _Rounded:
        """The population at a scale; what was tuned for it is rounded to the nearest and keeps its bias."""
        ratios = {s: scales.spread(g.map, scale / weight_unit(exponent)) for s, g in self.groups.items()}
        rounded = self._compensation(top, tuned).round(ratios, top)
        quantised, bias = {}, self.bias
        for s, g in self.groups.items():
            quantised[s] = replace(g, map=with_weight(g.map, rounded[s]), bias=None, exponent=exponent)
            if not tuned:
                shift = scales.mean_shift(g.map, rounded[s] / ratios[s], self.rates[s])
                bias = bias - expand_channels(shift, self.node.shape)
        return _Rounded(quantised, exponent, scale, bias)

    def _lowered(self, found: _Rounded, top: int) -> Lowered:
        static = self.written is not None
        bias = 0 * found.bias if static else found.bias
        neuron = integer_neuron(self.node, found.scale, bias, static=static, line=self.line)
        return Lowered(*found, neuron, top == WIDE_TOP)

    def _fits(self, result: _Rounded, wanted: Floats) -> Floats:
        """Largest scale of each unit once weights are rounded: the bias may be larger then, and every weight too."""
        headroom = self._headroom(result.weights, result.scale, result.bias, result.exponent)
        return np.minimum(self._caps(result.bias, wanted), result.scale * headroom)

    def error(self, result: Lowered) -> float:
        """Expected error of a step's input relative to the threshold, of the unit that has most."""
        top = WIDE_TOP if result.wide else (1 << (MAX_BITS - 1)) - 1
        squared = np.zeros(self.units)
        for s, g in self.groups.items():
            whole = scales.squared_error({s: g}, self.rates, result.scale, result.exponent, top)
            squared += whole * self.units / g.map.channels
        theta = self.node.threshold if isinstance(self.node, LIF) else np.full(1, np.inf)
        return float(np.sqrt(squared.max()) / theta.min())

    def _largest_bias(self, bias: Floats) -> Floats:
        """Largest magnitude of the bias, and of what the host writes with it."""
        if self.written is None:
            return np.abs(bias)
        return self.written + np.abs(bias - self.bias)

    def _worst(self, weights: dict[str, NDArray[Any]]) -> Floats:
        """Largest input of a step, whatever spikes arrive."""
        return scales.worst_sum(
            self.groups, {s: w * float(self.peak[s]) for s, w in weights.items()}, self.units
        )

    def _caps(self, bias: Floats, wanted: Floats) -> Floats:
        """Largest scale of each unit that registers and states allow; beyond what is wanted no proof is given up."""
        bias = self._largest_bias(bias)
        worst = self.worst + scales.unit_max(bias, self.units, prod(self.node.shape))
        states = scales.proven_caps(self.node, worst, self.units, self.timesteps)
        states = np.maximum(states, np.minimum(self.calibrated, wanted))
        cap = np.minimum(
            states, scales.register_caps(self.node, np.zeros(1) if self.line else bias, self.units)
        )
        # Without weights and bias nothing bounds the scale; any finite one will do.
        return np.where(np.isfinite(cap), cap, 1.0)

    def _compensation(self, top: int, tuned: bool) -> Compensation:
        """How weights make up for each other's errors; not at all where they are tuned or bits are enough."""
        few = top < (1 << (MAX_BITS - 1)) - 1 if self.compensate is None else self.compensate
        return self._informed if few and not tuned else Compensation(self.groups, {})

    @cached_property
    def _informed(self) -> Compensation:
        return Compensation(self.groups, self.spikes)

    def _headroom(self, quantised: dict[str, Synapses], scale: Floats, bias: Floats, exponent: int) -> Floats:
        """Room left in a proven state, as a factor of each unit's scale: below 1 the unit may overflow."""
        neurons = prod(self.node.shape)
        total = self._worst({s: g.map.weight for s, g in quantised.items()}) * weight_unit(exponent)
        bias = self._largest_bias(bias)
        value = bias * np.repeat(scale, neurons // self.units)
        if not self.line:
            clipped = np.rint(np.minimum(value, formats.BIAS_MAX)).astype(np.int64)
            value = formats.bias_value(*formats.split_bias(clipped)).astype(np.float64)
        worst = total + scales.unit_max(value, self.units, neurons)
        worst = worst * scales.unit_max(scales.gain(self.node, self.timesteps), self.units, neurons)
        magnitude = self.worst + scales.unit_max(bias, self.units, neurons)
        proven = scale <= scales.proven_caps(self.node, magnitude, self.units, self.timesteps) * (1 + 1e-9)
        factor = scales.STATE_CEILING / np.maximum(worst, 1) * (1 - 1e-6)
        return np.where(proven & (worst > scales.STATE_CEILING), factor, np.inf)


def static_peak(name: str, calibration: Calibration) -> float:
    """Largest current that the host may have to write, in float units."""
    if name not in calibration.static_peak:
        raise ExportError(
            f"{name}: the calibration has no current of it; calibrate with samples of the input"
        )
    return calibration.static_peak[name] * STATIC_MARGIN


def integer_neuron(node: LIF | LI, scale: Floats, bias: Floats, *, static: bool, line: bool) -> IntegerNeuron:
    """Registers of a population at a scale a unit, with its bias on the neuron or on an always-on line."""
    neurons = prod(node.shape)
    full = np.repeat(scale, neurons // len(scale))
    value = np.rint(full * (0 * bias if line else bias)).astype(np.int64)
    mantissa, exponent = formats.split_bias(value)
    if isinstance(node, LIF):
        threshold = np.rint(full * node.threshold.astype(np.float64) / (1 << ALIGNMENT_SHIFT)).astype(
            np.int64
        )
    else:
        threshold = np.full(neurons, formats.THRESHOLD_MAX)
    arriving = (
        np.rint(full * bias / (1 << ALIGNMENT_SHIFT)).astype(np.int64) if line else np.zeros(0, np.int64)
    )
    registers = (np.rint(formats.DECAY_ONE * (1 - keep)).astype(np.int64) for keep in (node.alpha, node.beta))
    current_decay, membrane_decay = (np.broadcast_to(r, (neurons,)).copy() for r in registers)
    return IntegerNeuron(
        shape=node.shape,
        # A decay of zero would be a register of -1, which only a simulator has.
        current_decay=np.maximum(current_decay - formats.CURRENT_DECAY_OFFSET, 0),
        # The chip's register ends one short of all: of a membrane that should be forgotten 1/4096 stays.
        membrane_decay=np.minimum(membrane_decay, formats.MEMBRANE_DECAY_MAX),
        threshold=threshold,
        bias_mantissa=mantissa,
        bias_exponent=exponent,
        scale=full * node.unit,
        static=static,
        readout=isinstance(node, LI),
        origin=node,
        line=arriving if arriving.any() else np.zeros(0, np.int64),
    )
