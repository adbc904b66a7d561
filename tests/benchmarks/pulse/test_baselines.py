"""Classical methods find a known rate in any skin, those that should survive changing light, and say what they cannot use."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewright.benchmarks.errors import PulseError
from spikewright.benchmarks.pulse.baselines import BASELINES, chrom, green, lgi, pbv, pos, traces
from spikewright.benchmarks.pulse.heart_rate import heart_rate, quality
from spikewright.benchmarks.pulse.waves import pulse_band

from .synthetic import TONES, beats, sine, skin

METHODS = sorted(BASELINES)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=15)
@given(st.floats(20, 60), st.floats(48, 148), st.sampled_from(TONES), st.floats(0, 6))
def test_the_rate_of_steady_skin(
    method: str, fps: float, bpm: float, tone: tuple[float, ...], phase: float
) -> None:
    found = BASELINES[method](skin(sine(bpm, 20, fps, phase), tone), fps)
    assert found.shape == (round(20 * fps),)
    assert heart_rate(found, fps) == pytest.approx(bpm, abs=1.5)


@pytest.mark.parametrize("method", ["chrom", "pos", "lgi", "pbv"])
@settings(max_examples=15)
@given(st.floats(20, 60), st.floats(70, 125), st.sampled_from(TONES), st.booleans(), st.floats(0.01, 0.05))
def test_light_that_changes_in_the_band_deceives_green_alone(
    method: str, fps: float, bpm: float, tone: tuple[float, ...], slower: bool, size: float
) -> None:
    other = bpm - 22 if slower else bpm + 22
    rgb = skin(sine(bpm, 20, fps), tone, size * sine(other, 20, fps, 0.3))
    assert heart_rate(BASELINES[method](rgb, fps), fps) == pytest.approx(bpm, abs=1.5)
    assert heart_rate(green(rgb, fps), fps) == pytest.approx(other, abs=1.5)


@pytest.mark.parametrize("method", METHODS)
def test_waves_rise_with_the_blood_volume(method: str) -> None:
    rng = np.random.default_rng(0)
    volume = beats(rng, 80, 20, 30)
    rgb = skin(volume, TONES[1]) + 0.02 * rng.standard_normal((600, 3))
    found = BASELINES[method](rgb, 30)
    assert np.corrcoef(found, pulse_band(volume, 30))[0, 1] > 0.85
    assert quality(found, 30).trusted


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=15)
@given(st.floats(1e-3, 1e3))
def test_global_gain_changes_nothing(method: str, gain: float) -> None:
    rng = np.random.default_rng(1)
    rgb = skin(sine(90, 8, 30), TONES[0], 0.01 * rng.standard_normal(240)) + 0.1 * rng.standard_normal(
        (240, 3)
    )
    one = BASELINES[method](rgb, 30)
    assert BASELINES[method](gain * rgb, 30) == pytest.approx(one, abs=1e-6 * np.abs(one).max())


@pytest.mark.parametrize("method", ["green", "chrom", "pos", "pbv"])
def test_the_gain_of_a_channel_changes_nothing(method: str) -> None:
    rng = np.random.default_rng(2)
    rgb = skin(sine(90, 8, 30), TONES[2]) + 0.05 * rng.standard_normal((240, 3))
    one = BASELINES[method](rgb, 30)
    assert BASELINES[method](rgb * [0.7, 1.3, 2.0], 30) == pytest.approx(one, abs=1e-6 * np.abs(one).max())


def test_common_light_leaves_nothing_in_three_of_them() -> None:
    rgb = np.outer(1 + 0.02 * sine(80, 10, 30), TONES[0])
    for method in (pos, lgi, chrom):
        assert not method(rgb, 30).any()
    assert np.abs(green(rgb, 30)).max() > 0.01


@pytest.mark.parametrize("method", METHODS)
def test_a_still_picture_has_no_pulse(method: str) -> None:
    assert not BASELINES[method](np.full((100, 3), TONES[0]), 30).any()


def test_specular_light_passes_by_chrom_and_pos() -> None:
    rgb = skin(sine(70, 20, 30), TONES[0])
    white = rgb + 0.6 * sine(115, 20, 30)[:, None]
    assert heart_rate(green(white, 30), 30) == pytest.approx(115, abs=1.5)
    assert heart_rate(chrom(white, 30), 30) == pytest.approx(70, abs=1.5)


def test_pos_is_the_sum_of_its_windows() -> None:
    rng = np.random.default_rng(3)
    rgb = 100 + rng.standard_normal((75, 3))
    total, weight = np.zeros(75), np.zeros(75)
    for start in range(75 - 32 + 1):
        red, grn, blue = (rgb[start : start + 32] / rgb[start : start + 32].mean(0)).T
        a, b = grn - blue, grn + blue - 2 * red
        h = a + a.std() / b.std() * b
        total[start : start + 32] += h - h.mean()
        weight[start : start + 32] += 1
    assert pos(rgb, 20) == pytest.approx(-pulse_band(total / weight, 20), abs=1e-12)


def test_traces_are_means_over_pixels() -> None:
    frames = np.random.default_rng(4).integers(0, 256, (4, 5, 7, 3), dtype=np.uint8)
    expected = frames.astype(float).reshape(4, 35, 3).mean(1)
    assert traces(frames) == pytest.approx(expected)
    assert traces((frames / 255).astype(np.float32)) == pytest.approx(expected / 255, rel=1e-6)
    assert traces(frames).dtype == np.float64


@pytest.mark.parametrize("shape", [(4, 5, 7), (4, 5, 7, 1), (4, 3, 5, 7), (0, 5, 7, 3), (4, 0, 7, 3)])
def test_frames_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(PulseError, match="give \\(T, H, W, 3\\)"):
        traces(np.ones(shape))


def test_frames_that_are_not_finite_are_refused() -> None:
    frames = np.ones((4, 5, 7, 3))
    frames[2, 1, 0, 1] = np.nan
    with pytest.raises(PulseError, match=r"mean colour is nan at \[2, 1\]"):
        traces(frames)


@pytest.mark.parametrize("method", METHODS)
def test_bad_traces_are_named(method: str) -> None:
    function, good = BASELINES[method], np.full((90, 3), 9.0)
    with pytest.raises(PulseError, match="47 frames are fewer than a window"):
        function(good[:47], 30)
    assert function(good[:48], 30).shape == (48,)
    for shape in ((90,), (90, 4), (3, 90), (2, 90, 3)):
        with pytest.raises(PulseError, match=r"give \(T, 3\)"):
            function(np.ones(shape), 30)
    with pytest.raises(PulseError, match=r"inf at \[7, 2\]"):
        function(np.where(np.arange(270).reshape(90, 3) == 23, np.inf, good), 30)
    black = good.copy()
    black[20:80, 2] = 0
    with pytest.raises(PulseError, match="blue is 0 in the 48 frames from 20 on"):
        function(black, 30)
    with pytest.raises(PulseError, match="fps is 0"):
        function(good, 0)


def test_chrom_says_when_its_windows_are_too_short_for_its_filter() -> None:
    with pytest.raises(PulseError, match=r"22 frames|20 frames at 12 frames/s"):
        chrom(np.ones((90, 3)), 12)
    assert chrom(np.ones((90, 3)), 14).shape == (90,)
    with pytest.raises(PulseError, match="fewer than CHROM's window of 34"):
        chrom(np.ones((33, 3)), 20.3)


def test_two_sources_do_not_break_the_signature() -> None:
    # Without noise, the covariance of pulse and light has rank two.
    rgb = skin(sine(72, 20, 30), TONES[3], 0.03 * sine(110, 20, 30))
    assert heart_rate(pbv(rgb, 30), 30) == pytest.approx(72, abs=1.5)
