"""The integer arithmetic, every register value against every state on a boundary, held to exact rational numbers.

The oracle below is written from the documented rules of Lava's fixed-point neuron in Python's own integers and fractions,
with no shift and no array in it. The compiled kernels of the emulator are held to the same tables.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest

from spikewright.export.formats import RESETS, bias_value, split_bias
from spikewright.hardware import arithmetic
from spikewright.hardware.kernels import lif_advance, lif_window

HALF, TURN = 2**23, 2**24
CURRENT_REGISTERS = range(-1, 4096)
MEMBRANE_REGISTERS = range(4097)
THRESHOLDS = np.arange(131072)


def boundary_states() -> list[int]:
    """Zero, +-1, +-2, every power of two up to 2^23 and its neighbours, and random states between them."""
    near = {2**k + d for k in range(24) for d in (-1, 0, 1)}
    near |= {int(s) for s in np.random.default_rng(0).integers(0, HALF + 1, 40)}
    return sorted({s * sign for s in near for sign in (1, -1)})


STATES = boundary_states()


def kept(state: int, register: int) -> int:
    """What a decay leaves: (4096 - register) / 4096 of the magnitude, rounded down, with the sign it had."""
    # A quotient of non-negative integers rounds down, as the floor of the fraction does (checked below).
    magnitude = abs(state) * (4096 - register) // 4096
    return magnitude if state > 0 else -magnitude


def wrap(current: int) -> int:
    """One turn down above 2^23; one turn up at -2^23 and below. Never more than one turn."""
    if current > HALF:
        down = current - TURN
        return down if down > -HALF else down + TURN
    return current + TURN if current <= -HALF else current


def clip(membrane: int) -> int:
    """At most 2^23 - 1 from zero."""
    return max(-(HALF - 1), min(HALF - 1, membrane))


def test_the_oracles_quotient_is_the_floor_of_the_fraction() -> None:
    rng = np.random.default_rng(1)
    for state, register in zip(
        rng.choice(STATES, 2000).tolist(), rng.integers(0, 4097, 2000).tolist(), strict=True
    ):
        exact = floor(abs(state) * Fraction(4096 - register, 4096))
        assert kept(state, register) == (exact if state > 0 else -exact)


def table(registers: range) -> np.ndarray:
    """The oracle's result of every boundary state (rows) and register (columns)."""
    return np.array([[kept(state, register) for register in registers] for state in STATES])


def wrapped(currents: np.ndarray) -> np.ndarray:
    """The oracle's wrap of a whole table."""
    return np.array([[wrap(current) for current in row] for row in currents.tolist()])


def test_every_membrane_decay_of_every_boundary_state() -> None:
    wanted = table(MEMBRANE_REGISTERS)
    found = arithmetic.decay(np.array(STATES)[:, None], np.array(MEMBRANE_REGISTERS)[None])
    assert found.dtype == np.int64
    assert (found == wanted).all()
    # A step of the neuron with nothing arriving is nothing but this decay (none of these passes the top threshold).
    silent = np.zeros(len(MEMBRANE_REGISTERS), np.int64)
    for state, row in zip(STATES, wanted, strict=True):
        _, membrane, fired = arithmetic.lif_step(
            silent, silent + state, silent, current_decay=4095, membrane_decay=np.array(MEMBRANE_REGISTERS),
            threshold=silent + 131071, bias=0,
        )  # fmt: skip
        clipped = np.clip(row, 1 - HALF, HALF - 1)
        assert (fired == (clipped > 131071 * 64)).all()
        assert (membrane == np.where(fired, 0, clipped)).all()


def test_every_current_decay_of_every_boundary_state() -> None:
    # The register counts one less than what it takes: -1 keeps all, 4095 nothing.
    wanted = wrapped(table(MEMBRANE_REGISTERS))
    silent = np.zeros(len(CURRENT_REGISTERS), np.int64)
    for state, row in zip(STATES, wanted, strict=True):
        current, _, _ = arithmetic.lif_step(
            silent + state, silent, silent, current_decay=np.array(CURRENT_REGISTERS), membrane_decay=4096,
            threshold=silent, bias=0,
        )  # fmt: skip
        assert (current == row).all()


def test_the_compiled_step_decays_every_register_and_boundary_state() -> None:
    registers = np.array(MEMBRANE_REGISTERS)
    wanted = table(MEMBRANE_REGISTERS)
    u = np.repeat(np.array(STATES)[:, None], registers.size, 1)
    v, nothing = u.copy(), np.zeros_like(u)
    fired = np.zeros(u.shape, np.uint8)
    top = np.full(registers.size, 131071)
    # First the membrane alone (a current forgotten at once), then the current alone; both keep what the register leaves.
    forgotten = np.zeros_like(registers)
    lif_advance(nothing, nothing[:1], top, forgotten, 4096 - registers, False, nothing.copy(), v, fired)
    clipped = np.clip(wanted, 1 - HALF, HALF - 1)
    assert (v == np.where(fired, 0, clipped)).all()
    assert (fired == (clipped > 131071 * 64)).all()
    lif_advance(nothing, nothing[:1], top, 4096 - registers, forgotten, False, u, nothing.copy(), fired)
    assert (u == wrapped(wanted)).all()


