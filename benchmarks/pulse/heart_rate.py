"""Heart rate of a pulse wave from its periodogram, how clean the wave is, and when not to trust the rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..errors import PulseError
from .waves import HIGH, LOW, Wave, check_band, checked_wave, standardised

POINTS = 8192
HARMONIC = 6.0  # bpm to either side of a harmonic that count as the pulse (de Haan & Jeanne 2013)

# Measured on 1,000 waves of each kind and length (the tests repeat it on fewer): with these, 0.1 % of white noise is
# trusted at 8 s and none from 10 s on; of noise summed as if it were differences 2 % at 8 s, 1.4 % at 10 s, 0.1 % at
# 20 s; of clean pulses of 48 to 148 bpm 98 % at 8 and 10 s, 99 % from 20 s on (the rest beat below 55 bpm).
SPREAD = 20.0  # bpm between the rates of windows at which nothing is left of their agreement
TRUSTED = 0.5  # the index from which a rate is trusted
SHORTEST = 8.0  # s; at 5.3 s, 160 frames, 5 % of summed noise has an index to be trusted


@dataclass(frozen=True)
class Quality:
    """How far a wave has one heart rate.

    Attributes
    ----------
    index : float
        In [0, 1]: ``concentration * max(0, 1 - spread / 20 bpm)``.
    trusted : bool
        The index is 0.5 or more and the wave 8 s or longer.
    concentration : float
        Share of the band's power around the heart rate and its double.
    spread : float
        Largest less smallest of the heart rates of the first, middle and last half of the wave, bpm; nan where one of
        them is flat.
    """

    index: float
    trusted: bool
    concentration: float
    spread: float


@dataclass(frozen=True)
class Reading:
    """The heart rate of one window.

    Attributes
    ----------
    seconds : float
        The window's centre.
    heart_rate : float
        bpm; nan for a flat window.
    quality : Quality
    """

    seconds: float
    heart_rate: float
    quality: Quality


def heart_rate(
    wave: ArrayLike, fps: float, low: float = LOW, high: float = HIGH, points: int = POINTS
) -> float:
    """Heart rate in beats a minute: where the periodogram is largest within the band.

    The wave is zero-padded to ``points`` or to the next power of two above its length, whichever is more. Candidates
    lie ``60 fps / points`` bpm apart (0.22 at 30 frames/s); with the next power of two alone, as published protocols
    have it, a video of 30 s is read in steps of 1.8 bpm. Padding places a peak more finely and separates nothing: two
    rates closer than ``60 / duration`` bpm (2 at 30 s, 11 at 5.3 s) stay one peak.

    Parameters
    ----------
    wave : array_like
        Shape (T,), detrended, band-passed or the changes from frame to frame: a drift leaks into the band.
    fps : float
        Samples a second.
    low, high : float
        The band in Hz.
    points : int
        Least length of the transform; 1 gives the steps of the published protocols.

    Returns
    -------
    float
        nan for a flat wave, which has no heart rate.

    Raises
    ------
    PulseError
        The wave is no finite (T,), ``fps`` cannot hold the band, or the band falls between two candidates.
    """
    rates, power = _power(wave, fps, points)
    rates, power = _within(rates, power, fps, low, high)
    return float(rates[power.argmax()]) if power.any() else float("nan")


def signal_to_noise(
    wave: ArrayLike, heart_rate: float, fps: float, low: float = LOW, high: float = HIGH
) -> float:
    """Power around a heart rate over the rest of the band, in dB (de Haan & Jeanne 2013).

    ``10 log10`` of the power within 6 bpm of the rate and of its double, wherever below ``fps / 2`` that lies, over the
    power of all else within 0.75 to 2.5 Hz. The rPPG-Toolbox takes ``20 log10`` of the same ratio: its figures are twice
    these.

    Parameters
    ----------
    wave : array_like
        Shape (T,).
    heart_rate : float
        The true one, bpm.

    Returns
    -------
    float
        nan for a flat wave.
    """
    if not (np.isfinite(heart_rate) and heart_rate > 0):
        raise PulseError(f"heart_rate is {heart_rate}; give beats a minute, above 0")
    check_band(fps, low, high)
    rates, power = _power(wave, fps, POINTS)
    pulse = _harmonics(rates, heart_rate, HARMONIC)
    rest = power[(rates >= 60 * low) & (rates <= 60 * high) & ~pulse].sum()
    return float(10 * np.log10(power[pulse].sum() / rest)) if rest > 0 else float("nan")


def quality(wave: ArrayLike, fps: float, low: float = LOW, high: float = HIGH) -> Quality:
    """Whether the heart rate of a wave can be trusted.

    Noise spreads its power over the band, and its parts peak anywhere; a pulse does neither. A wave whose rate changes
    by 10 bpm or more is not trusted either, since no one rate describes it: use :func:`heart_rates`. Periodic motion
    within the band cannot be told from a pulse here.

    Parameters
    ----------
    wave : array_like
        Shape (T,) of 4 samples or more, detrended, band-passed or the changes from frame to frame.
    fps : float
        Samples a second.

    Returns
    -------
    Quality
    """
    wave = checked_wave(wave, at_least=4)
    seconds = len(wave) / fps
    rates, power = _within(*_power(wave, fps, POINTS), fps, low, high)
    if not power.any():
        return Quality(0.0, False, 0.0, float("nan"))
    # A window's own resolution is 60 / duration: below 10 s a clean peak is wider than the harmonics' 6 bpm.
    near = _harmonics(rates, rates[power.argmax()], max(HARMONIC, 60 / seconds))
    concentration = float(power[near].sum() / power.sum())
    half = len(wave) // 2
    starts = (0, (len(wave) - half) // 2, len(wave) - half)
    spread = float(np.ptp([heart_rate(wave[start : start + half], fps, low, high) for start in starts]))
    index = concentration * max(0.0, 1 - spread / SPREAD) if np.isfinite(spread) else 0.0
    return Quality(index, bool(index >= TRUSTED and seconds >= SHORTEST), concentration, spread)


def is_trusted(wave: ArrayLike, fps: float, low: float = LOW, high: float = HIGH) -> bool:
    """Whether :func:`quality` trusts a wave, without computing it where the wave is too short to be trusted."""
    wave = checked_wave(wave, at_least=4)
    return len(wave) / fps >= SHORTEST and quality(wave, fps, low, high).trusted


def heart_rates(
    wave: ArrayLike,
    fps: float,
    window: float = 10.0,
    step: float = 1.0,
    low: float = LOW,
    high: float = HIGH,
) -> list[Reading]:
    """Heart rate over time, each with its quality.

    Parameters
    ----------
    wave : array_like
        Shape (T,), detrended or band-passed as a whole, or the changes from frame to frame.
    fps : float
        Samples a second.
    window, step : float
        Length of a window and distance of their starts, in seconds, rounded to samples. What is left at the end and
        fills no window is not read.

    Raises
    ------
    PulseError
        The wave is shorter than a window, or a window or step shorter than 4 samples or 1.
    """
    check_band(fps, low, high)
    wave = checked_wave(wave)
    if not (np.isfinite(window) and np.isfinite(step)):
        raise PulseError(f"window {window} s and step {step} s: give finite lengths")
    length, stride = round(window * fps), round(step * fps)
    if length < 4 or stride < 1:
        raise PulseError(
            f"window {window} s and step {step} s at {fps:g} frames/s: too short; give longer ones"
        )
    if len(wave) < length:
        raise PulseError(
            f"the wave lasts {len(wave) / fps:.1f} s, a window {window:g} s; give a shorter window"
        )
    readings = []
    for start in range(0, len(wave) - length + 1, stride):
        part = wave[start : start + length]
        rate = heart_rate(part, fps, low, high)
        readings.append(Reading((start + length / 2) / fps, rate, quality(part, fps, low, high)))
    return readings


def _power(wave: ArrayLike, fps: float, points: int) -> tuple[Wave, Wave]:
    """Rates in bpm and the power at each, of the wave without its mean and in units of its deviation."""
    if not (np.isfinite(fps) and fps > 0):
        raise PulseError(f"fps is {fps}; give the frames a second, above 0")
    scaled = standardised(checked_wave(wave))
    length = max(points, 1 << (len(scaled) - 1).bit_length())
    power: Wave = np.abs(np.fft.rfft(scaled, length)) ** 2
    rates: Wave = np.arange(len(power), dtype=np.float64) * (60 * fps / length)
    return rates, power


def _within(rates: Wave, power: Wave, fps: float, low: float, high: float) -> tuple[Wave, Wave]:
    """The part of a periodogram within the band."""
    check_band(fps, low, high)
    inside = (rates >= 60 * low) & (rates <= 60 * high)
    if not inside.any():
        raise PulseError(f"no candidate lies within {low} to {high} Hz; give more points or a longer wave")
    return rates[inside], power[inside]


def _harmonics(rates: Wave, rate: float, width: float) -> np.ndarray[tuple[int, ...], np.dtype[np.bool]]:
    """Which rates lie within ``width`` of a rate or of its double."""
    return (np.abs(rates - rate) <= width) | (np.abs(rates - 2 * rate) <= width)
