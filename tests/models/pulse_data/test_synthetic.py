import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from scipy.signal import butter, periodogram, sosfiltfilt

from spikewright.models.data import DataError
from spikewright.models.pulse_data import face_region, generate
from spikewright.models.pulse_data.waveform import ACCEPTABLE, EXCELLENT, band_noise, bell_sum, rounder

RNG = np.random.default_rng(0)


def peak_bpm(wave):
    frequencies, power = periodogram(wave, 30, window="hann", nfft=8192)
    band = (frequencies > 0.7) & (frequencies < 2.6)
    return 60 * frequencies[band][power[band].argmax()]


def pos(frames):
    """Plane orthogonal to skin (Wang et al., 2017), over the mean colour of the frames."""
    windows = sliding_window_view(frames.mean((1, 2)), 48, 0)
    red, green, blue = np.moveaxis(windows / windows.mean(-1, keepdims=True), 1, 0)
    a, b = green - blue, green + blue - 2 * red
    parts = a + a.std(-1, keepdims=True) / b.std(-1, keepdims=True) * b
    wave = np.zeros(len(frames))
    np.add.at(wave, np.arange(len(parts))[:, None] + np.arange(48), parts - parts.mean(-1, keepdims=True))
    return wave


def test_same_arguments_make_the_same_video_and_others_do_not():
    first, again = generate(3, "hard", 20, (10, 14), 5), generate(3, "hard", 20, (10, 14), 5)
    np.testing.assert_array_equal(first.frames, again.frames)
    np.testing.assert_array_equal(first.pulse, again.pulse)
    for other in (generate(4, "hard", 20, (10, 14), 5), generate(3, "easy", 20, (10, 14), 5)):
        assert (other.frames != first.frames).any()
        assert other.name != first.name


@pytest.mark.parametrize("size", [(8, 8), (11, 17), (24, 9), 32])
@pytest.mark.parametrize("crop", [True, False])
def test_any_size(size, crop):
    made = generate(1, "hard", 7, size, crop=crop)
    height, width = (size, size) if isinstance(size, int) else size
    assert made.frames.shape == (7, height, width, 3)
    face_region(1, "hard", size, crop=crop).check(made.frames.shape[1:], "test")
    assert made.fps == pytest.approx(30)


def test_easy_video_carries_its_pulse():
    for subject in range(4):
        made = generate(subject, "easy", 600)
        found = pos(made.frames)
        assert peak_bpm(found) == pytest.approx(peak_bpm(made.pulse), abs=1)
        # The camera sees less light where there is more blood: POS falls with the pulse.
        band = butter(2, (0.7, 3), "band", fs=30, output="sos")
        seen, true = sosfiltfilt(band, np.stack([found, made.pulse]))[:, 60:-60]
        assert np.corrcoef(seen, true)[0, 1] < -0.8


def test_pulse_is_in_the_face_and_not_on_the_wall():
    made = generate(2, "easy", 900, (60, 80), crop=False)
    box = face_region(2, "easy", (60, 80), crop=False)
    inside = np.zeros((60, 80), bool)
    inside[box.y : box.y + box.height, box.x : box.x + box.width] = True
    middle = made.frames[
        :,
        box.y + box.height // 3 : box.y + 2 * box.height // 3,
        box.x + box.width // 3 : box.x + 2 * box.width // 3,
    ]
    wall = made.frames[:, ~inside].reshape(900, -1, 1, 3)

    def share(frames):
        rate = peak_bpm(made.pulse) / 60
        frequencies, power = periodogram(pos(frames), 30, window="hann")
        band = (frequencies > 0.7) & (frequencies < 3)
        return power[np.abs(frequencies - rate) < 0.15].sum() / power[band].sum()

    assert share(middle) > 0.6
    assert share(wall) < 0.4


def test_hard_is_harder_than_easy():
    def errors(level):
        made = [generate(subject, level, 600, 16) for subject in range(8)]
        return [abs(peak_bpm(pos(one.frames)) - peak_bpm(one.pulse)) for one in made]

    assert np.median(errors("easy")) < 0.5
    assert np.mean(errors("hard")) > np.mean(errors("easy")) + 2


def test_heart_rates_cover_the_range():
    rates = [peak_bpm(generate(subject, "easy", 900, 8).pulse) for subject in range(20)]
    assert min(rates) < 65 < 120 < max(rates)
    assert min(rates) > 45
    assert max(rates) < 145


@pytest.mark.parametrize("bells", [EXCELLENT, ACCEPTABLE])
def test_beats_join_without_a_step_and_rounding_keeps_their_area(bells):
    phase = np.linspace(-np.pi, np.pi, 400, endpoint=False)
    whole = bell_sum(phase, bells)
    assert abs(whole[0] - whole[-1]) < 2 * np.abs(np.diff(whole)).max()
    assert bell_sum(phase, rounder(bells)).sum() == pytest.approx(whole.sum(), rel=1e-2)


def test_noise_stays_in_its_band():
    noise = band_noise(RNG, 2048, (0.7, 2.2), 30.0)
    frequencies, power = periodogram(noise, 30)
    assert noise.std() == pytest.approx(1)
    assert power[(frequencies < 0.69) | (frequencies > 2.21)].max() < 1e-12
    assert len(band_noise(RNG, 3, (0.03, 0.5), 30.0)) == 3


@pytest.mark.parametrize(
    "arguments", [(-1, "easy"), (0, "medium"), (0, "easy", 1), (0, "easy", 10, 4), (0, "easy", 10, 32, -1)]
)
def test_arguments_out_of_range(arguments):
    with pytest.raises(DataError, match="synthetic video"):
        generate(*arguments)
