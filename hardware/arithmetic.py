"""The integer arithmetic of a Loihi core, one function a hardware rule.

Every rule here is what Lava 0.10.0's ``fixed_pt`` models compute (``lava/proc/lif/models.py``,
``lava/proc/dense/models.py``); the differential tests hold each to zero differences. The widths and alignments are those
of :mod:`spikewright.export.formats`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..export.formats import (
    ALIGNMENT_SHIFT,
    CURRENT_DECAY_OFFSET,
    DECAY_BITS,
    DECAY_ONE,
    MIXED_SIGN_FACTOR,
    STATE_LIMIT,
    Ints,
    payload_limit,
)


def decay(state: Ints, register: Ints | int) -> Ints:
    """Keep ``(4096 - register) / 4096`` of a state, rounding toward zero."""
    kept: Ints = np.multiply(np.abs(state), DECAY_ONE - register)
    return np.sign(state) * (kept >> DECAY_BITS)


def wrap_current(current: Ints) -> Ints:
    """Wrap a current once at the 24-bit boundary.

    Not two's complement: +2^23 stays, -2^23 becomes +2^23, and what lies more than one turn outside stays outside.
    """
    wrapped = np.where(current > STATE_LIMIT, current - 2 * STATE_LIMIT, current)
    return np.where(wrapped <= -STATE_LIMIT, current + 2 * STATE_LIMIT, wrapped)


def saturate_membrane(membrane: Ints) -> Ints:
    """Clip a membrane to 24 bits, symmetric."""
    return np.clip(membrane, -(STATE_LIMIT - 1), STATE_LIMIT - 1)


def payload(membrane: Ints, bits: int, shift: int) -> Ints:
    """Value that a graded relay sends: its membrane in units of ``2^shift``, halves rounded up, saturated symmetrically.

    Half a unit is added ahead of an arithmetic shift, so that rounding has no drift: a shift alone would lower every
    value by half a unit on average, once a relay in series.
    """
    limit = payload_limit(bits)
    return np.clip((membrane + ((1 << shift) >> 1)) >> shift, -limit, limit)


def relay_step(synaptic_sum: Ints, bias: Ints | int, bits: int, shift: int) -> tuple[Ints, Ints, Ints]:
    """One step of a graded relay: no memory, no threshold.

    Current and membrane are those of a neuron that keeps nothing of either (registers of 4095 and 4096).

    Returns
    -------
    current, membrane, payload : ndarray of int64
    """
    current = wrap_current(synaptic_sum << ALIGNMENT_SHIFT)
    membrane = saturate_membrane(current + bias)
    return current, membrane, payload(membrane, bits, shift)


def synaptic_sum(total: Ints, exponent: int) -> Ints:
    """Input that a sum of quantised weights q makes: stored as 2 q, then scaled by a power of two.

    A right shift floors the *sum*, as Lava does; at exponent -1 the even sum loses nothing.
    """
    stored = MIXED_SIGN_FACTOR * total
    return stored << exponent if exponent >= 0 else stored >> -exponent


def integrate(
    membrane: Ints, current: Ints, membrane_decay: Ints | int, threshold: Ints, bias: Ints | int, reset: str
) -> Ints:
    """What a step makes of a membrane before it saturates; arguments as in :func:`lif_step`."""
    out: Ints = decay(membrane, membrane_decay) + current + bias
    if reset == "subtract-delayed":
        aligned = np.left_shift(threshold, ALIGNMENT_SHIFT)
        out = out - np.where(membrane > aligned, aligned, 0)
    return out


def lif_step(
    current: Ints,
    membrane: Ints,
    synaptic_sum: Ints,
    *,
    current_decay: Ints | int,
    membrane_decay: Ints | int,
    threshold: Ints,
    bias: Ints | int,
    reset: str = "zero",
) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """One step of the leaky integrate-and-fire neuron.

    Parameters
    ----------
    current, membrane : ndarray of int64
        State before the step.
    synaptic_sum : ndarray of int64
        What arrived this step.
    current_decay, membrane_decay : int or ndarray
        Registers du (-1..4095) and dv (0..4096).
    threshold : ndarray
        Mantissa; compared after a shift by 6.
    bias : ndarray
        In membrane units.
    reset : str
        What a spike does to the membrane: one of :data:`~spikewright.export.formats.RESETS`.

    Returns
    -------
    current, membrane, spikes : ndarray
        State after the step (membrane reset where a neuron fired, unless that is delayed) and who fired.
    """
    current = wrap_current(
        decay(current, current_decay + CURRENT_DECAY_OFFSET) + (synaptic_sum << ALIGNMENT_SHIFT)
    )
    membrane = saturate_membrane(integrate(membrane, current, membrane_decay, threshold, bias, reset))
    aligned = np.left_shift(threshold, ALIGNMENT_SHIFT)
    spikes = membrane > aligned
    if reset == "zero":
        membrane = np.where(spikes, 0, membrane)
    elif reset == "subtract":
        membrane = np.where(spikes, membrane - aligned, membrane)
    return current, membrane, spikes
