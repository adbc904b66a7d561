"""Scales of a population's units: what bounds them, which exponent goes with them, how weights are clipped.

A unit is what shares a scale: the whole population, or an output channel. All arrays hold one value a unit.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import formats
from .errors import ExportError
from .formats import ALIGNMENT_SHIFT, weight_unit
from .graph import LI, LIF, Floats, Synapses
from .linear import Dense, LinearMap, Sparse, channel_max, channel_sum, per_channel

#: Candidate clipping points of a unit's weights, relative to the largest.
CLIPS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.5, 0.4)
STATE_CEILING = formats.THRESHOLD_MAX << ALIGNMENT_SHIFT  # a read-out must stay below the highest threshold
#: Room above the largest current and membrane seen in calibration, where no proof is to be had.
CURRENT_MARGIN, MEMBRANE_MARGIN = 2.0, 1.5


def decay_register(keep: float) -> int:
    """Membrane decay register of a float decay: ``4096 (1 - beta)``, rounded."""
    return round(formats.DECAY_ONE * (1 - keep))


def kept(keep: Floats) -> Floats:
    """What registers really keep of a state, for float decays."""
    return 1 - np.rint(formats.DECAY_ONE * (1 - keep)) / formats.DECAY_ONE


def gain(node: LIF | LI, timesteps: int) -> Floats:
    """Largest membrane over a sample in units of a constant input, with the decays that the registers keep.

    One value, or one a neuron.
    """
    alpha, beta = np.broadcast_arrays(kept(node.alpha), kept(node.beta))
    current, membrane, total = np.ones(alpha.shape), np.zeros(alpha.shape), np.zeros(alpha.shape)
    for _ in range(timesteps):
        membrane = beta * membrane + current
        current = alpha * current
        total += membrane
    return total


def unit_max(values: NDArray[Any], units: int, neurons: int) -> Floats:
    """Largest value of each unit, from one value or one a neuron."""
    return np.asarray(np.broadcast_to(values, (neurons,)).reshape(units, -1).max(1), np.float64)


def worst_sum(groups: dict[str, Synapses], values: dict[str, NDArray[Any]], units: int) -> Floats:
    """Largest sum of magnitudes over one output's inputs."""
    total = np.zeros(units)
    for name, group in groups.items():
        total = total + channel_sum(group.map, np.abs(values[name].astype(np.float64))).reshape(
            units, -1
        ).max(1)
    return total


def register_caps(node: LIF | LI, bias: Floats, units: int) -> Floats:
    """Largest scale that the threshold and bias registers allow."""
    neurons = prod(node.shape)
    with np.errstate(divide="ignore"):
        cap = formats.BIAS_MAX / unit_max(np.abs(bias), units, neurons)
        if isinstance(node, LIF):
            cap = np.minimum(cap, formats.THRESHOLD_MAX * 64 / unit_max(node.threshold, units, neurons))
    return cap


def proven_caps(node: LIF | LI, worst: Floats, units: int, timesteps: int) -> Floats:
    """Largest scale at which no state can leave 24 bits, whatever spikes arrive.

    Parameters
    ----------
    worst : ndarray
        Largest magnitude of a step's input.
    """
    with np.errstate(divide="ignore"):
        return STATE_CEILING / (worst * unit_max(gain(node, timesteps), units, prod(node.shape)))


def calibrated_caps(node: LIF | LI, current: Floats | None, membrane: Floats | None, units: int) -> Floats:
    """Largest scale at which the states seen in calibration stay inside 24 bits with room to spare."""
    if current is None or membrane is None:
        return np.zeros(units)
    neurons = prod(node.shape)
    peak = np.maximum(
        CURRENT_MARGIN * unit_max(current, units, neurons),
        MEMBRANE_MARGIN * unit_max(membrane, units, neurons),
    )
    with np.errstate(divide="ignore"):
        return np.asarray(STATE_CEILING / peak)


def choose(largest: Floats, cap: Floats, top: int, exponents: range) -> tuple[int, Floats]:
    """Weight exponent and scales: the highest exponent that costs no unit any of its weight range.

    A higher exponent makes thresholds, biases and decay finer; where a unit's cap binds at the lowest exponent already,
    nothing is lost by going on.
    """
    with np.errstate(divide="ignore"):
        wanted = {e: np.where(largest > 0, top * weight_unit(e) / largest, np.inf) for e in exponents}
    lowest = exponents[0]
    free = wanted[lowest] <= cap
    exponent = max((e for e, w in wanted.items() if (w[free] <= cap[free]).all()), default=lowest)
    if not free.any():
        exponent = lowest
    return exponent, np.minimum(wanted[exponent], cap)


