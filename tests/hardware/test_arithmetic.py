"""The integer arithmetic against a plain transcription of the rules, in Python's own integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewright.export.formats import STATE_LIMIT
from spikewright.hardware import arithmetic
from spikewright.hardware.kernels import lif_window

LIMIT = 2**23
#: Around zero, around every power of two, and around both ends of the state.
EDGES = sorted(
    {
        s * (v + d)
        for v in (0, 1, 63, 64, 4095, 4096, 2**16, 2**22, LIMIT, 3 * LIMIT)
        for d in (-1, 0, 1)
        for s in (1, -1)
    }
)


def plain_decay(state: int, register: int) -> int:
    """sign(x) floor(|x| (4096 - d) / 4096)"""
    magnitude = abs(state) * (4096 - register) // 4096
    return magnitude if state >= 0 else -magnitude


def plain_wrap(current: int) -> int:
    """Once, first downward, then upward."""
    if current > 2**23:
        current -= 2**24
    if current <= -(2**23):
        current += 2**24
    return current


def plain_step(
    u: int, v: int, arriving: int, du: int, dv: int, threshold: int, bias: int
) -> tuple[int, int, int]:
    """One step of Lava's fixed-point LIF."""
    u = plain_wrap(plain_decay(u, du + 1) + arriving * 64)
    v = min(max(plain_decay(v, dv) + u + bias, -(2**23 - 1)), 2**23 - 1)
    spike = int(v > threshold * 64)
    return u, 0 if spike else v, spike


def plain_synapse(total: int, exponent: int) -> int:
    """Even weights are summed first, and only then scaled; a right shift floors."""
    return 2 * total * 2**exponent if exponent >= 0 else (2 * total) // 2**-exponent


def test_the_state_has_24_bits() -> None:
    assert STATE_LIMIT == LIMIT


def test_decay_of_every_register_and_state_on_an_edge() -> None:
    registers = np.arange(4097)
    for state in EDGES:
        kept = arithmetic.decay(np.full(4097, state), registers)
        assert kept.tolist() == [plain_decay(state, r) for r in range(4097)], state


@given(st.lists(st.integers(-LIMIT, LIMIT), min_size=1, max_size=50), st.integers(0, 4096))
def test_decay_shrinks_toward_zero_and_never_changes_sign(states: list[int], register: int) -> None:
    kept = arithmetic.decay(np.array(states), register)
    assert kept.tolist() == [plain_decay(s, register) for s in states]
    assert (np.abs(kept) <= np.abs(states)).all()
    assert (kept * np.array(states) >= 0).all()


def test_a_register_of_4096_forgets_and_one_of_0_keeps() -> None:
    states = np.array(EDGES)
    assert not arithmetic.decay(states, 4096).any()
    assert (arithmetic.decay(states, 0) == states).all()


def test_the_current_wraps_once_and_not_as_twos_complement() -> None:
    wrap = arithmetic.wrap_current(
        np.array([LIMIT, LIMIT + 1, -LIMIT, -LIMIT + 1, -LIMIT - 1, 3 * LIMIT, 2**25 - 1])
    )
    assert wrap.tolist() == [LIMIT, -LIMIT + 1, LIMIT, -LIMIT + 1, LIMIT - 1, LIMIT, 2**24 - 1]
    assert arithmetic.wrap_current(np.array(EDGES)).tolist() == [plain_wrap(e) for e in EDGES]


@given(st.integers(-(2**40), 2**40))
def test_what_lies_within_one_turn_comes_back_into_the_state_what_lies_beyond_stays_outside(
    current: int,
) -> None:
    wrapped = int(arithmetic.wrap_current(np.array(current)))
    assert wrapped == plain_wrap(current)
    assert (wrapped - current) % 2**24 == 0
    if -3 * LIMIT < current <= 3 * LIMIT:
        assert -LIMIT < wrapped <= LIMIT
    else:
        assert abs(wrapped) > LIMIT


def test_the_membrane_saturates_symmetrically() -> None:
    clipped = arithmetic.saturate_membrane(np.array(EDGES))
    assert clipped.tolist() == [min(max(e, -(2**23 - 1)), 2**23 - 1) for e in EDGES]


@pytest.mark.parametrize("exponent", range(-8, 8))
def test_the_sum_is_scaled_not_the_weights(exponent: int) -> None:
    totals = np.array([*range(-130, 131), 127 * 5000, -127 * 5000])
    assert arithmetic.synaptic_sum(totals, exponent).tolist() == [
        plain_synapse(int(t), exponent) for t in totals
    ]


