"""Filters between what a network or a camera gives and a pulse wave; time is the last axis throughout.

Each row is filtered alone. A row of which only rounding is left comes back as exact zeros, so that "no pulse at all"
stays visible behind every filter.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import solveh_banded
from scipy.signal import butter, sosfiltfilt

from ..errors import PulseError

Wave: TypeAlias = NDArray[np.float64]

LOW, HIGH = 0.75, 2.5  # Hz: 45 to 150 beats a minute, the band of the published protocol
LAMBDA, LAMBDA_FPS = 100.0, 30.0  # the published protocol's smoothness and the frame rate it is meant for
FILTER_ROUNDING = 1e-9  # of the largest input; a constant leaves 1e-12 behind at 1,000 samples/s, less below


def detrend(signal: ArrayLike, lam: float = 100.0) -> Wave:
    """Take the smooth trend from a signal by smoothness priors.

    ``x - (I + lam^2 D' D)^-1 x`` with the second differences ``D`` (Tarvainen et al. 2002, doi
    10.1109/10.979357). Constants and straight lines vanish. A sine of
    ``lam^(-1/2) / (2 pi)`` cycles a sample is halved: 0.48 Hz at ``lam`` = 100 and 30 frames/s.

    Parameters
    ----------
    signal : array_like
        Shape (..., T), 3 samples or more.
    lam : float
        Smoothness of the trend, 0 or above; 0 takes all of the signal for trend.

    Returns
    -------
    ndarray of float64, shape (..., T)

    Raises
    ------
    PulseError
        The signal is too short or not finite, or ``lam`` is negative.
    """
    signal = checked(signal, "signal", at_least=3)
    if not (np.isfinite(lam) and lam >= 0):
        raise PulseError(f"lam is {lam}; give 0 or more")
    length = signal.shape[-1]
    # The upper bands of I + lam^2 D'D; D'D is banded because a second difference sees three neighbours.
    second = np.array([1.0, -2.0, 1.0])
    bands = np.zeros((3, length))
    for distance in range(3):
        products = second[: 3 - distance] * second[distance:]
        for start, product in enumerate(products):
            bands[2 - distance, start + distance : length - 2 + start + distance] += lam**2 * product
    bands[2] += 1
    rows = signal.reshape(-1, length)
    trend = solveh_banded(bands, rows.T, check_finite=False).T.reshape(signal.shape)
    # The largest eigenvalue of D'D is 16, so the system's condition is at most 1 + 16 lam^2.
    return _without_rounding(signal - trend, signal, 16 * np.finfo(np.float64).eps * (1 + 16 * lam**2))


def band_pass(signal: ArrayLike, fps: float, low: float = LOW, high: float = HIGH, order: int = 2) -> Wave:
    """Keep a band of frequencies, without shifting anything in time.

    A Butterworth filter run forwards and backwards, which squares its response: -6 dB at both edges. The ends are
    extended by odd reflection.

    Parameters
    ----------
    signal : array_like
        Shape (..., T), longer than 3 times the filter (15 samples for order 2).
    fps : float
        Samples a second.
    low, high : float
        Edges of the band in Hz.
    order : int
        Of each edge and each run.

    Raises
    ------
    PulseError
        The signal is too short or not finite, or the band does not lie below half of ``fps``.
    """
    check_band(fps, low, high)
    if order < 1:
        raise PulseError(f"order is {order}; give 1 or more")
    padding = 3 * (2 * order + 1)
    signal = checked(signal, "signal", at_least=padding + 1)
    sections = _sections(fps, low, high, order)
    return _without_rounding(sosfiltfilt(sections, signal, padlen=padding), signal, FILTER_ROUNDING)


@lru_cache(maxsize=32)
def _sections(fps: float, low: float, high: float, order: int) -> Wave:
    """The filter's second-order sections; designing them takes longer than filtering a clip."""
    sections: Wave = butter(order, [low, high], "bandpass", fs=fps, output="sos")
    return sections


def pulse_band(signal: ArrayLike, fps: float, low: float = LOW, high: float = HIGH) -> Wave:
    """Detrend and band-pass, what the published protocol does to every wave before it is judged.

    The smoothness is 100 at 30 frames/s and grows with the square of ``fps``, so that the trend ends at 0.48 Hz at any
    frame rate. (The rPPG-Toolbox keeps 100 throughout: 0.95 Hz at 60 frames/s, above a heart rate of 57.)
    """
    check_band(fps, low, high)
    return band_pass(detrend(signal, LAMBDA * (fps / LAMBDA_FPS) ** 2), fps, low, high)


def pulse_of(differences: ArrayLike, fps: float, low: float = LOW, high: float = HIGH) -> Wave:
    """Pulse wave of a network that predicts its change from frame to frame: cumulative sum, then :func:`pulse_band`.

    Concatenate the clips of a video first; the sum then runs on across their borders.
    """
    return pulse_band(np.cumsum(checked(differences, "differences"), axis=-1), fps, low, high)


def standardised(signal: ArrayLike) -> Wave:
    """Zero mean and unit standard deviation along the last axis; a flat signal becomes zeros."""
    signal = checked(signal, "signal")
    centred = _without_rounding(signal - signal.mean(-1, keepdims=True), signal, FILTER_ROUNDING)
    deviation = centred.std(-1, keepdims=True)
    return centred / np.where(deviation > 0, deviation, 1)


def checked(signal: ArrayLike, name: str, at_least: int = 1) -> Wave:
    """A signal (..., T) as finite float64, or an error that calls it ``name``."""
    found = np.asarray(signal, dtype=np.float64)
    if found.ndim == 0 or found.shape[-1] < at_least:
        raise PulseError(f"the {name} has shape {found.shape}; give (..., T) with T of {at_least} or more")
    if not np.isfinite(found).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(found))[0])
        raise PulseError(f"the {name} is {found[where]} at {list(where)}; give finite values only")
    return found


def checked_wave(wave: ArrayLike, name: str = "wave", at_least: int = 2) -> Wave:
    """One wave (T,) as finite float64, or an error that calls it ``name``."""
    found = checked(wave, name, at_least)
    if found.ndim != 1:
        raise PulseError(f"the {name} has shape {found.shape}; give one wave of shape (T,)")
    return found


def check_band(fps: float, low: float, high: float) -> None:
    """Refuse a sampling rate that is none, and a band that it cannot hold."""
    if not (np.isfinite(fps) and fps > 0):
        raise PulseError(f"fps is {fps}; give the frames a second, above 0")
    if not 0 < low < high < fps / 2:
        raise PulseError(
            f"a band of {low} to {high} Hz at {fps:g} frames/s: it must rise, and end below {fps / 2:g} Hz"
        )


def _without_rounding(result: Wave, source: Wave, share: float) -> Wave:
    """The result, with rows of zeros where nothing exceeds ``share`` of the source's largest value.

    Nor where all of it is below the smallest normal number, where a share of anything is lost.
    """
    size, scale = (np.abs(a).max(-1, keepdims=True) for a in (result, source))
    return np.where(size > np.maximum(share * scale, np.finfo(np.float64).tiny), result, 0.0)
