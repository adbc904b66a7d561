"""From floats to integers: weights, thresholds, biases and decays of a whole graph.

A population has a scale S a unit (its whole, or one an output channel where the target lets neurons have thresholds of
their own): membrane units per float unit. With weight exponent e a quantised weight of 1 adds ``128 * 2^e`` membrane
units, so that

    q = round(S w / (128 * 2^e)),   threshold = S theta / 64,   bias = round(S b) = mantissa * 2^k.

S is then lowered by less than one part in ``threshold`` so that the threshold is an integer *exactly*: the rounding of
a threshold would shift every spike of the neuron, that of a weight only its own. Where neurons of one scale have
different thresholds that holds for the largest, and the others are rounded.

Where eight bits are not enough, a population's weights are split over two synapse groups, ``q = 128 q_high + q_low``:
the sum is exact, and weights have fifteen bits for twice the synapses.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import formats, scales
from .errors import ExportError
from .float_run import FloatRun
from .formats import ALIGNMENT_SHIFT, weight_unit
from .graph import LI, LIF, Floats, Graph, IntegerNeuron, Synapses
from .levels import require
from .linear import expand_channels, with_weight

#: Room above the largest static current seen in calibration.
STATIC_MARGIN = 1.25
MIN_BITS, MAX_BITS = 2, 8
WIDE_BITS = 15
#: Shift between the two parts of a wide weight, and the largest that they hold together: 127 * 128 + 63.
WIDE_SHIFT, WIDE_TOP = 7, 16319
#: Expected error of a step's input, relative to the threshold, beyond which a population's weights become wide.
WIDE_ERROR = 0.01
CORRECTION_ROUNDS = 20


@dataclass(frozen=True)
class Calibration:
    """What data say about a float graph.

    Attributes
    ----------
    rates : dict of str to ndarray
        Mean spikes a step of each neuron, by population: how much an error of a weight matters.
    static_peak : dict of str to float
        Largest static current, by population.
    current_peak, membrane_peak : dict of str to ndarray
        Largest magnitudes of each neuron's states, by population.
    """

    rates: dict[str, Floats]
    static_peak: dict[str, float]
    current_peak: dict[str, Floats] = field(default_factory=dict)
    membrane_peak: dict[str, Floats] = field(default_factory=dict)

    @classmethod
    def of(cls, run: FloatRun) -> Calibration:
        """Calibration from a float run over representative samples."""
        return cls(run.rates(), run.static_peak, run.current_peak, run.membrane_peak)


def quantise(
    graph: Graph,
    calibration: Calibration,
    *,
    bits: int = 8,
    per_channel: bool = True,
    wide: Collection[str] | None = (),
    strict: bool = False,
) -> Graph:
    """Quantise a float graph.

    Parameters
    ----------
    bits : int
        Weight bits with sign, 2 to 8; or 15, which makes all populations wide.
    per_channel : bool
        A scale for each output channel; the target must allow thresholds a neuron.
    wide : collection of str, or None
        Populations (or layers that feed them) with 15-bit weights; None chooses those whose rounding error is large.
    strict : bool
        Every state must be proven to stay inside 24 bits by the weights alone; otherwise a population whose proof
        would cost weight resolution is bounded by what calibration saw.

    Raises
    ------
    ExportError
        A layer whose numbers have no integer form; the message names it, the numbers and the remedy.
    """
    require(graph, "float")
    if not (MIN_BITS <= bits <= MAX_BITS or bits == WIDE_BITS):
        raise ExportError(f"weight bits: {bits} is outside {MIN_BITS}..{MAX_BITS} and not {WIDE_BITS}")
    chosen = _chosen(graph, wide, bits)
    # Ahead of its sample a population must be silent where spikes lag, or they would reach into the sample.
    late = any(isinstance(node, Synapses) and node.lag for node in graph.nodes.values())
    out = graph
    for name in graph.select(LIF, LI):
        node = graph.nodes[name]
        assert isinstance(node, LIF | LI)
        direct = graph.direct(name) if isinstance(node, LIF) and node.static else []
        if direct and len(direct) == len(graph.sources(name)):
            assert isinstance(node, LIF)
            out = out.with_node(name, _static(name, node, calibration, per_channel))
            continue
        population = _Population(graph, name, node, calibration, per_channel, strict, late)
        top = WIDE_TOP if name in chosen else (1 << (min(bits, MAX_BITS) - 1)) - 1
        result = population.lower(top)
        if wide is None and bits == MAX_BITS and population.error(result) > WIDE_ERROR:
            result = population.lower(WIDE_TOP)
        out = result.into(out, name)
        if direct:
            out = _host_bias(out, direct, result.bias)
    out = replace(out, settings=replace(graph.settings, weight_bits=bits))
    require(out, "integer")
    return out


def decay_register(beta: float) -> int:
    """Membrane decay register of a float decay: ``4096 (1 - beta)``, rounded."""
    return scales.decay_register(beta)


def _chosen(graph: Graph, wide: Collection[str] | None, bits: int) -> set[str]:
    """Populations with wide weights by request."""
    populations = {n for n in graph.select(LIF, LI) if not getattr(graph.nodes[n], "static", False)}
    if bits == WIDE_BITS:
        return populations
    chosen = set()
    for name in wide or ():
        targets = {name} if name in populations else {*graph.targets(name)} & populations
        if not targets:
            raise ExportError(
                f"wide weights: {name!r} is no layer of spikes; layers: {', '.join(sorted(populations))}"
            )
        if bits != MAX_BITS:
            raise ExportError(f"wide weights: {name} cannot have {WIDE_BITS} bits where weights have {bits}")
        chosen |= targets
    return chosen


def _static(name: str, node: LIF, calibration: Calibration, per_channel: bool) -> IntegerNeuron:
    """A population whose current the host writes as a bias; each of its neurons may have a scale of its own."""
    peak = _static_peak(name, calibration)
    units = node.threshold.size if per_channel else 1
    limits = scales.register_caps(node, np.zeros(1), units)
    if peak > 0:
        leak = float((1 - node.beta).min()) or 1
        limits = np.minimum(limits, min(formats.BIAS_MAX, scales.STATE_CEILING * leak) / peak)
    return _integer(node, scales.snap(name, limits, node, units), np.zeros(1), static=True, line=False)


def _static_peak(name: str, calibration: Calibration) -> float:
    """Largest current that the host may have to write, in float units."""
    if name not in calibration.static_peak:
        raise ExportError(
            f"{name}: the calibration has no current of it; calibrate with samples of the input"
        )
    return calibration.static_peak[name] * STATIC_MARGIN


def _host_bias(graph: Graph, direct: list[str], bias: Floats) -> Graph:
    """The graph in which the host adds a population's own bias to the current that it writes anyway.

    What rounded weights add to each neuron is taken off there too.
    """
    for number, name in enumerate(direct):
        synapses = graph.nodes[name]
        assert isinstance(synapses, Synapses)
        own = None if number else np.broadcast_to(bias, (prod(synapses.shape),)).astype(np.float32)
        graph = graph.with_node(name, replace(synapses, bias=own))
    return graph


@dataclass(frozen=True)
class _Lowered:
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


class _Population:
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
    ) -> None:
        self.name, self.node, self.timesteps = name, node, graph.settings.timesteps
        direct = graph.direct(name) if isinstance(node, LIF) and node.static else []
        self.groups = {
            s: g for s in graph.sources(name) if isinstance(g := graph.nodes[s], Synapses) and s not in direct
        }
        self.written = (
            _static_peak(name, calibration) if direct else None
        )  # what the host adds, own bias included
        self.units = scales.units_of(self.groups, node, per_channel)
        self.rates = {s: calibration.rates.get(graph.sources(s)[0]) for s in self.groups}
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

    def lower(self, top: int) -> _Lowered:
        """Quantise to weights of at most ``top``."""
        exponents = range(formats.WEIGHT_EXPONENT_MIN, formats.WEIGHT_EXPONENT_MAX + 1)
        if top == WIDE_TOP:  # the high part's exponent is higher by the shift
            exponents = exponents[: len(exponents) - WIDE_SHIFT]
        largest = scales.largest_weights(self.groups, self.units)
        corrected, cap = self.bias, np.full(self.units, np.inf)
        for attempt in range(CORRECTION_ROUNDS):
            cap = np.minimum(cap, self._caps(corrected, largest, top, exponents))
            exponent, scale = scales.choose(largest, cap, top, exponents)
            if isinstance(self.node, LIF):
                scale = scales.snap(self.name, scale, self.node, self.units)
            scale = scales.clip(self.name, self.node, self.groups, self.rates, scale, cap, exponent, top)
            quantised, shift = self._round(scale, exponent, top)
            corrected = self.bias - shift
            # Rounding may ask for a larger bias than the scale was chosen for, and may round every weight up.
            fits = np.minimum(
                self._caps(corrected, largest, top, exponents),
                scale * self._headroom(quantised, scale, corrected, exponent),
            )
            if (scale <= fits * (1 + 1e-9)).all():
                static = self.written is not None
                kept = 0 * corrected if static else corrected
                neuron = _integer(self.node, scale, kept, static=static, line=self.line)
                return _Lowered(quantised, exponent, scale, corrected, neuron, top == WIDE_TOP)
            # A step too small to turn any rounding would change nothing, so steps grow.
            cap = np.minimum(cap, np.where(fits < scale, fits * (1 - 0.01 * attempt), cap))
        raise ExportError(
            f"{self.name}: rounded to a largest weight of {top} its bias or membrane leaves the chip's range at every "
            "scale; use more bits"
        )

    def error(self, result: _Lowered) -> float:
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

    def _caps(self, bias: Floats, largest: Floats, top: int, exponents: range) -> Floats:
        """Largest scale of each unit that registers and states allow."""
        bias = self._largest_bias(bias)
        worst = self.worst + scales.unit_max(bias, self.units, prod(self.node.shape))
        states = scales.proven_caps(self.node, worst, self.units, self.timesteps)
        # A proof is worth fine states, but not weight resolution; nor that of a bias over the line, 64 membrane units.
        with np.errstate(divide="ignore"):
            wanted = np.inf if self.line else top * weight_unit(exponents[0]) / largest
        states = np.maximum(states, np.minimum(self.calibrated, wanted))
        cap = np.minimum(
            states, scales.register_caps(self.node, np.zeros(1) if self.line else bias, self.units)
        )
        # Without weights and bias nothing bounds the scale; any finite one will do.
        return np.where(np.isfinite(cap), cap, 1.0)

    def _round(self, scale: Floats, exponent: int, top: int) -> tuple[dict[str, Synapses], Floats]:
        """Whole quantised weights, and the mean current that rounding adds to each neuron."""
        quantised, shift = {}, np.zeros(1)
        for s, g in self.groups.items():
            ratio = scales.spread(g.map, scale / weight_unit(exponent))
            q = np.clip(np.rint(g.map.weight.astype(np.float64) * ratio), -top, top)
            quantised[s] = replace(
                g, map=with_weight(g.map, q.astype(np.int64)), bias=None, exponent=exponent
            )
            shift = shift + expand_channels(
                scales.mean_shift(g.map, q / ratio, self.rates[s]), self.node.shape
            )
        return quantised, shift

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


def _integer(node: LIF | LI, scale: Floats, bias: Floats, *, static: bool, line: bool) -> IntegerNeuron:
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
        membrane_decay=membrane_decay,
        threshold=threshold,
        bias_mantissa=mantissa,
        bias_exponent=exponent,
        scale=full * node.unit,
        static=static,
        readout=isinstance(node, LI),
        origin=node,
        line=arriving if arriving.any() else np.zeros(0, np.int64),
    )
