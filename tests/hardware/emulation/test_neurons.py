"""The 32-bit neuron kernel is the definition of the arithmetic, at every boundary it may meet."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikewright.export.formats import (
    ALIGNMENT_SHIFT,
    CURRENT_DECAY_OFFSET,
    DECAY_ONE,
    RESETS,
    STATE_LIMIT,
    THRESHOLD_MAX,
)
from spikewright.hardware import arithmetic
from spikewright.hardware.emulation.neurons import BLOCK, SUM_LIMIT, by_kind, integrate

Run = tuple[np.ndarray, np.ndarray, np.ndarray]


def ours(
    sums: np.ndarray, du: np.ndarray, dv: np.ndarray, threshold: np.ndarray, bias: np.ndarray, reset: str,
    factor: int = 1, constant: int = 0,
) -> Run:  # fmt: skip
    samples, steps, n = sums.shape
    spikes = np.empty((samples, steps, n + 3), np.uint8)
    counts, last = (np.zeros((samples, n), np.int32) for _ in range(2))
    narrow = [
        a.astype(np.int32)
        for a in (threshold << ALIGNMENT_SHIFT, DECAY_ONE - CURRENT_DECAY_OFFSET - du, DECAY_ONE - dv)
    ]
    # Where the short formula may be taken, it is.
    largest = int(np.abs(sums.astype(np.int64)).max(initial=0)) * factor + abs(constant)
    plain = largest << ALIGNMENT_SHIFT < STATE_LIMIT and not narrow[1].any() and reset == "zero"
    plain = plain and bool((narrow[2] == narrow[2][0]).all())
    integrate(
        *by_kind(sums), 1, n, n, 0, np.int32(factor), np.full(n, constant, np.int32), bias.astype(np.int32), *narrow,
        plain, bool(narrow[1].any()), RESETS.index(reset), spikes, counts, last,  # type: ignore[arg-type]
    )  # fmt: skip
    return spikes[:, :, :n], counts, last


def defined(
    sums: np.ndarray, du: np.ndarray, dv: np.ndarray, threshold: np.ndarray, bias: np.ndarray, reset: str
) -> Run:
    samples, steps, n = sums.shape
    u = v = np.zeros((samples, n), np.int64)
    spikes = np.zeros(sums.shape, np.uint8)
    for t in range(steps):
        u, v, spikes[:, t] = arithmetic.lif_step(
            u, v, sums[:, t].astype(np.int64), current_decay=du, membrane_decay=dv, threshold=threshold, bias=bias,
            reset=reset,
        )  # fmt: skip
    return spikes, spikes.sum(1), v


def equal(left: Run, right: Run) -> bool:
    return all((a == b).all() for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("reset", RESETS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32 - 1),
    largest=st.sampled_from([3, 1000, 1 << 17, SUM_LIMIT]),
    steps=st.sampled_from([1, 2, 9]),
    dtype=st.sampled_from([np.int32, np.float32]),
)
def test_random_states_are_the_definition(
    reset: str, seed: int, largest: int, steps: int, dtype: type
) -> None:
    rng = np.random.default_rng(seed)
    n, samples = 67, 2
    sums = rng.integers(-largest, largest + 1, (samples, steps, n))
    sums[rng.random(sums.shape) < 0.2] = largest
    sums[rng.random(sums.shape) < 0.2] = -largest
    du, dv = rng.choice([-1, 0, 1, 700, 4094, 4095], n), rng.choice([0, 1, 819, 4095, 4096], n)
    top = rng.choice([0, 1, 60, 131070, THRESHOLD_MAX])
    threshold, bias = rng.integers(0, top + 1, n), rng.choice([-524160, -1, 0, 3, 524160], (samples, n))
    assert equal(
        ours(sums.astype(dtype), du, dv, threshold, bias, reset),
        defined(sums, du, dv, threshold, bias, reset),
    )


@pytest.mark.parametrize("reset", RESETS)
def test_every_decay_of_both_states(reset: str) -> None:
    registers = np.arange(4096)
    none = np.zeros((1, 4096), np.int64)
    high = np.full(4096, THRESHOLD_MAX)
    for first in (SUM_LIMIT // 2, 1 - SUM_LIMIT // 2, 4097, -4095, 1, -1):
        sums = np.zeros((1, 4, 4096), np.int64)
        sums[:, 0] = first
        for du, dv in (
            (registers, np.full(4096, 4096)),
            (registers - 1, registers),
            (np.full(4096, -1), registers + 1),
        ):
            assert equal(
                ours(sums.astype(np.int32), du, dv, high, none, reset),
                defined(sums, du, dv, high, none, reset),
            )


def test_factor_and_constant_are_part_of_the_input() -> None:
    rng = np.random.default_rng(2)
    n = 40
    sums = rng.integers(-500, 500, (2, 6, n)).astype(np.int16)
    du, dv, threshold = np.full(n, 900), np.full(n, 300), np.full(n, 4000)
    bias = np.zeros((1, n), np.int64)
    whole = sums.astype(np.int64) * 8 - 37
    assert equal(
        ours(sums, du, dv, threshold, bias, "zero", factor=8, constant=-37),
        defined(whole, du, dv, threshold, bias, "zero"),
    )


@pytest.mark.parametrize("plain", [False, True])
def test_more_neurons_than_a_block_and_more_spikes_than_a_byte(plain: bool) -> None:
    n, steps = 2 * BLOCK + 5, 600
    sums = np.broadcast_to(np.arange(n) % 3, (1, 1, n)).astype(np.int16)  # the same at every step
    du, dv, threshold = np.full(n, 4095), np.full(n, 4096), np.zeros(n, np.int64)
    spikes = np.empty((1, steps, n), np.uint8)
    counts, last = (np.zeros((1, n), np.int32) for _ in range(2))
    narrow = [a.astype(np.int32) for a in (threshold, du * 0, dv * 0)]
    integrate(
        *by_kind(sums), 1, n, n, 0, np.int32(1), np.zeros(n, np.int32), np.zeros((1, n), np.int32), *narrow, plain, False, 0,
        spikes, counts, last,
    )  # fmt: skip
    assert (counts[0] == np.where(np.arange(n) % 3 > 0, steps, 0)).all()
    assert (spikes.sum(1, dtype=np.int64) == counts).all()
