"""Heart rates of waves that have one; which to trust, measured; rates over time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewright.benchmarks.errors import PulseError
from spikewright.benchmarks.pulse.heart_rate import (
    SHORTEST,
    TRUSTED,
    heart_rate,
    heart_rates,
    quality,
    signal_to_noise,
)
from spikewright.benchmarks.pulse.waves import pulse_band, pulse_of

from .synthetic import beats, sine

FPS = 30.0


@settings(max_examples=40)
@given(st.floats(48, 148), st.floats(20, 60), st.floats(0, 6), st.floats(1e-6, 1e6))
def test_a_sine_has_its_rate(bpm: float, fps: float, phase: float, size: float) -> None:
    # The mirror image of the peak pulls by up to 1 bpm at 10 s and less than a step and a half at 30 s.
    assert heart_rate(size * sine(bpm, 10, fps, phase), fps) == pytest.approx(bpm, abs=1.2)
    assert heart_rate(size * sine(bpm, 30, fps, phase) + 5 * size, fps) == pytest.approx(bpm, abs=0.7)


def test_padding_sets_the_steps() -> None:
    wave = sine(71.3, 30, FPS)
    coarse = heart_rate(wave, FPS, points=1)
    assert coarse % (60 * FPS / 1024) == pytest.approx(0, abs=1e-9)
    assert coarse != pytest.approx(71.3, abs=0.5)
    assert heart_rate(wave, FPS) % (60 * FPS / 8192) == pytest.approx(0, abs=1e-9)
    assert heart_rate(wave, FPS) == pytest.approx(71.3, abs=0.2)
    long = sine(71.3, 400, FPS)  # longer than the padding
    assert heart_rate(long, FPS) == pytest.approx(71.3, abs=0.1)


def test_only_the_band_counts() -> None:
    wave = 5 * sine(30, 60, FPS) + sine(90, 60, FPS) + 5 * sine(200, 60, FPS)
    assert heart_rate(wave, FPS) == pytest.approx(90, abs=0.5)
    assert heart_rate(wave, FPS, 0.4, 1.0) == pytest.approx(30, abs=0.5)
    assert heart_rate(wave, FPS, 2.0, 4.0) == pytest.approx(200, abs=0.5)


def test_a_flat_wave_has_none() -> None:
    for value in (0.0, 5.5, -1e9):
        assert np.isnan(heart_rate(np.full(100, value), FPS))
        assert np.isnan(signal_to_noise(np.full(100, value), 70, FPS))


def test_signal_to_noise_is_the_ratio_of_powers() -> None:
    # What the lines leak from and into their 12 bpm in 60 s is some percent of their power.
    pulse = sine(60, 60, FPS) + 0.5 * sine(120, 60, FPS)
    noisy = pulse + 0.5 * sine(90, 60, FPS) + sine(200, 60, FPS)
    ratio = 10 * np.log10((1 + 0.25) / 0.25)
    assert signal_to_noise(noisy, 60, FPS) == pytest.approx(ratio, abs=0.5)
    # The second harmonic counts above the band as well.
    fast = sine(100, 60, FPS) + 0.5 * sine(200, 60, FPS) + 0.5 * sine(70, 60, FPS)
    assert signal_to_noise(fast, 100, FPS) == pytest.approx(ratio, abs=0.5)
    assert signal_to_noise(noisy, 75, FPS) < -10
    assert signal_to_noise(1e-5 * noisy + 3, 60, FPS) == pytest.approx(signal_to_noise(noisy, 60, FPS))


def trusted_share(make: Callable[[np.random.Generator], np.ndarray], count: int = 100) -> float:
    rng = np.random.default_rng(7)
    return float(np.mean([quality(make(rng), FPS).trusted for _ in range(count)]))


@pytest.mark.parametrize("seconds", [8, 10, 30])
def test_noise_is_not_trusted(seconds: int) -> None:
    samples = round(seconds * FPS)
    assert trusted_share(lambda rng: rng.standard_normal(samples)) <= 0.01
    assert trusted_share(lambda rng: pulse_band(rng.standard_normal(samples), FPS)) <= 0.02
    # What a network that predicts noise as the derivative gives: low frequencies prevail.
    assert trusted_share(lambda rng: pulse_of(rng.standard_normal(samples), FPS)) <= 0.03


@pytest.mark.parametrize("seconds", [8, 10, 30])
def test_clean_pulses_are_trusted(seconds: int) -> None:
    def clean(rng: np.random.Generator) -> np.ndarray:
        return pulse_band(beats(rng, rng.uniform(55, 145), seconds, FPS), FPS)

    assert trusted_share(clean) >= 0.97


def test_what_is_trusted_is_right() -> None:
    rng = np.random.default_rng(1)
    errors: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(200):
        bpm = rng.uniform(60, 140)
        wave = pulse_band(beats(rng, bpm, 10, FPS) + rng.uniform(0, 10) * rng.standard_normal(300), FPS)
        errors[quality(wave, FPS).trusted].append(abs(heart_rate(wave, FPS) - bpm))
    assert min(len(e) for e in errors.values()) > 40
    assert np.mean(np.array(errors[True]) < 5) >= 0.97
    assert np.mean(np.array(errors[False]) < 5) < 0.75


def test_halves_that_disagree_are_not_trusted() -> None:
    for one, other in ((60, 100), (70, 85), (130, 55)):
        found = quality(np.concatenate([sine(one, 15, FPS), sine(other, 15, FPS)]), FPS)
        assert not found.trusted
        assert found.spread == pytest.approx(abs(one - other), abs=1.5)
    assert quality(np.concatenate([sine(70, 15, FPS), sine(72, 15, FPS)]), FPS).trusted


def test_flat_and_half_flat_waves_are_not_trusted() -> None:
    flat = quality(np.full(600, 3.0), FPS)
    assert (flat.index, flat.trusted, flat.concentration) == (0, False, 0)
    half = quality(np.concatenate([sine(70, 15, FPS), np.zeros(450)]), FPS)
    assert (half.index, half.trusted) == (0, False)
    assert np.isnan(half.spread)


def test_short_waves_are_not_trusted_whatever_their_index() -> None:
    short, long = (quality(sine(90, seconds, FPS), FPS) for seconds in (SHORTEST - 0.1, SHORTEST))
    assert min(short.index, long.index) > TRUSTED
    assert (short.trusted, long.trusted) == (False, True)


@settings(max_examples=40)
@given(st.integers(0, 999), st.integers(4, 400), st.floats(10, 60))
def test_the_index_is_a_share(seed: int, length: int, fps: float) -> None:
    found = quality(np.random.default_rng(seed).standard_normal(length), fps)
    assert 0 <= found.index <= found.concentration <= 1


def test_rates_over_time_follow_a_change() -> None:
    wave = np.concatenate([sine(60, 30, FPS), sine(100, 30, FPS)])
    found = heart_rates(wave, FPS)
    assert len(found) == 51
    assert [r.seconds for r in found] == pytest.approx(np.arange(5, 56))
    for reading in found:
        away = abs(reading.seconds - 30)
        if away >= 5:
            assert reading.heart_rate == pytest.approx(60 if reading.seconds < 30 else 100, abs=1.2)
            assert reading.quality.trusted
        elif away < 2:
            assert not reading.quality.trusted
    part = wave[90:390]
    assert found[3].heart_rate == heart_rate(part, FPS)
    assert found[3].quality == quality(part, FPS)


def test_windows_of_broken_lengths_and_the_rest_at_the_end() -> None:
    found = heart_rates(sine(80, 23.7, 29.97), 29.97, window=8, step=2.5)
    assert len(found) == 7
    assert found[-1].seconds < 23.7 - 4
    assert all(r.heart_rate == pytest.approx(80, abs=1.5) for r in found)


def test_bad_input_is_named() -> None:
    wave = sine(70, 20, FPS)
    with pytest.raises(PulseError, match=r"shape \(2, 300\)"):
        heart_rate(wave.reshape(2, 300), FPS)
    with pytest.raises(PulseError, match="nan at"):
        quality(np.where(np.arange(600) == 9, np.nan, wave), FPS)
    with pytest.raises(PulseError, match="4 or more"):
        quality(wave[:3], FPS)
    with pytest.raises(PulseError, match="no candidate lies"):
        heart_rate(wave[:10], FPS, 1.0, 1.01, points=1)
    with pytest.raises(PulseError, match="heart_rate is nan"):
        signal_to_noise(wave, np.nan, FPS)
    with pytest.raises(PulseError, match=r"lasts 20.0 s, a window 30 s"):
        heart_rates(wave, FPS, window=30)
    with pytest.raises(PulseError, match="step 0 s"):
        heart_rates(wave, FPS, step=0)
    with pytest.raises(PulseError, match="finite lengths"):
        heart_rates(wave, FPS, window=np.inf)
    for function in (heart_rate, quality, heart_rates):
        with pytest.raises(PulseError, match="fps is -1"):
            function(wave, -1)  # type: ignore[operator]
