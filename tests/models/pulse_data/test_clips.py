import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikewright.models.data import DataError
from spikewright.models.pulse_data import (
    CausalNormaliser,
    Recording,
    clips,
    diff_label,
    diff_normalised,
    generate,
    resample,
    running_normalised,
)

from .writers import recording

RNG = np.random.default_rng(0)


def test_changes_are_those_of_the_formula():
    frames = RNG.integers(0, 256, (9, 4, 5, 3), np.uint8)
    x = frames.astype(np.float64)
    d = (x[1:] - x[:-1]) / (x[1:] + x[:-1] + 1e-7)
    found = diff_normalised(frames)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:-1], d / d.std(), rtol=1e-4, atol=1e-6)
    assert not found[-1].any()


def test_black_and_still_video_is_zero():
    for value in (0, 90):
        frames = np.full((4, 3, 5, 3), value, np.uint8)
        assert not diff_normalised(frames).any()
        assert not running_normalised(frames).any()
    assert not diff_label(np.ones(5, np.float32)).any()


def test_label_is_the_change_over_its_deviation():
    found = diff_label(np.array([0, 1, 3, 2], np.float32))
    change = np.array([1, 2, -1])
    np.testing.assert_allclose(found, [*(change / change.std()), 0], rtol=1e-6)


@given(count=st.integers(2, 9), memory=st.sampled_from([None, 1.5, 160]), seed=st.integers(0, 99))
def test_frame_by_frame_equals_the_batch_and_sees_no_later_frame(count, memory, seed):
    frames = np.random.default_rng(seed).integers(0, 256, (count, 3, 4, 3), np.uint8)
    batch = running_normalised(frames, memory)
    one = CausalNormaliser(memory)
    assert one.push(frames[0]) is None
    for t in range(1, count):
        np.testing.assert_array_equal(one.push(frames[t]), batch[t - 1])
    np.testing.assert_array_equal(running_normalised(frames[:-1], memory)[:-1], batch[: count - 2])
    if memory is None:
        np.testing.assert_array_equal(batch[-2], diff_normalised(frames)[-2])


def test_running_deviation_forgets():
    loud = RNG.integers(0, 256, (20, 4, 4, 3), np.uint8)
    quiet = RNG.integers(100, 104, (60, 4, 4, 3), np.uint8)
    frames = np.concatenate([loud, quiet])
    assert running_normalised(frames, 5)[-2].std() > 3 * running_normalised(frames, None)[-2].std()


def test_normaliser_refuses_another_size_and_memory():
    one = CausalNormaliser()
    one.push(np.zeros((3, 4, 3), np.uint8))
    with pytest.raises(DataError, match="keep the size"):
        one.push(np.zeros((4, 3, 3), np.uint8))
    with pytest.raises(DataError, match="memory"):
        CausalNormaliser(1)


def test_clips_are_channels_first_and_in_order():
    made = recording(RNG, 25)
    cut, labels = clips(made, 8)
    assert cut.shape == (3, 3, 8, 10, 14)
    assert labels.shape == (3, 8)
    whole, label = diff_normalised(made.frames), diff_label(made.pulse)
    np.testing.assert_array_equal(cut[1, 2], whole[8:16, :, :, 2])
    np.testing.assert_array_equal(labels.ravel(), label[:24])
    causal, _ = clips(made, 8, normalise=running_normalised)
    np.testing.assert_array_equal(causal[0, 0], running_normalised(made.frames)[:8, :, :, 0])


def test_clips_without_a_pulse_and_too_short():
    made = recording(RNG, 12)
    unknown = Recording("x", "x", made.frames, None, made.times)
    assert clips(unknown, 6)[1] is None
    with pytest.raises(DataError, match="noise: its 12 frames are fewer than the 160"):
        clips(made)


def test_even_recordings_are_left_alone():
    made = recording(RNG, 30)
    assert resample(made, 30) is made
    jittery = Recording("j", "j", made.frames, made.pulse, made.times + RNG.uniform(0, 1e-3, 30))
    assert resample(jittery, jittery.fps) is jittery


@pytest.mark.parametrize("fps", [12.5, 30, 61])
def test_resampled_ramp_is_a_ramp(fps):
    times = np.cumsum(np.where(np.arange(40) % 3, 0.042, 0.012))
    frames = np.rint(100 * times)[:, None, None, None].astype(np.uint8) * np.ones((1, 3, 5, 3), np.uint8)
    even = resample(Recording("ramp", "r", frames, times.astype(np.float32), times), fps)
    assert even.fps == pytest.approx(fps)
    assert times[-1] - 1 / fps <= even.times[-1] <= times[-1] + 1e-9
    np.testing.assert_allclose(even.pulse, even.times, atol=1e-6)
    assert np.abs(even.frames[:, 1, 2, 0] - 100 * even.times).max() < 1.01


def test_uneven_recordings_are_resampled_before_they_are_cut():
    made = generate(0, "easy", 120, 8)
    keep = np.delete(np.arange(120), 50)
    lossy = Recording("lossy", "l", made.frames[keep], made.pulse[keep], made.times[keep])
    _, labels = clips(lossy, 20)
    assert labels.shape == (6, 20)
    assert np.corrcoef(labels.ravel(), diff_label(made.pulse))[0, 1] > 0.95


def test_gaps_and_rates_that_cannot_be_served():
    made = recording(RNG, 12)
    times = made.times.copy()
    times[7:] += 0.6
    broken = Recording("gap", "g", made.frames, made.pulse, times)
    with pytest.raises(DataError, match=r"gap: 0\.63 s are missing after frame 6"):
        resample(broken, 30)
    assert len(resample(broken, 30, max_gap=1).frames) == 30
    with pytest.raises(DataError, match="above 0"):
        resample(made, 0)