def test_at_the_lowest_legal_exponent_no_bit_is_lost() -> None:
    totals = np.arange(-1000, 1001)
    assert (arithmetic.synaptic_sum(totals, -1) == totals).all()


STATES = st.one_of(st.sampled_from(EDGES), st.integers(-LIMIT, LIMIT))


@settings(max_examples=500)
@given(
    u=STATES, v=STATES, arriving=st.one_of(st.sampled_from(EDGES), st.integers(-(2**24), 2**24)),
    du=st.sampled_from([0, 1, 700, 4094, 4095]), dv=st.sampled_from([0, 1, 819, 3072, 4095, 4096]),
    threshold=st.sampled_from([0, 1, 2000, 131071]), bias=st.integers(-524160, 524160),
)  # fmt: skip
def test_a_step_is_the_transcription(
    u: int, v: int, arriving: int, du: int, dv: int, threshold: int, bias: int
) -> None:
    new_u, new_v, fired = arithmetic.lif_step(
        np.array([u]), np.array([v]), np.array([arriving]), current_decay=du, membrane_decay=dv,
        threshold=np.array([threshold]), bias=np.array([bias]),
    )  # fmt: skip
    assert (int(new_u[0]), int(new_v[0]), int(fired[0])) == plain_step(
        u, v, arriving, du, dv, threshold, bias
    )


def test_a_membrane_at_its_threshold_does_not_fire() -> None:
    for v, fires in ((64 * 25, False), (64 * 25 + 1, True)):
        _, left, fired = arithmetic.lif_step(
            np.array([0]), np.array([v]), np.array([0]), current_decay=4095, membrane_decay=0,
            threshold=np.array([25]), bias=0,
        )  # fmt: skip
        assert bool(fired[0]) is fires
        assert int(left[0]) == (0 if fires else v)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("decays", [(4095, 3072), (0, 0), (1, 1), (700, 819), (4094, 4095), (4095, 4096)])
@pytest.mark.parametrize("one_step", [False, True])
def test_the_compiled_window_is_the_step_repeated(
    dtype: type, decays: tuple[int, int], one_step: bool
) -> None:
    rng = np.random.default_rng(sum(decays) + one_step)
    samples, steps, neurons = 3, 40, 17
    span = rng.choice([20, 3000, 2**17, 2**19], neurons)
    synaptic = (rng.random((samples, 1 if one_step else steps, neurons)) * 2 * span - span).astype(dtype)
    threshold = rng.choice([0, 1, 400, 131071], neurons).astype(np.int64)
    bias = rng.integers(-524160, 524161, (samples if one_step else 1, neurons))
    spikes = np.full((samples, steps, neurons), 9, np.uint8)
    currents, membranes = np.zeros((2, samples, steps, neurons), np.int64)
    readout = np.zeros((samples, neurons), np.int64)
    keep_u, keep_v = np.full(neurons, 4095 - decays[0]), np.full(neurons, 4096 - decays[1])
    lif_window(synaptic, bias, threshold, keep_u, keep_v, False, spikes, currents, membranes, readout)
    u = v = np.zeros((samples, neurons), np.int64)
    for t in range(steps):
        arriving = synaptic[:, 0 if one_step else t].astype(np.int64)
        u, v, fired = arithmetic.lif_step(
            u, v, arriving, current_decay=decays[0], membrane_decay=decays[1], threshold=threshold, bias=bias
        )
        assert (currents[:, t] == u).all()
        assert (membranes[:, t] == v).all()
        assert (spikes[:, t] == fired).all()
    assert (readout == v).all()
    assert 0 < spikes.mean() < 1
    assert (np.abs(currents) == LIMIT - 1).any() or np.abs(currents).max() > 2**20, (
        "no state came near its end"
    )


def test_a_window_without_records_gives_the_same_spikes_and_read_out() -> None:
    rng = np.random.default_rng(0)
    synaptic = rng.integers(-500, 900, (4, 9, 6))
    bias, threshold = np.zeros((1, 6), np.int64), np.full(6, 300)
    none = np.zeros((4, 0, 6), np.int64)
    full, lean = np.zeros((2, 4, 9, 6), np.uint8)
    states = np.zeros((2, 4, 9, 6), np.int64)
    ends = np.zeros((2, 4, 6), np.int64)
    keeps = np.full(6, 4095 - 700), np.full(6, 4096 - 819)
    lif_window(synaptic, bias, threshold, *keeps, False, full, *states, ends[0])
    lif_window(synaptic, bias, threshold, *keeps, False, lean, none, none, ends[1])
    assert (full == lean).all()
    assert (ends[0] == ends[1]).all()
    assert (ends[0] == states[1][:, -1]).all()
