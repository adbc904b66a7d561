"""Number formats of the integer levels: widths and alignments that quantiser and backends share.

Widths follow Davies et al., "Loihi", IEEE Micro 38(1), 2018, and nengo-loihi's ``builder/discretize.py``; alignments are
what Lava 0.10.0's ``fixed_pt`` models compute.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int64]

#: What a spike does to the membrane: to zero, less the threshold in its own step, or less the threshold in the next step,
#: after the leak (snnTorch's ``reset_delay``). Reset to zero at the next step would be the same as at once.
Reset: TypeAlias = Literal["zero", "subtract", "subtract-delayed"]
RESETS: tuple[Reset, ...] = get_args(Reset)

DECAY_BITS = 12
DECAY_ONE = 1 << DECAY_BITS  # a decay register of d keeps (4096 - d) / 4096
CURRENT_DECAY_OFFSET = 1  # Lava hard-wires it, so that a register of 4095 forgets the current completely
#: What 12 bits hold; simulators take DECAY_ONE too, which forgets the membrane.
MEMBRANE_DECAY_MAX = DECAY_ONE - 1
STATE_BITS = 24
STATE_LIMIT = 1 << (STATE_BITS - 1)
ALIGNMENT_SHIFT = 6  # synaptic sums and thresholds are aligned to the top of the state, biases are not
THRESHOLD_BITS = 17
THRESHOLD_MAX = (1 << THRESHOLD_BITS) - 1
BIAS_MANTISSA_MAX = (1 << 12) - 1
BIAS_EXPONENT_MAX = 7
BIAS_MAX = BIAS_MANTISSA_MAX << BIAS_EXPONENT_MAX
WEIGHT_BITS = 8
WEIGHT_EXPONENT_MIN, WEIGHT_EXPONENT_MAX = -1, 7  # at -1 even weights still lose no bit
DELAY_MAX = 62
#: Value of a graded spike, sign included: a membrane holds no more bits, and one bit is no value.
PAYLOAD_BITS_MIN, PAYLOAD_BITS_MAX = 2, STATE_BITS
PAYLOAD_SHIFT_MAX = STATE_BITS - 1
PAYLOAD_BITS = 12  # at most, where none is asked for: wider ones leave 8-bit weights behind them no range
#: Mixed-sign synapses hold even numbers only: a signed weight q is stored as 2 q.
MIXED_SIGN_FACTOR = 2
#: Factor from a quantised weight q at exponent 0 to the membrane: stored as 2 q, shifted left by 6.
WEIGHT_TO_STATE = MIXED_SIGN_FACTOR << ALIGNMENT_SHIFT


def weight_unit(exponent: int) -> float:
    """Membrane units that a quantised weight of 1 adds at a weight exponent."""
    return WEIGHT_TO_STATE * 2.0**exponent


def payload_limit(bits: int) -> int:
    """Largest magnitude of a graded spike's value."""
    return (1 << (bits - 1)) - 1


def bias_value(mantissa: Ints, exponent: Ints | int) -> Ints:
    """Bias in membrane units from its mantissa and exponent."""
    return np.left_shift(mantissa, exponent)


def split_bias(value: Ints) -> tuple[Ints, Ints]:
    """Mantissa (13 bits signed) and smallest exponent (0..7) nearest to a bias.

    Raises
    ------
    OverflowError
        A bias needs more than an exponent of 7.
    """
    magnitude = np.abs(value)
    bits = np.frexp(magnitude.astype(np.float64))[1].astype(np.int64)
    exponent = np.clip(bits - BIAS_MANTISSA_MAX.bit_length(), 0, BIAS_EXPONENT_MAX)
    rounded = _round_shift(magnitude, exponent)
    # 8191 at exponent 1 rounds up to a mantissa of 4096: one exponent more.
    over = rounded > BIAS_MANTISSA_MAX
    if over.any():
        exponent = np.where(over & (exponent < BIAS_EXPONENT_MAX), exponent + 1, exponent)
        rounded = _round_shift(magnitude, exponent)
        if rounded.max() > BIAS_MANTISSA_MAX:
            raise OverflowError(f"a bias of {int(magnitude.max())} exceeds {BIAS_MAX}, the largest there is")
    return np.sign(value) * rounded, exponent


def _round_shift(magnitude: Ints, exponent: Ints) -> Ints:
    half = np.left_shift(1, exponent) >> 1  # zero at exponent zero
    return (magnitude + half) >> exponent
