"""Mantissa and exponent of a bias: nearest, smallest exponent, and a clear end of the range."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikewright.export.formats import (
    BIAS_EXPONENT_MAX,
    BIAS_MANTISSA_MAX,
    BIAS_MAX,
    WEIGHT_EXPONENT_MAX,
    WEIGHT_EXPONENT_MIN,
    bias_value,
    split_bias,
    weight_unit,
)
from spikewright.hardware.arithmetic import synaptic_sum


def nearest(value: int) -> tuple[int, int]:
    """The smallest exponent whose rounded mantissa fits, half away from zero, in plain integers."""
    for exponent in range(8):
        step = 1 << exponent
        mantissa = (abs(value) + step // 2) // step
        if mantissa <= 4095:
            return (mantissa if value >= 0 else -mantissa), exponent
    raise OverflowError(value)


def _check(values: np.ndarray) -> None:
    mantissa, exponent = split_bias(values.astype(np.int64))
    wanted = [nearest(int(v)) for v in values]
    assert mantissa.tolist() == [m for m, _ in wanted]
    assert exponent.tolist() == [e for _, e in wanted]
    assert (np.abs(bias_value(mantissa, exponent) - values) <= (1 << exponent) // 2).all()


def test_every_small_bias_is_exact() -> None:
    values = np.arange(-BIAS_MANTISSA_MAX, BIAS_MANTISSA_MAX + 1)
    mantissa, exponent = split_bias(values)
    assert (mantissa == values).all()
    assert (exponent == 0).all()


def test_around_every_change_of_exponent() -> None:
    edges = [BIAS_MANTISSA_MAX << e for e in range(BIAS_EXPONENT_MAX + 1)]
    around = np.unique([e + d for e in edges for d in range(-600, 601) if abs(e + d) <= BIAS_MAX + 63])
    _check(np.concatenate([around, -around]))


def test_over_the_whole_range() -> None:
    values = np.unique(np.concatenate([np.arange(-BIAS_MAX, BIAS_MAX + 1, 37), [BIAS_MAX, -BIAS_MAX]]))
    _check(values)


@pytest.mark.slow
def test_over_the_whole_range_without_a_gap() -> None:
    values = np.arange(-BIAS_MAX - 63, BIAS_MAX + 64)
    mantissa, exponent = split_bias(values)
    assert (np.abs(bias_value(mantissa, exponent) - values) <= (1 << exponent) // 2).all()
    assert (np.abs(mantissa) <= BIAS_MANTISSA_MAX).all()
    lower = np.maximum(exponent - 1, 0)
    half = np.where(lower > 0, (1 << lower) // 2, 0)
    could = (np.abs(values) + half) >> lower
    assert ((could > BIAS_MANTISSA_MAX) | (exponent == 0)).all()  # one exponent less would not do


@pytest.mark.parametrize("value", [BIAS_MAX + 64, -BIAS_MAX - 64, 1 << 30, -(1 << 40)])
def test_a_bias_beyond_the_range_is_refused_with_its_size(value: int) -> None:
    with pytest.raises(OverflowError, match=f"{abs(value)} exceeds {BIAS_MAX}"):
        split_bias(np.array([0, 17, value]))


def test_no_bias_at_all() -> None:
    mantissa, exponent = split_bias(np.zeros(0, np.int64))
    assert mantissa.shape == exponent.shape == (0,)


@given(st.integers(-(1 << 14), 1 << 14), st.integers(WEIGHT_EXPONENT_MIN, WEIGHT_EXPONENT_MAX))
def test_a_weight_unit_is_what_the_synapse_and_the_alignment_make_of_one(total: int, exponent: int) -> None:
    assert int(synaptic_sum(np.array(total), exponent)) << 6 == total * weight_unit(exponent)
