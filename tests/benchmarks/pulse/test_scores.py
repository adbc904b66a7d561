"""Scores against figures worked out by hand, over videos and clips, and what silence costs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewright.benchmarks.errors import PulseError
from spikewright.benchmarks.pulse.scores import _interval, judge, score
from spikewright.benchmarks.pulse.waves import pulse_band, pulse_of

from .synthetic import beats, sine

FPS = 30.0
SECONDS = (20, 30, 24.5)


def waves(*rates: float) -> list[np.ndarray]:
    return [sine(bpm, s, FPS) for bpm, s in zip(rates, SECONDS, strict=True)]


def test_errors_are_those_of_the_rates() -> None:
    found = score(waves(63, 80, 112), waves(60, 80, 120), FPS)
    assert found.mae == pytest.approx(11 / 3, abs=0.3)
    assert found.rmse == pytest.approx(np.sqrt(73 / 3), abs=0.3)
    assert found.mape == pytest.approx(100 * (3 / 60 + 8 / 120) / 3, abs=0.3)
    assert found.pearson == pytest.approx(np.corrcoef([63, 80, 112], [60, 80, 120])[0, 1], abs=0.005)
    assert (found.count, found.flat) == (3, 0)
    assert found.wave_correlation == pytest.approx(1 / 3, abs=0.05)
    assert found.mae_interval is not None
    assert found.mae_interval[0] <= found.mae <= found.mae_interval[1]


def test_judgements_come_video_by_video() -> None:
    ours = [*waves(63, 80, 112)[:2], np.zeros(735)]
    found = judge(ours, waves(60, 80, 120), FPS)
    assert found.videos.tolist() == [0, 1, 2]
    assert found.flat.tolist() == [False, False, True]
    assert found.errors == pytest.approx([3, 0, 75], abs=0.7)  # silence counts as 45 bpm
    assert found.wave_correlation == pytest.approx([0, 1, 0], abs=0.1)
    assert np.isnan(found.snr).tolist() == [False, False, True]
    assert score(ours, waves(60, 80, 120), FPS).mae == found.errors.mean()


def test_what_is_trusted_is_judged_apart() -> None:
    rng = np.random.default_rng(1)
    clean = [beats(rng, bpm, 20, FPS) for bpm in (60, 90, 130)]
    noise, silence = pulse_band(rng.standard_normal(len(clean[1])), FPS), np.zeros(len(clean[2]))
    found = score([clean[0], noise, silence], clean, FPS)
    assert (found.trusted, found.mae_trusted) == (1, 0)
    assert found.mae > 1
    assert judge([clean[0], noise, silence], clean, FPS).trusted.tolist() == [True, False, False]
    none = score([noise, silence], clean[1:], FPS)
    assert (none.trusted, none.mae_trusted) == (0, None)


def test_a_slow_disturbance_beneath_a_fast_heart_is_misread_from_the_sum_alone() -> None:
    heart, slow = sine(130, 32, FPS), sine(50, 32, FPS)
    truth = np.diff(heart, prepend=0)
    changes = truth + 1.6 * np.diff(slow, prepend=0)
    given = ([changes, truth], [truth, truth], FPS)
    wave = judge(*given, differences=True)
    assert wave.rates == pytest.approx([50, 130], abs=0.5)
    found = judge(*given, differences=True, read_from="differences")
    assert found.rates == pytest.approx([130, 130], abs=0.5)
    assert found.references == pytest.approx([130, 130], abs=0.5)
    # What is not a heart rate is the published protocol's either way.
    for name in ("wave_correlation", "flat"):
        assert np.array_equal(getattr(found, name), getattr(wave, name))
    assert (
        score(*given, differences=True, read_from="differences").mae
        < 0.5
        < score(*given, differences=True).mae
    )


def test_changes_are_read_only_where_they_are_given() -> None:
    pulse = [sine(70, 20, FPS)]
    with pytest.raises(PulseError, match="read_from is 'differences' and differences False"):
        score(pulse, pulse, FPS, read_from="differences")
    with pytest.raises(PulseError, match="read_from is 'sum'"):
        score(pulse, pulse, FPS, differences=True, read_from="sum")  # type: ignore[arg-type]


def test_what_predicts_the_reference_is_without_error() -> None:
    rng = np.random.default_rng(0)
    references = [beats(rng, bpm, 20, FPS) for bpm in (60, 90, 130)]
    found = score([3 * r - 8 for r in references], references, FPS)
    assert (found.mae, found.rmse, found.mape, found.mae_interval) == (0, 0, 0, (0, 0))
    assert found.wave_correlation == pytest.approx(1)
    assert found.pearson == pytest.approx(1)
    assert found.snr is not None
    assert found.snr > 5


@settings(max_examples=20)
@given(st.lists(st.tuples(st.floats(55, 140), st.floats(55, 140)), min_size=2, max_size=4))
def test_no_score_depends_on_the_order_of_videos(rates: list[tuple[float, float]]) -> None:
    ours, theirs = ([sine(pair[i], 12 + n, FPS) for n, pair in enumerate(rates)] for i in (0, 1))
    one, other = score(ours, theirs, FPS), score(ours[::-1], theirs[::-1], FPS)
    for name in ("mae", "rmse", "mape", "snr", "wave_correlation"):
        assert getattr(one, name) == pytest.approx(getattr(other, name))
    assert one.rmse >= one.mae - 1e-9
    assert one.pearson is None or -1 <= one.pearson <= 1


def test_clips_are_judged_alone() -> None:
    reference = np.concatenate([sine(60, 8, FPS), sine(100, 8, FPS), sine(140, 3, FPS)])
    predicted = np.concatenate([sine(60, 8, FPS), sine(110, 8, FPS), sine(60, 3, FPS)])
    found = score([predicted], [reference], FPS, by="clip", clip_length=240)
    assert found.count == 2
    assert found.mae == pytest.approx(5, abs=0.7)
    assert found.mae_interval is None
    assert score([predicted], [reference], FPS).count == 1
    assert score([predicted], [reference], FPS, by="clip").count == 3  # 570 frames, 160 a clip


def test_differences_are_summed_first() -> None:
    rng = np.random.default_rng(2)
    references = [beats(rng, bpm, 20, FPS) for bpm in (70, 110)]
    noisy = [r + 0.5 * rng.standard_normal(len(r)) for r in references]
    differences = [[np.diff(w, append=w[-1]) for w in side] for side in (noisy, references)]
    found = score(*differences, FPS, differences=True)
    assert found.mae < 1
    assert found.wave_correlation > 0.9
    filtered = [[pulse_of(w, FPS) for w in side] for side in differences]
    again = score(*filtered, FPS)
    assert again.mae == pytest.approx(found.mae, abs=0.5)
    assert again.wave_correlation == pytest.approx(found.wave_correlation, abs=0.05)


def test_a_silent_network_wins_nothing() -> None:
    references = waves(60, 80, 120)
    silent = [np.full(len(r), 0.3, np.float32) for r in references]
    found = score(silent, references, FPS)
    assert (found.flat, found.count) == (3, 3)
    assert found.mae == pytest.approx((15 + 35 + 75) / 3, abs=0.5)
    assert (found.snr, found.pearson, found.wave_correlation) == (None, None, 0)
    one = score([*references[:2], silent[2]], references, FPS)
    assert one.flat == 1
    assert one.mae == pytest.approx(75 / 3, abs=0.5)
    assert one.wave_correlation == pytest.approx(2 / 3)
    assert np.isfinite([one.rmse, one.mape, one.snr, one.pearson]).all()
    summed = score([np.zeros(600)], [np.diff(sine(70, 20, FPS), append=0)], FPS, differences=True)
    assert summed.flat == 1


def test_correlation_of_rates_needs_two_that_differ() -> None:
    assert score(waves(60, 80, 100)[:1], waves(60, 80, 100)[:1], FPS).pearson is None
    same = [sine(70, 20, FPS)] * 3
    assert score(same, [sine(60, 20, FPS), sine(70, 20, FPS), sine(80, 20, FPS)], FPS).pearson is None
    assert score([sine(60, 20, FPS), sine(70, 20, FPS)], same[:2], FPS).pearson is None


def test_a_late_prediction_is_found_within_the_lag() -> None:
    rng = np.random.default_rng(4)
    wave = beats(rng, 75, 30, FPS)
    late = np.roll(wave, 6)
    without = score([late], [wave], FPS).wave_correlation
    assert without < 0.6
    for predicted, reference in ((late, wave), (wave, late)):
        assert score([predicted], [reference], FPS, max_lag=0.2).wave_correlation > 0.97
    assert score([late], [wave], FPS, max_lag=0.1).wave_correlation < 0.95


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    # Mean absolute errors of 30 videos: the 95 % percentile interval of skewed errors covers some 90 %.
    rng = np.random.default_rng(5)
    truth = 3.0

    def covers() -> bool:
        found = _interval(rng.exponential(truth, 30), np.arange(30), 0)
        assert found is not None
        return found[0] <= truth <= found[1]

    assert 0.85 <= np.mean([covers() for _ in range(200)]) <= 0.98


def test_clips_of_one_video_are_resampled_together() -> None:
    references, predicted = waves(60, 80, 120), waves(60, 90, 120)
    by_clip = score(predicted, references, FPS, by="clip", clip_length=150)
    assert by_clip.count == 4 + 6 + 4
    # One video is wrong throughout: as for three videos, the interval goes from none of them to all.
    assert by_clip.mae_interval is not None
    assert by_clip.mae_interval[0] == pytest.approx(0, abs=0.3)
    assert by_clip.mae_interval[1] > 6
    assert by_clip == score(predicted, references, FPS, by="clip", clip_length=150)


def test_bad_input_is_named() -> None:
    good = waves(60, 80, 120)
    with pytest.raises(PulseError, match="2 predicted waves against 3"):
        score(good[:2], good, FPS)
    with pytest.raises(PulseError, match="0 predicted"):
        score([], [], FPS)
    with pytest.raises(PulseError, match="predicted wave 1 has 899 samples, its reference 900"):
        score([good[0], good[1][:-1], good[2]], good, FPS)
    with pytest.raises(PulseError, match=r"predicted wave 2 is nan at \[3\]"):
        score([*good[:2], np.where(np.arange(735) == 3, np.nan, good[2])], good, FPS)
    with pytest.raises(PulseError, match=r"reference wave 0 has shape \(600, 1\)"):
        score(good, [good[0][:, None], *good[1:]], FPS)
    with pytest.raises(PulseError, match="16 or more"):
        score([good[0][:15]], [good[0][:15]], FPS)
    with pytest.raises(PulseError, match="reference wave 1 is flat"):
        score(good, [good[0], np.ones(900), good[2]], FPS)
    half = [np.concatenate([good[0][:300], np.ones(300)])]
    with pytest.raises(PulseError, match="reference wave 0, clip 1, is flat"):
        score(half, half, FPS, by="clip", clip_length=300)
    with pytest.raises(PulseError, match="by is 'frame'"):
        score(good, good, FPS, by="frame")  # type: ignore[arg-type]
    with pytest.raises(PulseError, match="clip_length is 15"):
        score(good, good, FPS, by="clip", clip_length=15)
    with pytest.raises(PulseError, match="wave 0 has 600 samples, a clip 601"):
        score(good, good, FPS, by="clip", clip_length=601)
    for lag in (-0.1, 11):
        with pytest.raises(PulseError, match="max_lag"):
            score(good, good, FPS, max_lag=lag)
