"""Weights as netx 0.6.0 ends up with them, and their exact form in int8 synapse groups.

netx scales the weights of a dense layer to the full range of an 8-bit synapse, and Lava clips and truncates them to the
bits that netx asks for. Most matrices come out as they went in. Some do not, and those are reproduced as they come out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .errors import ExportError
from .formats import WEIGHT_BITS, WEIGHT_EXPONENT_MAX, WEIGHT_EXPONENT_MIN, Ints

#: Range of a mixed-sign synapse.
LOWEST, HIGHEST = -256, 254
#: Groups that the weights of one layer may be taken apart into.
MOST_PARTS = 3
_TOP = (1 << (WEIGHT_BITS - 1)) - 1
#: A group of exponent e and weight q adds ``q << k`` to the synaptic sum, with k = e + 1.
_SHIFTS = range(WEIGHT_EXPONENT_MAX - WEIGHT_EXPONENT_MIN + 1)


def effective_dense(matrices: Sequence[Ints], exponent_lost: bool = False) -> list[Ints]:
    """What one spike adds to each neuron, for matrices that netx scales together.

    Parameters
    ----------
    matrices : sequence of ndarray
        The weights of a dense layer as the file has them, and the recurrent ones if it has any.
    exponent_lost : bool
        netx hands the exponent to its synapses but not to recurrent ones with delays.

    Raises
    ------
    ExportError
        netx cannot scale the matrices, or what it computes is no linear map.
    """
    together = np.concatenate([m.ravel() for m in matrices])
    if together.min() < 0 and (together.max() > HIGHEST or (together.min() < LOWEST and together.max() > 0)):
        matrices = [np.clip(m, LOWEST, HIGHEST) for m in matrices]
        together = np.clip(together, LOWEST, HIGHEST)
    shift, bits = _optimised(together)
    return [_as_lava_stores(m << shift, bits, 0 if exponent_lost else shift) for m in matrices]


def _optimised(weight: Ints) -> tuple[int, int]:
    """Left shift and number of bits by ``optimize_weight_bits``."""
    high, low = int(weight.max()), int(weight.min())
    if not high and not low:
        raise ExportError("weight is zero throughout, which netx cannot scale; remove the layer or train it")
    signed = int(high >= 0 > low)
    if signed:
        scale = min(127 / high if high else np.inf, -128 / low)
    else:
        scale = 255 / high if high > 0 else -256 / low
    shift = int(np.floor(np.log2(scale))) + signed
    if shift < 0:
        worst = high if high > -low else low
        raise ExportError(f"weight {worst} is beyond what netx scales; one sign alone reaches -256 or 255")
    even = _trailing_zeros(weight)
    return shift, 8 - shift - (min(even, 8) - signed)


def _as_lava_stores(weight: Ints, bits: int, shift: int) -> Ints:
    """Clip and truncate as Lava's ``Dense`` does, which takes the sign mode from the data, and undo the shift."""
    sign = -1 if weight.max() <= 0 and weight.min() < 0 else 1
    mixed = int(weight.min() < 0 < weight.max())
    magnitude = np.clip(sign * weight, -256 * mixed, 255)
    cut = 8 - bits + mixed
    if cut < 0 and weight.any():
        raise ExportError(
            "weight has one sign and odd values beside recurrent weights of another, which netx turns into zeros; make "
            "the values even"
        )
    stored = sign * (magnitude >> max(cut, 0) << max(cut, 0))
    if (stored & ((1 << shift) - 1)).any():
        raise ExportError(
            "weight loses bits in netx only after spikes are added, which no synapse can copy; make the values even, or "
            "give one of them the other sign"
        )
    return stored >> shift


def int8_parts(weight: Ints) -> list[tuple[NDArray[np.int8], int]]:
    """Weights as a sum of int8 groups, exactly: ``sum of 2 q << exponent``; empty where all are zero.

    Returns
    -------
    list of (ndarray of int8, int)
        As few as possible, then with as few weights other than zero as possible.

    Raises
    ------
    ExportError
        More groups than :data:`MOST_PARTS` would be needed.
    """
    parts = _parts(weight, MOST_PARTS)
    if parts is None:
        raise ExportError(
            f"weight {int(np.abs(weight).max())} cannot be taken apart into {MOST_PARTS} groups of 8 bits; a synapse "
            f"holds {LOWEST}..{HIGHEST}"
        )
    return parts


def _parts(rest: Ints, most: int) -> list[tuple[NDArray[np.int8], int]] | None:
    if not rest.any():
        return []
    if not most:
        return None
    largest, even = int(np.abs(rest).max()), min(_trailing_zeros(rest), _SHIFTS[-1])
    enough = next((k for k in _SHIFTS if largest <= _TOP << k), _SHIFTS[-1])
    if largest <= _TOP << even:  # one group; at exponent 0 if it can be, as netx's synapses have it
        shifts = [max(enough, min(even, 1))]
    else:  # the top bits first, or all but a few that do not fit
        shifts = [enough, max(enough - 1, even)] if enough > even else [enough]
    found = []
    for shift in shifts:
        q = np.clip(np.rint(rest / (1 << shift)), -_TOP, _TOP).astype(np.int64)
        below = _parts(rest - (q << shift), most - 1)
        if below is not None:
            found.append([(q.astype(np.int8), shift + WEIGHT_EXPONENT_MIN), *below])
    return min(
        found, key=lambda parts: (len(parts), sum(np.count_nonzero(q) for q, _ in parts)), default=None
    )


def _trailing_zeros(values: Ints) -> int:
    """Power of two that divides all values, which are not all zero."""
    joined = int(np.bitwise_or.reduce(np.abs(values), axis=None))
    return (joined & -joined).bit_length() - 1
