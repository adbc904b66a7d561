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
from dataclasses import replace
from math import prod

import numpy as np

from . import formats, graded, scales
from .calibration import Calibration
from .errors import ExportError
from .graph import LI, LIF, Floats, Graph, IntegerNeuron, Synapses
from .levels import require
from .population import MAX_BITS, WIDE_TOP, Held, Population, integer_neuron, static_peak

MIN_BITS = 2
WIDE_BITS = 15
#: Expected error of a step's input, relative to the threshold, beyond which a population's weights become wide.
WIDE_ERROR = 0.01


def quantise(
    graph: Graph,
    calibration: Calibration,
    *,
    bits: int = 8,
    per_channel: bool = True,
    wide: Collection[str] | None = (),
    strict: bool = False,
    compensate: bool | None = None,
    held: Graph | None = None,
    payload_bits: int = formats.PAYLOAD_BITS,
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
    compensate : bool, optional
        Round weights so that they make up for each other's errors (:mod:`.compensate`); by default those of fewer than
        eight bits.
    held : Graph, optional
        This graph as it was quantised before its weights and biases were tuned: populations keep its scales where what
        was learned still fits, weights are rounded to the nearest and biases stay.
    payload_bits : int
        Bits of the values that relays send at most, sign included (:mod:`.graded`).

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
    valued = graded.lower_all(graph, calibration, bits, wide, compensate, payload_bits)
    for name in graph.select(LIF, LI):
        node = graph.nodes[name]
        assert isinstance(node, LIF | LI)
        if name in valued:
            for part, lowered in valued[name].items():
                out = out.with_node(part, lowered)
            continue
        direct = graph.direct(name) if isinstance(node, LIF) and node.static else []
        if direct and len(direct) == len(graph.sources(name)):
            assert isinstance(node, LIF)
            out = out.with_node(name, _static(name, node, calibration, per_channel))
            continue
        population = Population(graph, name, node, calibration, per_channel, strict, late, compensate)
        top = WIDE_TOP if name in chosen else (1 << (min(bits, MAX_BITS) - 1)) - 1
        result = population.lower(top, None if held is None else Held.of(held, name, population.groups))
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
    peak = static_peak(name, calibration)
    units = node.threshold.size if per_channel else 1
    limits = scales.register_caps(node, np.zeros(1), units)
    if peak > 0:
        leak = float((1 - node.beta).min()) or 1
        limits = np.minimum(limits, min(formats.BIAS_MAX, scales.STATE_CEILING * leak) / peak)
    return integer_neuron(node, scales.snap(name, limits, node, units), np.zeros(1), static=True, line=False)


def _host_bias(graph: Graph, direct: list[str], bias: Floats) -> Graph:
    """The graph in which the host adds a population's own bias to the current that it writes anyway.

    What rounded weights add to each neuron is taken off there too.
    """
    for number, name in enumerate(direct):
        synapses = graph.nodes[name]
        assert isinstance(synapses, Synapses)
        own = None
        if not number:
            own = np.broadcast_to(bias, (prod(synapses.shape),)).astype(np.float32)
            by_channel = own.reshape(synapses.map.channels, -1)
            if (by_channel == by_channel[:, :1]).all():
                own = by_channel[:, 0].copy()
        graph = graph.with_node(name, replace(synapses, bias=own))
    return graph
