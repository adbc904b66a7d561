"""Filters: against their matrices and responses, one row at a time, nothing left of what has no pulse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spikewright.benchmarks.errors import PulseError
from spikewright.benchmarks.pulse.waves import band_pass, detrend, pulse_band, pulse_of, standardised

from .synthetic import sine


@settings(max_examples=40)
@given(st.integers(3, 60), st.sampled_from([0.0, 0.5, 10.0, 100.0]), st.integers(0, 99))
def test_detrend_is_the_matrix_of_smoothness_priors(length: int, lam: float, seed: int) -> None:
    signal = np.random.default_rng(seed).standard_normal((2, 3, length))
    second = np.diff(np.eye(length), 2, axis=0)
    trend = np.linalg.inv(np.eye(length) + lam**2 * second.T @ second)
    assert detrend(signal, lam) == pytest.approx(signal - signal @ trend, abs=1e-9)


@settings(max_examples=40)
@given(st.floats(-1e6, 1e6), st.floats(-1e3, 1e3), st.integers(3, 2000))
def test_lines_vanish(start: float, slope: float, length: int) -> None:
    assert not detrend(start + slope * np.arange(length)).any()


def test_half_of_the_stated_frequency_is_trend() -> None:
    frequency = 100**-0.5 / (2 * np.pi)
    wave = np.sin(2 * np.pi * frequency * np.arange(3000))
    assert detrend(wave)[500:-500] == pytest.approx(wave[500:-500] / 2, abs=0.002)


@pytest.mark.parametrize(("bpm", "share"), [(45, 0.5), (80, 1.0), (150, 0.5), (15, 0.01), (400, 0.02)])
@pytest.mark.parametrize("fps", [20.0, 30.0, 59.94])
def test_band_pass_halves_its_edges_and_shifts_nothing(bpm: float, share: float, fps: float) -> None:
    wave = sine(bpm, 40, fps)
    middle = slice(round(10 * fps), round(30 * fps))
    assert band_pass(wave, fps)[middle] == pytest.approx(share * wave[middle], abs=0.03)


def test_rows_do_not_mix() -> None:
    rng = np.random.default_rng(0)
    signals = rng.standard_normal((2, 3, 77))
    for function in (detrend, lambda s: band_pass(s, 25), lambda s: pulse_of(s, 25), standardised):
        rows = [function(row) for row in signals.reshape(-1, 77)]
        assert function(signals) == pytest.approx(np.reshape(rows, signals.shape), abs=1e-12)


@settings(max_examples=40)
@given(st.floats(20, 60), st.floats(55, 140))
def test_the_pulse_comes_back_from_its_differences(fps: float, bpm: float) -> None:
    wave = sine(bpm, 20, fps)
    found = pulse_of(np.diff(wave, prepend=0), fps)
    middle = slice(round(5 * fps), round(15 * fps))
    assert np.corrcoef(found[middle], wave[middle])[0, 1] > 0.999


@pytest.mark.parametrize("fps", [20.0, 30.0, 60.0])
def test_the_trend_ends_at_the_same_frequency_at_any_frame_rate(fps: float) -> None:
    wave = sine(48, 60, fps)
    middle = slice(round(20 * fps), round(40 * fps))
    gain = np.ptp(pulse_band(wave, fps)[middle]) / 2
    assert gain == pytest.approx(0.53, abs=0.04)


@settings(max_examples=40)
@given(st.floats(-1e9, 1e9), st.integers(16, 500), st.floats(6, 120))
@example(5e-324, 16, 6.0)  # a share of it is lost
def test_nothing_is_left_of_a_constant(value: float, length: int, fps: float) -> None:
    constant = np.full((2, length), value)
    for found in (band_pass(constant, fps), pulse_of(constant, fps), standardised(constant)):
        assert found.shape == constant.shape
        assert not found.any()


@settings(max_examples=40)
@given(st.floats(1e-6, 1e6), st.floats(-1e3, 1e3))
def test_standardised(scale: float, offset: float) -> None:
    wave = np.random.default_rng(3).standard_normal((2, 50)) * scale + offset * scale
    found = standardised(wave)
    assert found.mean(-1) == pytest.approx(0, abs=1e-9)
    assert found.std(-1) == pytest.approx(1)


def test_bad_signals_are_named() -> None:
    with pytest.raises(PulseError, match=r"shape \(2,\).*3 or more"):
        detrend([1, 2])
    with pytest.raises(PulseError, match=r"nan at \[1, 4\]"):
        detrend(np.where(np.arange(10).reshape(2, 5) == 9, np.nan, 1.0))
    with pytest.raises(PulseError, match="16 or more"):
        band_pass(np.ones(15), 30)
    with pytest.raises(PulseError, match="differences is inf"):
        pulse_of([np.inf] * 30, 30)
    with pytest.raises(PulseError, match="lam is -1"):
        detrend(np.ones(9), -1)
    with pytest.raises(PulseError, match="order is 0"):
        band_pass(np.ones(99), 30, order=0)


@pytest.mark.parametrize(
    ("fps", "low", "high", "said"),
    [
        (0, 0.75, 2.5, "fps is 0"),
        (np.nan, 0.75, 2.5, "fps is nan"),
        (5, 0.75, 2.5, "below 2.5 Hz"),
        (30, 2.5, 0.75, "must rise"),
        (30, 0, 2, "0 to 2"),
    ],
)
def test_bands_that_do_not_fit_are_refused(fps: float, low: float, high: float, said: str) -> None:
    with pytest.raises(PulseError, match=said):
        band_pass(np.ones(99), fps, low, high)
