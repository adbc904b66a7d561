"""From floats to integers: weights, thresholds, biases and decays of a whole graph.

A population has a scale S a unit (its whole, or one an output channel where the target lets neurons have thresholds of
their own): membrane units per float unit. With weight exponent e a quantised weight of 1 adds ``128 * 2^e`` membrane
units, so that

    q = round(S w / (128 * 2^e)),   threshold = S theta / 64,   bias = round(S b) = mantissa * 2^k.

S is then lowered by less than one part in ``threshold`` so that the threshold is an integer *exactly*: the rounding of
a threshold would shift every spike of the neuron, that of a weight only its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import gcd, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import formats
from .errors import ExportError
from .float_run import FloatRun
from .formats import ALIGNMENT_SHIFT, weight_unit
from .graph import LI, LIF, Graph, IntegerNeuron, Synapses
from .levels import require
from .linear import Dense, LinearMap, Shape, expand_channels, with_weight

Floats = NDArray[np.float64]

#: Room above the largest static current seen in calibration.
STATIC_MARGIN = 1.25
#: Candidate clipping points of a unit's weights, relative to the largest.
CLIPS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.5, 0.4)
STATE_CEILING = formats.THRESHOLD_MAX << ALIGNMENT_SHIFT  # a read-out must stay below the highest threshold
MIN_BITS, MAX_BITS = 2, 8
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
    """

    rates: dict[str, Floats]
    static_peak: dict[str, float]

    @classmethod
    def of(cls, run: FloatRun) -> Calibration:
        """Calibration from a float run over representative samples."""
        return cls(run.rates(), run.static_peak)


def quantise(graph: Graph, calibration: Calibration, *, bits: int = 8, per_channel: bool = True) -> Graph:
    """Quantise a float graph.

    Parameters
    ----------
    bits : int
        Weight bits with sign, 2 to 8.
    per_channel : bool
        A scale for each output channel; the target must allow thresholds a neuron.

    Raises
    ------
    ExportError
        A layer whose numbers have no integer form; the message names it, the numbers and the remedy.
    """
    require(graph, "float")
    if not MIN_BITS <= bits <= MAX_BITS:
        raise ExportError(f"weight bits: {bits} is outside {MIN_BITS}..{MAX_BITS}")
    out = graph
    for name in graph.select(LIF, LI):
        node = graph.nodes[name]
        assert isinstance(node, LIF | LI)
        if isinstance(node, LIF) and node.static:
            out = out.with_node(name, _static(name, node, calibration, per_channel))
        else:
            for changed, value in _population(graph, name, node, calibration, bits, per_channel).items():
                out = out.with_node(changed, value)
    out = replace(out, settings=replace(graph.settings, weight_bits=bits))
    require(out, "integer")
    return out


def decay_register(beta: float) -> int:
    """Membrane decay register of a float decay: ``4096 (1 - beta)``, rounded."""
    return round(formats.DECAY_ONE * (1 - beta))


def _gain(beta: float, timesteps: int) -> float:
    """Largest membrane over the steps of a sample, in units of a constant input, with the decay that the register keeps."""
    keep = 1 - decay_register(beta) / formats.DECAY_ONE
    return float(sum(keep**k for k in range(timesteps)))


def _static(name: str, node: LIF, calibration: Calibration, per_channel: bool) -> IntegerNeuron:
    """A population whose current the host writes as a bias; each of its neurons may have a scale of its own."""
    if name not in calibration.static_peak:
        raise ExportError(
            f"{name}: the calibration has no current of it; calibrate with samples of the input"
        )
    peak = calibration.static_peak[name] * STATIC_MARGIN
    theta = _threshold_by_unit(name, node, node.threshold.size if per_channel else 1)
    limits = formats.THRESHOLD_MAX * 64 / theta
    if peak > 0:
        limits = np.minimum(limits, min(formats.BIAS_MAX, STATE_CEILING * (1 - node.beta or 1)) / peak)
    return _integer(name, node, _snap(name, limits, theta), np.zeros(1), static=True)


