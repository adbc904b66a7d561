"""Graded relays, and the populations that they feed, from floats to integers.

A relay sends ``payload = round(v / 2^shift)`` with ``v = S x`` for a value x of the float network. Its scale S and the unit of
its payload, ``p = S / 2^shift`` a float unit, are powers of two, so that a weight w behind it is the weight ``w / p`` of one
unit of payload and an identity shortcut from relay to relay is exact: ``q 128 2^e = S' / p`` with q a power of two.

Each population has one scale, as large as its states allow: without thresholds to be kept exact that costs nothing. The
payload is as fine as its width allows for the values that calibration saw, but no finer than leaves the weights behind it
their bits: a weight of one unit of payload shrinks with the unit, and there is no exponent below -1. Each synapse group has
an exponent of its own, the lowest that holds its largest weight.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from math import ceil, floor, log2, prod

import numpy as np

from . import formats, scales
from .calibration import Calibration
from .compensate import Compensation
from .errors import ExportError
from .formats import weight_unit
from .graph import LI, LIF, Floats, Graph, IntegerNeuron, Relay, Synapses
from .linear import expand_channels, with_weight
from .population import MAX_BITS, integer_neuron

#: Room above the largest value seen in calibration, beyond which a payload saturates.
PAYLOAD_MARGIN = 1.25
#: Share of their range that the largest of the weights behind a relay takes at least. Finer payloads or finer weights: on
#: a trained U-Net a half, a quarter and an eighth do alike, and a sixteenth is much worse.
LEAST_RANGE = 4
#: Room above the largest bias for what rounding weights adds to it.
BIAS_MARGIN = 1.25


@dataclass(frozen=True)
class Plan:
    """What is settled before any weight is rounded.

    Attributes
    ----------
    scales : dict of str to float
        Membrane units a float unit, by population.
    units : dict of str to float
        Payload units a float unit, by relay; powers of two.
    widths : dict of str to int
        Bits of a payload, sign included, by relay.
    """

    scales: dict[str, float]
    units: dict[str, float]
    widths: dict[str, int]

    @classmethod
    def of(cls, graph: Graph, names: Collection[str], calibration: Calibration, top: int, bits: int) -> Plan:
        """Scales of the populations concerned, and payloads of at most so many bits.

        Raises
        ------
        ExportError
            No such width, or states, bias, weights or threshold have no room.
        """
        low, high = formats.PAYLOAD_BITS_MIN, formats.PAYLOAD_BITS_MAX
        if not low <= bits <= high:
            raise ExportError(f"payload bits: {bits} is outside {low}..{high}")
        found = {name: _scale(name, graph, calibration, top) for name in names}
        units, widths = {}, {}
        for name in graph.select(Relay):
            largest = float(calibration.membrane_peak[name].max(initial=0)) * PAYLOAD_MARGIN
            caps = [found[name]]  # nothing is finer than the membrane
            if largest:
                caps.append(formats.payload_limit(bits) / largest)
            for s in graph.targets(name):
                group = graph.nodes[s]
                assert isinstance(group, Synapses)
                (target,) = graph.targets(s)
                weights = np.abs(group.map.weight)
                alike = weights.size and weights.max() == weights.min()
                least = 1 if alike else (top + 1) // LEAST_RANGE
                if weights.any():
                    caps.append(
                        found[target]
                        * float(weights.max())
                        / (least * weight_unit(formats.WEIGHT_EXPONENT_MIN))
                    )
            units[name] = _power(min(caps))
            widths[name] = max(low, ceil(largest * units[name]).bit_length() + 1)
        found = {name: _scale(name, graph, calibration, top, units) for name in names}
        return cls(found, units, widths)


def concerned(graph: Graph) -> set[str]:
    """Relays, and populations that one feeds."""
    relays = set(graph.select(Relay))
    fed = {t for r in relays for s in graph.targets(r) for t in graph.targets(s)}
    return relays | {name for name in fed if isinstance(graph.nodes[name], LIF | LI)}


def refuse(graph: Graph, bits: int, wide: Collection[str] | None) -> None:
    """Refuse what relays are not lowered with.

    Raises
    ------
    ExportError
        Wide weights, loops, or neurons with a current or a direct input behind a relay.
    """
    names = concerned(graph)
    if not names:
        return
    first = graph.select(Relay)[0]
    if bits > MAX_BITS or wide is None or set(wide) & {*names, *(s for n in names for s in graph.sources(n))}:
        raise ExportError(
            f"{first}: graded relays and what they feed have weights of up to {MAX_BITS} bits; ask for no wider ones there"
        )
    if any(isinstance(node, Synapses) and node.lag for node in graph.nodes.values()):
        raise ExportError(
            f"{first}: graded relays in a network with loops or lags are not quantised; unroll it"
        )
    for name in names:
        node = graph.nodes[name]
        assert isinstance(node, LIF | LI)
        if node.alpha.any():
            raise ExportError(
                f"{name}: has a synaptic current, and a graded relay feeds it; use neurons without alpha"
            )
        if graph.direct(name):
            raise ExportError(
                f"{name}: a graded relay and a direct input feed it; put neurons behind the input"
            )


def lower(
    graph: Graph, name: str, calibration: Calibration, plan: Plan, top: int, compensate: bool | None
) -> dict[str, IntegerNeuron | Synapses]:
    """The integer nodes of a relay or a population that one feeds, and of its synapses.

    Parameters
    ----------
    graph : Graph
        At the float level.
    top : int
        Largest quantised weight.
    compensate : bool, optional
        As in :func:`~spikewright.export.quantise.quantise`; values of relays are no spikes, so weights behind them are
        rounded to the nearest.

    Raises
    ------
    ExportError
        Weights, bias or threshold have no room in the registers.
    """
    node = graph.nodes[name]
    assert isinstance(node, LIF | LI)
    groups = {s: _behind(graph, s, plan.units) for s in graph.sources(name)}
    bias, scale = _bias(graph, name), plan.scales[name]
    few = top < (1 << (MAX_BITS - 1)) - 1 if compensate is None else compensate
    out: dict[str, IntegerNeuron | Synapses] = {}
    for s, group in groups.items():
        largest = float(np.abs(group.map.weight).max(initial=0))
        exponent = _exponent(scale * largest / top)
        ratio = np.asarray(scale / weight_unit(exponent))
        source = graph.sources(s)[0]
        seen = {s: calibration.spikes[source]} if few and source in calibration.spikes else {}
        q = Compensation({s: group}, seen).round({s: ratio}, top)[s]
        rates = calibration.rates.get(source)
        rates = None if rates is None else rates * plan.units.get(source, 1.0)
        bias = bias - expand_channels(scales.mean_shift(group.map, q / ratio, rates), node.shape)
        out[s] = replace(group, map=with_weight(group.map, q.astype(np.int8)), bias=None, exponent=exponent)
    if np.abs(bias).max() * scale > formats.BIAS_MAX:
        raise ExportError(
            f"{name}: what rounding adds to its bias exceeds the register; use more weight bits"
        )
    neuron = integer_neuron(node, np.array([scale]), bias, static=False, line=False)
    if isinstance(node, Relay):
        shift = round(log2(scale / plan.units[name]))
        if shift < 0:
            raise ExportError(
                f"{name}: its weights leave its membrane coarser than the values it sends; ask for fewer payload bits"
            )
        none = np.zeros(prod(node.shape), np.int64)
        neuron = replace(
            neuron,
            threshold=none,
            membrane_decay=none + formats.DECAY_ONE,
            readout=False,
            payload_bits=plan.widths[name],
            payload_shift=shift,
        )
    out[name] = neuron
    return out


def lower_all(
    graph: Graph,
    calibration: Calibration,
    bits: int,
    wide: Collection[str] | None,
    compensate: bool | None,
    payload_bits: int,
) -> dict[str, dict[str, IntegerNeuron | Synapses]]:
    """The integer nodes of every relay and of what they feed, by population; nothing for a graph without relays.

    Raises
    ------
    ExportError
        As :func:`refuse`, :meth:`Plan.of` and :func:`lower`.
    """
    names = concerned(graph)
    if not names:
        return {}
    refuse(graph, bits, wide)
    top = (1 << (bits - 1)) - 1
    plan = Plan.of(graph, names, calibration, top, payload_bits)
    return {name: lower(graph, name, calibration, plan, top, compensate) for name in sorted(names)}


def _behind(graph: Graph, name: str, units: Mapping[str, float]) -> Synapses:
    """Synapses as they weigh what arrives: a unit of payload from a relay, a spike from others."""
    group = graph.nodes[name]
    assert isinstance(group, Synapses)
    unit = units.get(graph.sources(name)[0], 1.0)
    return replace(
        group, map=with_weight(group.map, (group.map.weight / unit).astype(group.map.weight.dtype))
    )


def _bias(graph: Graph, name: str) -> Floats:
    """Biases of all synapses into a population: one value, or one a neuron."""
    bias: Floats = np.zeros(1)
    for s in graph.sources(name):
        group = graph.nodes[s]
        assert isinstance(group, Synapses)
        if group.bias is not None:
            bias = bias + expand_channels(group.bias.astype(np.float64), group.shape)
    return bias


def _scale(
    name: str, graph: Graph, calibration: Calibration, top: int, units: Mapping[str, float] | None = None
) -> float:
    """Membrane units a float unit: the largest power of two for which states, bias, weights and threshold have room.

    Weights behind relays count once the units of their payloads are known. A threshold that is no power of two takes off
    what makes it whole.
    """
    node = graph.nodes[name]
    assert isinstance(node, LIF | LI)
    current, membrane = calibration.current_peak.get(name), calibration.membrane_peak.get(name)
    if current is None or membrane is None:
        raise ExportError(f"{name}: the calibration has no states of it; calibrate with samples of the input")
    caps = [float(scales.calibrated_caps(node, current, membrane, 1)[0])]
    caps.append(float(scales.register_caps(node, BIAS_MARGIN * _bias(graph, name), 1)[0]))
    for s in graph.sources(name):
        group = graph.nodes[s]
        assert isinstance(group, Synapses)
        largest, source = float(np.abs(group.map.weight).max(initial=0)), graph.sources(s)[0]
        if isinstance(graph.nodes[source], Relay):
            largest = 0.0 if units is None else largest / units[source]
        if largest:
            caps.append(top * weight_unit(formats.WEIGHT_EXPONENT_MAX) / largest)
    scale = _power(min(caps)) if np.isfinite(min(caps)) else 1.0
    return float(scales.snap(name, np.array([scale]), node, 1)[0]) if isinstance(node, LIF) else scale


def _exponent(needed: float) -> int:
    """The lowest weight exponent whose unit is no smaller than what is needed."""
    low, high = formats.WEIGHT_EXPONENT_MIN, formats.WEIGHT_EXPONENT_MAX
    return next((e for e in range(low, high) if needed <= weight_unit(e) * (1 + 1e-9)), high)


def _power(value: float) -> float:
    """The largest power of two that is not above a value."""
    return 2.0 ** floor(log2(value) + 1e-12)