def snap(name: str, scale: Floats, node: LIF, units: int) -> Floats:
    """Lower scales until the largest threshold of each unit is an integer.

    Raises
    ------
    ExportError
        A threshold is below one integer unit.
    """
    neurons = prod(node.shape)
    theta = unit_max(node.threshold, units, neurons)
    mantissa = np.floor(scale * theta / (1 << ALIGNMENT_SHIFT) * (1 + 1e-12))
    smallest = mantissa * -unit_max(-node.threshold.astype(np.float64), units, neurons) / theta
    if (np.rint(smallest) < 1).any():
        unit = int(np.argmin(smallest))
        raise ExportError(
            f"{name}: unit {unit} has a threshold of {float(scale[unit] * theta[unit]) / 64:.3f} in integer units, below 1; "
            "its weights or bias dwarf its threshold: use more bits or a scale per channel, or retrain with weight decay"
        )
    return mantissa * (1 << ALIGNMENT_SHIFT) / theta


def clip(
    name: str,
    node: LIF | LI,
    groups: dict[str, Synapses],
    rates: dict[str, Floats | None],
    scale: Floats,
    cap: Floats,
    exponent: int,
    top: int,
) -> Floats:
    """Scales that make the expected squared error of the input least: a few large weights may be clipped."""
    best, best_error = scale, np.full(len(scale), np.inf)
    for factor in CLIPS:
        candidate = np.minimum(scale / factor, cap)
        if isinstance(node, LIF):
            candidate = snap(name, candidate, node, len(scale))
        error = squared_error(groups, rates, candidate, exponent, top)
        better = error < best_error * (1 - 1e-9)
        best, best_error = np.where(better, candidate, best), np.where(better, error, best_error)
    return best


def squared_error(
    groups: dict[str, Synapses], rates: dict[str, Floats | None], scale: Floats, exponent: int, top: int
) -> Floats:
    """Expected squared error of a step's input to a unit, in float units.

    An error of a weight counts by the rate of its input (mean over calibration samples).
    """
    units, error = len(scale), np.zeros(len(scale))
    for s, group in groups.items():
        # In single precision and in place: this is most of the time that quantising takes.
        ratio = spread(group.map, scale / weight_unit(exponent)).astype(np.float32)
        w = group.map.weight
        off = w * ratio
        np.clip(np.rint(off, out=off), -top, top, out=off)
        off /= ratio
        off -= w
        np.square(off, out=off)
        off *= input_rates(group.map, rates[s]).astype(np.float32)
        error += channel_sum(group.map, off).reshape(units, -1).sum(1)
    return error


def mean_shift(map_: LinearMap, rounded: Floats, rates: Floats | None) -> Floats:
    """Mean current that rounded weights add to each output channel at the calibrated input rates.

    Taken off the bias, so that rounding does not move a neuron's operating point (Nagel et al., "Data-free quantization
    through weight equalization and bias correction", ICCV 2019).
    """
    if rates is None:
        return np.zeros(map_.channels)
    off = (rounded - map_.weight.astype(np.float64)) * input_rates(map_, rates)
    return np.asarray(channel_sum(map_, off))


def input_rates(map_: LinearMap, rates: Floats | None) -> Floats:
    """Rates of a map's inputs, shaped to multiply its weight; convolutions take the mean of a channel."""
    if rates is None:
        return np.ones(map_.weight.shape if isinstance(map_, Sparse) else 1)
    rates = rates + 1e-3  # an input silent in calibration may still fire
    if isinstance(map_, Dense):
        return rates[None, :]
    if isinstance(map_, Sparse):
        return rates[map_.columns]
    by_channel = rates.reshape(map_.input_shape[0], -1).mean(1)
    tail = (1,) * (map_.weight.ndim - 2)
    if map_.channel_axis == 1:
        return by_channel.reshape(-1, 1, *tail)
    per_group = by_channel.reshape(map_.groups, 1, -1).repeat(map_.weight.shape[0] // map_.groups, axis=1)
    return per_group.reshape(map_.weight.shape[0], -1, *tail)


def spread(map_: LinearMap, by_unit: Floats) -> Floats:
    """One value a unit, shaped to multiply a map's weight."""
    return per_channel(map_, np.repeat(by_unit, map_.channels // len(by_unit)))


def largest_weights(groups: dict[str, Synapses], units: int) -> Floats:
    """Largest magnitude of each unit's weights."""
    by_group = [channel_max(g.map, np.abs(g.map.weight)).reshape(units, -1).max(1) for g in groups.values()]
    return np.max(by_group, axis=0).astype(np.float64)


def units_of(groups: dict[str, Synapses], node: LIF | LI, per_unit: bool) -> int:
    """Units of a population: the channels that all its inputs agree on, or one."""
    channels = [g.map.channels for g in groups.values()]
    return int(np.gcd.reduce(channels)) if per_unit and isinstance(node, LIF) else 1