def test_the_compiled_window_decays_every_register() -> None:
    # A first step sets the state, a second one shows what is left of it.
    registers = np.array(MEMBRANE_REGISTERS)
    sums = np.array([s // 64 for s in STATES if s % 64 == 0 and abs(s) < HALF])
    synaptic = np.zeros((sums.size, 2, registers.size), np.int64)
    synaptic[:, 0] = sums[:, None]
    spikes = np.zeros(synaptic.shape, np.uint8)
    u, v = np.zeros((2, *synaptic.shape), np.int64)
    last, none = np.zeros((sums.size, registers.size), np.int64), np.zeros((1, registers.size), np.int64)
    top = np.full(registers.size, 131071)
    lif_window(synaptic, none, top, 4096 - registers, 4096 - registers, False, spikes, u, v, last)
    wanted = np.array([[kept(64 * int(s), int(r)) for r in registers] for s in sums])
    assert (u[:, 1] == wanted).all()
    assert (v[:, 0] == sums[:, None] * 64).all()
    both = np.clip(2 * wanted, 1 - HALF, HALF - 1)
    assert (last == np.where(both > 131071 * 64, 0, both)).all()


@pytest.mark.parametrize("exponent", range(-1, 8))
def test_every_weight_at_every_exponent_and_payload(exponent: int) -> None:
    # One synapse of each weight, and each value that a plain or graded spike may carry.
    weights, payloads = np.arange(-127, 128), np.arange(256)
    totals = weights[:, None] * payloads
    unit = 2 * Fraction(2) ** exponent
    assert unit.denominator == 1  # at -1 nothing is lost
    wanted = [[w * s * unit.numerator for s in range(256)] for w in range(-127, 128)]
    assert arithmetic.synaptic_sum(totals, exponent).tolist() == wanted


@pytest.mark.parametrize("exponent", range(-1, 8))
def test_sums_of_many_weights_at_every_exponent(exponent: int) -> None:
    rng = np.random.default_rng(exponent + 1)
    weight, spikes = rng.integers(-127, 128, (30, 300)), rng.integers(0, 256, 300)
    exact = [
        sum(
            (2 * int(w) * int(s) * Fraction(2) ** exponent for w, s in zip(row, spikes, strict=True)),
            Fraction(0),
        )
        for row in weight
    ]
    assert arithmetic.synaptic_sum(weight @ spikes, exponent).tolist() == exact
    # On Loihi each weight is shifted before the sum, in Lava the sum is; even weights make both the same from -1 up.
    assert (arithmetic.synaptic_sum(weight, exponent) @ spikes).tolist() == exact


#: Sums that bring a current within four units of 64 of every boundary, up to five half turns out.
TURNS = [k * HALF // 64 + d for k in range(-5, 6) for d in range(-4, 5)]


def test_every_wrap_boundary() -> None:
    near = [k * HALF + d for k in range(-7, 8) for d in range(-2, 3)]
    assert arithmetic.wrap_current(np.array(near)).tolist() == [wrap(c) for c in near]
    # The documented corners: +2^23 stays, -2^23 becomes +2^23, so does 3 2^23, and 2^25 - 1 survives outside.
    corners = {
        HALF: HALF,
        -HALF: HALF,
        3 * HALF: HALF,
        HALF + 1: 1 - HALF,
        -HALF - 1: HALF - 1,
        2**25 - 1: TURN - 1,
    }
    assert {c: int(arithmetic.wrap_current(np.array(c))) for c in corners} == corners


def test_every_wrap_boundary_in_a_step_and_in_the_compiled_one() -> None:
    # A current kept whole (register -1), of each boundary value, and each sum that leads across another boundary.
    held = [s for s in STATES if abs(s) <= 2 or abs(s) >= HALF - 2]
    u = np.repeat(np.array(held)[:, None], len(TURNS), 1)
    sums = np.repeat(np.array(TURNS)[None], len(held), 0)
    wanted = [[wrap(h + 64 * t) for t in TURNS] for h in held]
    zeros = np.zeros(len(TURNS), np.int64)
    current, membrane, _ = arithmetic.lif_step(
        u, np.zeros_like(u), sums, current_decay=-1, membrane_decay=4096, threshold=zeros + 131071, bias=0
    )
    assert current.tolist() == wanted
    silent = np.array([[clip(w) if clip(w) <= 131071 * 64 else 0 for w in row] for row in wanted])
    assert (membrane == silent).all()
    v, fired = np.zeros_like(u), np.zeros(u.shape, np.uint8)
    lif_advance(sums, zeros[None], zeros + 131071, zeros + 4096, zeros, False, u, v, fired)
    assert u.tolist() == wanted
    assert (v == silent).all()


@pytest.mark.parametrize("reset", RESETS)
def test_every_saturation_boundary(reset: str) -> None:
    # Membrane, current and bias push from each state near an end to each place near or beyond it.
    ends = [s for s in STATES if abs(s) <= 2 or abs(s) >= HALF - 2]
    pushes = sorted({d + e for d in (-TURN, -HALF, -524160, 0, 524160, HALF, TURN) for e in range(-3, 4)})
    v = np.repeat(np.clip(np.array(ends), 1 - HALF, HALF - 1)[:, None], len(pushes), 1)
    bias = np.array(pushes)
    zeros = np.zeros(bias.size, np.int64)
    for threshold in (0, 1, 131070, 131071):
        delayed = reset == "subtract-delayed"
        due = [64 * threshold if delayed and state > 64 * threshold else 0 for state in v[:, 0]]
        reached = [[clip(int(s) + push - d) for push in pushes] for s, d in zip(v[:, 0], due, strict=True)]
        kept = {"zero": (0, 0), "subtract": (1, -64 * threshold), "subtract-delayed": (1, 0)}[reset]
        wanted = [[m if m <= 64 * threshold else kept[0] * m + kept[1] for m in row] for row in reached]
        _, membrane, fired = arithmetic.lif_step(
            np.zeros_like(v), v, np.zeros_like(v), current_decay=4095, membrane_decay=0,
            threshold=zeros + threshold, bias=bias, reset=reset,
        )  # fmt: skip
        assert membrane.tolist() == wanted
        assert fired.tolist() == [[m > 64 * threshold for m in row] for row in reached]
        compiled, spikes = v.copy(), np.zeros(v.shape, np.uint8)
        lif_advance(
            np.zeros_like(v), bias[None], zeros + threshold, zeros, zeros + 4096, RESETS.index(reset),
            np.zeros_like(v), compiled, spikes,
        )  # fmt: skip
        assert compiled.tolist() == wanted
        assert (spikes == fired).all()


@pytest.mark.parametrize("subtract", [False, True])
def test_every_threshold_is_strict(subtract: bool) -> None:
    # At the aligned threshold a neuron stays silent, one unit above it fires.
    zeros = np.zeros(THRESHOLDS.size, np.int64)
    for above in (-1, 0, 1, 2):
        v = np.array([64 * int(m) + above for m in THRESHOLDS])
        # The highest threshold lies 63 units below the end, so none of these saturates.
        assert v.max() < HALF
        left = np.where(v <= 64 * THRESHOLDS, v, above if subtract else 0)
        _, membrane, fired = arithmetic.lif_step(
            zeros, v, zeros, current_decay=4095, membrane_decay=0, threshold=THRESHOLDS, bias=0,
            reset="subtract" if subtract else "zero",
        )  # fmt: skip
        assert (fired == (above > 0)).all()
        assert (membrane == left).all()
        spikes, states, none = (np.zeros((1, 1, v.size), t) for t in (np.uint8, np.int64, np.int64))
        last, keep = np.zeros((1, v.size), np.int64), zeros + 4096
        lif_window(none, v[None], THRESHOLDS, zeros, keep, subtract, spikes, states, none.copy(), last)
        assert (spikes[0, 0] == fired).all()
        assert (last[0] == left).all()


def test_every_bias_mantissa_at_every_exponent() -> None:
    mantissas, exponents = np.arange(-4095, 4096), np.arange(8)
    wanted = [[m * 2**e for m in range(-4095, 4096)] for e in range(8)]
    value = bias_value(mantissas[None], exponents[:, None])
    assert value.tolist() == wanted
    mantissa, exponent = split_bias(value)
    assert (np.abs(mantissa) <= 4095).all()
    assert ((exponent >= 0) & (exponent <= 7)).all()
    assert bias_value(mantissa, exponent).tolist() == wanted
    # A step from rest leaves the bias itself in the membrane, below the threshold.
    zeros = np.zeros(value.size, np.int64)
    _, membrane, fired = arithmetic.lif_step(
        zeros, zeros, zeros, current_decay=0, membrane_decay=0, threshold=zeros + 131071, bias=value.ravel()
    )
    assert (membrane == value.ravel()).all()
    assert not fired.any()


def test_every_bias_splits_to_the_nearest_there_is() -> None:
    values = np.arange(-524160, 524161)
    mantissa, exponent = split_bias(values)
    step = np.left_shift(1, exponent)
    assert (np.abs(bias_value(mantissa, exponent) - values) * 2 <= step).all()
    # No smaller exponent holds it.
    assert (np.abs(values)[exponent > 0] > (4095 << (exponent - 1))[exponent > 0]).all()


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_a_spike_leaves_the_current_alone_and_the_membrane_as_its_reset_says(reset: str) -> None:
    membranes = np.array([64 * 100 + d for d in (-1, 0, 1, 64 * 100, 64 * 300)])
    u, left, fired = arithmetic.lif_step(
        np.full(5, 77), membranes - 77, np.zeros(5, np.int64), current_decay=-1, membrane_decay=0,
        threshold=np.full(5, 100), bias=0, reset=reset,
    )  # fmt: skip
    assert u.tolist() == [77] * 5
    assert fired.tolist() == [False, False, True, True, True]
    assert left[:2].tolist() == [6399, 6400]
    assert left[2:].tolist() == ([1, 6400, 19200] if reset == "subtract" else [0, 0, 0])
