"""Random courses over time: the pulse wave of a heart that keeps no perfect beat, and noise of a band.

The pulse wave is the model of Tang et al. (2020, Scientific Reports 10:13883): each beat is the sum of two Gaussian
bells over its phase, with the parameters of their table 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bells = tuple[tuple[float, float, float], ...]
# Height, phase and width of the two bells; phases in radians from -pi to pi.
EXCELLENT = ((1.0, -1.5161, 0.6303), (0.1999, 0.8186, 1.0225))
ACCEPTABLE = ((0.7303, -1.5510, 0.7283), (0.5291, -0.2553, 1.2271))
_BLUR = 1.0  # radians
_BEAT_SD = 0.02  # of the mean interval
_RSA = (0.03, 0.05)  # respiratory sinus arrhythmia, of the mean interval
_BREATHS_HZ = (0.2, 0.3)
_WANDER = (0.05, 0.2)  # amplitude of the baseline, of the pulse's height
_NOISE_LENGTH = 2048  # samples: more than a minute, so that bands from 0.03 Hz have several lines


def bell_sum(phase: NDArray[np.float64], bells: Bells) -> NDArray[np.float64]:
    """Sum of the bells ``a exp(-(phase - p)^2 / (2 b^2))``.

    The bells of the beats before and after are added, which the published formula cuts off: beats join without a step.
    """
    around = phase + 2 * np.pi * np.arange(-1, 2)[:, None]
    height, centre, width = np.array(bells).T[..., None, None]
    total: NDArray[np.float64] = (height * np.exp(-((around - centre) ** 2) / (2 * width**2))).sum(
        axis=(0, 1)
    )
    return total


def rounder(bells: Bells) -> Bells:
    """The wave as the skin of a face shows it, where it is less pointed than at a fingertip.

    Its phase is blurred with a bell of one radian, this project's choice, which leaves a twentieth of the second
    harmonic's power. At the published widths a heart below 55 beats a minute is read as one of twice the rate: the
    classical methods' filters weaken what is near 0.75 Hz.
    """
    return tuple(
        (height * width / np.hypot(width, _BLUR), centre, float(np.hypot(width, _BLUR)))
        for height, centre, width in bells
    )


@dataclass(frozen=True, eq=False)
class Pulse:
    """A heart that beats at random: phases and baseline at given times.

    Attributes
    ----------
    phase : ndarray of float64, shape (T,)
        From -pi to pi over each beat.
    baseline : ndarray of float64, shape (T,)
        What the breath adds, of the height of a beat.
    """

    phase: NDArray[np.float64]
    baseline: NDArray[np.float64]

    def wave(self, bells: Bells) -> NDArray[np.float64]:
        """The pulse wave of these bells, peaks up, with zero mean and a height of 2 from lowest to highest."""
        beats = bell_sum(self.phase, bells)
        wave = beats + self.baseline * np.ptp(beats)
        wave -= wave.mean()
        return wave * (2 / np.ptp(wave))


def draw_pulse(rng: np.random.Generator, times: NDArray[np.float64], rate_bpm: float) -> Pulse:
    """Draw beats.

    Their intervals are normal about the mean interval (2 %), longer and shorter with the breath by 3 to 5 %; the
    baseline wanders with the breath.

    Parameters
    ----------
    rng : Generator
        What is random comes from it.
    times : ndarray of float64, shape (T,)
        Seconds from 0 on.
    rate_bpm : float
        Mean heart rate, beats a minute.
    """
    breaths, breath_phase = rng.uniform(*_BREATHS_HZ), rng.uniform(0, 2 * np.pi)
    arrhythmia, wander = rng.uniform(*_RSA), rng.uniform(*_WANDER)
    mean = 60 / rate_bpm
    beats = [-mean * rng.uniform()]
    while beats[-1] <= times[-1]:
        breath = np.sin(2 * np.pi * breaths * beats[-1] + breath_phase)
        beats.append(beats[-1] + mean * (1 + arrhythmia * breath + _BEAT_SD * rng.standard_normal()))
    phase = 2 * np.pi * (np.interp(times, beats, np.arange(len(beats))) % 1) - np.pi
    return Pulse(phase, wander * np.sin(2 * np.pi * breaths * times + breath_phase))


def band_noise(
    rng: np.random.Generator, count: int, band_hz: tuple[float, float], fps: float
) -> NDArray[np.float64]:
    """Gaussian noise with a flat spectrum inside a band and nothing outside, of unit variance."""
    length = max(_NOISE_LENGTH, 1 << (count - 1).bit_length())
    frequencies = np.fft.rfftfreq(length, 1 / fps)
    spectrum = rng.standard_normal(len(frequencies)) + 1j * rng.standard_normal(len(frequencies))
    spectrum[(frequencies < band_hz[0]) | (frequencies > band_hz[1])] = 0
    noise = np.fft.irfft(spectrum, length)
    return noise[:count] / noise.std()
