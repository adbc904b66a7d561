"""Pulse waves and colour traces whose heart rate is known."""

from __future__ import annotations

import numpy as np

from spikewright.benchmarks.pulse.baselines import SIGNATURE

# Amplitude, place and width of the two Gaussians of a beat (Tang et al. 2020, doi 10.1038/s41598-020-69076-x, table 1).
EXCELLENT = (1.0, -1.5161, 0.6303, 0.1999, 0.8186, 1.0225)
ACCEPTABLE = (0.7303, -1.5510, 0.7283, 0.5291, -0.2553, 1.2271)

# Reflectances of skin, from light to dark, under white light.
TONES = ((0.77, 0.51, 0.38), (0.68, 0.45, 0.34), (0.45, 0.29, 0.21), (0.25, 0.17, 0.13))


def beats(rng: np.random.Generator, bpm: float, seconds: float, fps: float) -> np.ndarray:
    """A contact pulse wave: beats that vary by 2 % at random and 4 % with the breath, zero mean, unit deviation."""
    times, breath = [-2 * rng.random()], 2 * np.pi * rng.random()
    while times[-1] < seconds + 2:
        slower = 1 + 0.04 * np.sin(2 * np.pi * 0.25 * times[-1] + breath) + 0.02 * rng.standard_normal()
        times.append(times[-1] + 60 / bpm * slower)
    beat = np.interp(np.arange(round(seconds * fps)) / fps, times, np.arange(len(times)))
    phase = 2 * np.pi * (beat % 1) - np.pi
    a1, t1, b1, a2, t2, b2 = EXCELLENT if rng.random() < 0.5 else ACCEPTABLE
    wave = a1 * np.exp(-((phase - t1) ** 2) / 2 / b1**2) + a2 * np.exp(-((phase - t2) ** 2) / 2 / b2**2)
    return (wave - wave.mean()) / wave.std()


def sine(bpm: float, seconds: float, fps: float, phase: float = 0.0) -> np.ndarray:
    return np.sin(2 * np.pi * bpm / 60 * np.arange(round(seconds * fps)) / fps + phase)


def skin(volume: np.ndarray, tone: tuple[float, float, float], light: np.ndarray | float = 0.0) -> np.ndarray:
    """Traces (T, 3) of skin that darkens with the blood volume by up to half a percent, under light that changes."""
    steady = 1 - 0.005 * np.outer(volume, SIGNATURE)
    return 250 * np.asarray(tone) * steady * (1 + np.reshape(light, (-1, 1)))