def _population(
    graph: Graph, name: str, node: LIF | LI, calibration: Calibration, bits: int, per_channel: bool
) -> dict[str, Synapses | IntegerNeuron]:
    groups = {s: g for s in graph.sources(name) if isinstance(g := graph.nodes[s], Synapses)}
    units = gcd(*(g.map.channels for g in groups.values())) if per_channel and isinstance(node, LIF) else 1
    theta = _threshold_by_unit(name, node, units) if isinstance(node, LIF) else None
    timesteps = graph.settings.timesteps
    bias = np.zeros(1)
    for g in groups.values():
        if g.bias is not None:
            bias = bias + expand_channels(g.bias.astype(np.float64), node.shape)
    top = (1 << (bits - 1)) - 1
    rates = {s: calibration.rates.get(graph.sources(s)[0]) for s in groups}
    corrected, cap = bias, np.full(units, np.inf)
    for attempt in range(CORRECTION_ROUNDS):
        cap = np.minimum(cap, _caps(node, theta, groups, corrected, units, timesteps))
        exponent, scale = _scales(name, node, theta, groups, rates, cap, top, units)
        quantised, shift = _round(groups, rates, scale, exponent, top, units, node.shape)
        corrected = bias - shift
        # Rounding may ask for a larger bias than the scale was chosen for, and may round every weight up.
        fits = np.minimum(
            _caps(node, theta, groups, corrected, units, timesteps),
            scale * _headroom(node, quantised, scale, corrected, units, timesteps),
        )
        if (scale <= fits * (1 + 1e-9)).all():
            break
        # A step too small to turn any rounding would change nothing, so steps grow.
        cap = np.minimum(cap, np.where(fits < scale, fits * (1 - 0.01 * attempt), cap))
    else:
        raise ExportError(
            f"{name}: rounded to {bits} bits its bias or membrane leaves the chip's range at every scale; use more bits"
        )
    return {**quantised, name: _integer(name, node, scale, corrected, static=False)}


def _round(
    groups: dict[str, Synapses],
    rates: dict[str, Floats | None],
    scale: Floats,
    exponent: int,
    top: int,
    units: int,
    shape: Shape,
) -> tuple[dict[str, Synapses], Floats]:
    """Quantised synapses, and the mean current that rounding adds to each neuron."""
    quantised, shift = {}, np.zeros(1)
    for s, g in groups.items():
        ratio = _spread(g.map, scale / weight_unit(exponent), units)
        q = np.clip(np.rint(g.map.weight.astype(np.float64) * ratio), -top, top)
        quantised[s] = Synapses(with_weight(g.map, q.astype(np.int8)), None, exponent)
        shift = shift + expand_channels(_mean_shift(g.map, q / ratio, rates[s]), shape)
    return quantised, shift


def _scales(
    name: str,
    node: LIF | LI,
    theta: Floats | None,
    groups: dict[str, Synapses],
    rates: dict[str, Floats | None],
    cap: Floats,
    top: int,
    units: int,
) -> tuple[int, Floats]:
    """Weight exponent of a population and scale of each unit."""
    largest = np.max([_by_unit(g.map, np.abs(g.map.weight), units).max(1) for g in groups.values()], axis=0)
    exponent, scale = _choose(largest.astype(np.float64), cap, top)
    if theta is not None:
        scale = _snap(name, scale, theta)
    return exponent, _clip(name, groups, rates, scale, cap, exponent, top, theta, units)


def _headroom(
    node: LIF | LI, quantised: dict[str, Synapses], scale: Floats, bias: Floats, units: int, timesteps: int
) -> Floats:
    """Room left in the state, whatever spikes arrive, as a factor of each unit's scale: below 1 the unit may overflow."""
    total = sum(
        _by_unit(g.map, np.abs(g.map.weight.astype(np.float64)), units, rows=True)
        * weight_unit(g.exponent or 0)
        for g in quantised.values()
    )
    full = np.repeat(scale, np.prod(node.shape, dtype=int) // units)
    rounded = np.rint(np.clip(full * bias, -formats.BIAS_MAX, formats.BIAS_MAX)).astype(np.int64)
    value = formats.bias_value(*formats.split_bias(rounded))
    worst = (np.asarray(total) + np.abs(value).reshape(units, -1).max(1)) * _gain(node.beta, timesteps)
    return np.where(worst > STATE_CEILING, STATE_CEILING / np.maximum(worst, 1) * (1 - 1e-6), np.inf)


def _caps(
    node: LIF | LI,
    theta: Floats | None,
    groups: dict[str, Synapses],
    bias: Floats,
    units: int,
    timesteps: int,
) -> Floats:
    """Largest scale of each unit that thresholds, biases and the 24-bit state allow, whatever spikes arrive."""
    total = sum(
        _by_unit(g.map, np.abs(g.map.weight.astype(np.float64)), units, rows=True) for g in groups.values()
    )
    by_unit = np.abs(np.broadcast_to(bias, (prod(node.shape),))).reshape(units, -1).max(1)
    worst = np.asarray(total) + by_unit
    with np.errstate(divide="ignore"):
        cap = STATE_CEILING / (worst * _gain(node.beta, timesteps))
        cap = np.minimum(cap, formats.BIAS_MAX / by_unit)
    if theta is not None:
        cap = np.minimum(cap, formats.THRESHOLD_MAX * 64 / theta)
    # Without weights and bias nothing bounds the scale; any finite one will do.
    return np.where(np.isfinite(cap), cap, 1.0)


def _by_unit(map_: LinearMap, values: NDArray[Any], units: int, rows: bool = False) -> NDArray[Any]:
    """Values grouped by unit (units, ...); with ``rows`` the largest sum over one output's inputs."""
    moved = np.moveaxis(values, map_.channel_axis, 0).reshape(map_.channels, -1)
    if rows:
        return moved.sum(1).reshape(units, -1).max(1)
    return moved.reshape(units, -1)


def _threshold_by_unit(name: str, node: LIF, units: int) -> Floats:
    theta = node.threshold.astype(np.float64)
    by_unit = np.broadcast_to(theta, (units, 1)) if theta.size == 1 else theta.reshape(units, -1)
    if np.ptp(by_unit, axis=1).any():
        whole = "a channel" if units > 1 else "the population"
        raise ExportError(
            f"{name}: thresholds differ between neurons of {whole}, which share a scale; "
            "train one threshold, or quantise a linear layer with a scale per channel"
        )
    return by_unit[:, 0]


def _choose(largest: Floats, cap: Floats, top: int) -> tuple[int, Floats]:
    """Weight exponent and scales: the highest exponent that costs no unit any of its weight range.

    A higher exponent makes thresholds, biases and decay finer; where a unit's cap binds at the lowest exponent already,
    nothing is lost by going on.
    """
    with np.errstate(divide="ignore"):
        wanted = {
            e: np.where(largest > 0, top * weight_unit(e) / largest, np.inf)
            for e in range(formats.WEIGHT_EXPONENT_MIN, formats.WEIGHT_EXPONENT_MAX + 1)
        }
    lowest = formats.WEIGHT_EXPONENT_MIN
    free = wanted[lowest] <= cap
    exponent = max((e for e, w in wanted.items() if (w[free] <= cap[free]).all()), default=lowest)
    if not free.any():
        exponent = lowest
    return exponent, np.minimum(wanted[exponent], cap)


def _snap(name: str, scale: Floats, theta: Floats) -> Floats:
    """Lower scales until each threshold is an integer."""
    mantissa = np.floor(scale * theta / (1 << ALIGNMENT_SHIFT) * (1 + 1e-12))
    if (mantissa < 1).any():
        unit = int(np.argmin(mantissa))
        raise ExportError(
            f"{name}: unit {unit} has a threshold of {float(scale[unit] * theta[unit]) / 64:.3f} in integer units, below 1; "
            "its weights or bias dwarf its threshold: use more bits or a scale per channel, or retrain with weight decay"
        )
    return mantissa * (1 << ALIGNMENT_SHIFT) / theta


def _clip(
    name: str,
    groups: dict[str, Synapses],
    rates: dict[str, Floats | None],
    scale: Floats,
    cap: Floats,
    exponent: int,
    top: int,
    theta: Floats | None,
    units: int,
) -> Floats:
    """Scales that make the expected squared error of the input least: a few large weights may be clipped.

    An error of a weight counts by the rate of its input (mean over calibration samples).
    """
    best, best_error = scale, np.full(units, np.inf)
    for clip in CLIPS:
        candidate = np.minimum(scale / clip, cap)
        if theta is not None:
            candidate = _snap(name, candidate, theta)
        error = np.zeros(units)
        for s, g in groups.items():
            w = g.map.weight.astype(np.float64)
            ratio = _spread(g.map, candidate / weight_unit(exponent), units)
            off = (np.clip(np.rint(w * ratio), -top, top) / ratio - w) ** 2
            error += _by_unit(g.map, off * _input_rates(g.map, rates[s]), units).sum(1)
        better = error < best_error * (1 - 1e-9)
        best, best_error = np.where(better, candidate, best), np.where(better, error, best_error)
    return best


def _mean_shift(map_: LinearMap, rounded: Floats, rates: Floats | None) -> Floats:
    """Mean current that rounded weights add to each output channel at the calibrated input rates.

    Taken off the bias, so that rounding does not move a neuron's operating point (Nagel et al., "Data-free quantization
    through weight equalization and bias correction", ICCV 2019).
    """
    if rates is None:
        return np.zeros(map_.channels)
    off = (rounded - map_.weight.astype(np.float64)) * _input_rates(map_, rates)
    return np.asarray(_by_unit(map_, off, map_.channels).sum(1))


def _input_rates(map_: LinearMap, rates: Floats | None) -> Floats:
    """Rates of a map's inputs, shaped to multiply its weight; convolutions take the mean of a channel."""
    if rates is None:
        return np.ones(1)
    rates = rates + 1e-3  # an input silent in calibration may still fire
    if isinstance(map_, Dense):
        return rates[None, :]
    by_channel = rates.reshape(map_.input_shape[0], -1).mean(1)
    if map_.channel_axis == 1:
        return by_channel[:, None, None, None]
    groups = map_.input_shape[0] // map_.weight.shape[1]
    per_group = by_channel.reshape(groups, 1, -1).repeat(map_.weight.shape[0] // groups, axis=1)
    return per_group.reshape(map_.weight.shape[0], -1)[:, :, None, None]


def _spread(map_: LinearMap, by_unit: Floats, units: int) -> Floats:
    """One value a unit, shaped to multiply a map's weight."""
    shape = [1] * map_.weight.ndim
    shape[map_.channel_axis] = map_.channels
    return np.repeat(by_unit, map_.channels // units).reshape(shape)


def _integer(name: str, node: LIF | LI, scale: Floats, bias: Floats, *, static: bool) -> IntegerNeuron:
    shape: Shape = node.shape
    neurons = int(np.prod(shape))
    full = np.repeat(scale, neurons // len(scale))
    value = np.rint(full * bias).astype(np.int64)
    mantissa, exponent = formats.split_bias(value)
    if isinstance(node, LIF):
        threshold = np.rint(full * node.threshold.astype(np.float64) / (1 << ALIGNMENT_SHIFT)).astype(
            np.int64
        )
    else:
        threshold = np.full(neurons, formats.THRESHOLD_MAX)
    return IntegerNeuron(
        shape=shape,
        current_decay=formats.DECAY_ONE - 1,
        membrane_decay=decay_register(node.beta),
        threshold=threshold,
        bias_mantissa=mantissa,
        bias_exponent=exponent,
        scale=full,
        static=static,
        readout=isinstance(node, LI),
        origin=node,
    )
