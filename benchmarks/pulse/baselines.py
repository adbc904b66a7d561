"""Pulse waves from the mean colour of skin, without training.

All take traces (T, 3) of red, green and blue, linear in light where possible, and return a wave (T,) that rises with the
blood volume (darker skin), filtered by
:func:`.waves.pulse_band`, in units of the mean brightness.
What a method sums over windows is divided by how many cover a frame, so that the ends are not faded.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from ..errors import PulseError
from .waves import HIGH, LOW, Wave, band_pass, check_band, checked, pulse_band

WINDOW = 1.6  # s, a beat or more at 38 bpm and above
CHANNELS = ("red", "green", "blue")
SIGNATURE = np.array(
    [0.33, 0.77, 0.53]
)  # relative pulse amplitudes under halogen light (de Haan & van Leest 2014)
ROUNDING = 1e-9  # of the mean brightness: what is smaller comes from arithmetic, not from a camera


def traces(frames: ArrayLike) -> Wave:
    """Mean colour (T, 3) of each frame of a video (T, H, W, 3), bytes or floats."""
    found = np.asarray(frames)
    if found.ndim != 4 or found.shape[-1] != 3 or found.size == 0:
        raise PulseError(f"the frames have shape {found.shape}; give (T, H, W, 3), none of them 0")
    return checked(found.mean((1, 2), dtype=np.float64), "mean colour")


def green(rgb: ArrayLike, fps: float) -> Wave:
    """The green channel (Verkruysse et al. 2008, doi 10.1364/OE.16.021434); common-mode light passes."""
    rgb = _checked_traces(rgb, fps)
    return _finished(-rgb[:, 1] / rgb[:, 1].mean(), fps)


def chrom(rgb: ArrayLike, fps: float) -> Wave:
    """Chrominance (de Haan & Jeanne 2013, doi 10.1109/TBME.2013.2266196).

    In windows of 1.6 s with half overlap, with colours ``n`` over their mean: ``X = 3 nR - 2 nG``,
    ``Y = 1.5 nR + nG - 1.5 nB``, both band-passed, and ``X - Y std(X) / std(Y)`` under a Hann window.

    Raises
    ------
    PulseError
        As :func:`pos`, and for 13 frames/s or fewer, where a window is too short for the filter.
    """
    rgb = _checked_traces(rgb, fps)
    length = 2 * ceil(WINDOW * fps / 2)
    order = 3
    if length <= 3 * (2 * order + 1):
        raise PulseError(
            f"CHROM filters windows of {WINDOW} s, {length} frames at {fps:g} frames/s: too few; give 14"
        )
    if len(rgb) < length:
        raise PulseError(f"{len(rgb)} frames are fewer than CHROM's window of {length}; give a longer video")
    starts = np.array([*range(0, len(rgb) - length, length // 2), len(rgb) - length])
    frames = starts[:, None] + np.arange(length)
    windows = rgb[frames]  # (windows, length, 3)
    red, green, blue = np.moveaxis(windows / windows.mean(1, keepdims=True), -1, 0)
    x, y = band_pass([3 * red - 2 * green, 1.5 * red + green - 1.5 * blue], fps, 0.7, 2.5, order)
    # Sampled between the zeros of the Hann window: no frame goes without weight.
    hann = np.broadcast_to(np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2, frames.shape)
    pulse = hann * (x - y * _ratio(x.std(-1, keepdims=True), y.std(-1, keepdims=True)))
    return _finished(_summed(frames, pulse) / _summed(frames, hann), fps)


def pos(rgb: ArrayLike, fps: float) -> Wave:
    """Plane orthogonal to skin (Wang et al. 2017, doi 10.1109/TBME.2016.2609282).

    In every window of 1.6 s, with colours ``n`` over their mean: ``a = nG - nB``, ``b = nG + nB - 2 nR``, and
    ``a + b std(a) / std(b)``, whose mean is zero because theirs are.

    Parameters
    ----------
    rgb : array_like
        Shape (T, 3).
    fps : float
        Frames a second.

    Returns
    -------
    ndarray of float64, shape (T,)

    Raises
    ------
    PulseError
        The traces are no finite (T, 3), shorter than a window, or a channel is black in one.
    """
    rgb = _checked_traces(rgb, fps)
    length = ceil(WINDOW * fps)
    windows = sliding_window_view(rgb, length, 0)  # (windows, 3, length)
    red, green, blue = np.moveaxis(windows / windows.mean(-1, keepdims=True), 1, 0)
    a, b = green - blue, green + blue - 2 * red
    pulse = a + b * _ratio(a.std(-1, keepdims=True), b.std(-1, keepdims=True))
    frames = np.arange(len(pulse))[:, None] + np.arange(length)
    return _finished(-_summed(frames, pulse) / _summed(frames, np.ones_like(pulse)), fps)


def lgi(rgb: ArrayLike, fps: float) -> Wave:
    """Local group invariance (Pilz et al. 2018, doi 10.1109/CVPRW.2018.00172).

    Green, after the colours' first singular direction, that of brightness, is projected out.
    """
    rgb = _checked_traces(rgb, fps)
    brightness = np.linalg.svd(rgb, full_matrices=False)[2][0]
    rest = rgb - np.outer(rgb @ brightness, brightness)
    return _finished(-rest[:, 1] / rgb[:, 1].mean(), fps)


def pbv(rgb: ArrayLike, fps: float) -> Wave:
    """Blood volume signature (de Haan & van Leest 2014, doi 10.1088/0967-3334/35/9/1913).

    The combination ``w`` of band-passed relative colours ``C`` that is correlated with them as the pulse is:
    ``w`` proportional to ``(C C')^-1 p``, scaled to ``w' p = 1`` for the signature ``p``.
    """
    rgb = _checked_traces(rgb, fps)
    colours = pulse_band((rgb / rgb.mean(0) - 1).T, fps)
    # Two sources without noise leave the covariance singular.
    weights = np.linalg.pinv(colours @ colours.T, rcond=1e-10, hermitian=True) @ SIGNATURE
    return _without_rounding(-(weights @ colours) * _ratio(1.0, weights @ SIGNATURE))


BASELINES: dict[str, Callable[[ArrayLike, float], Wave]] = {
    "green": green,
    "chrom": chrom,
    "pos": pos,
    "lgi": lgi,
    "pbv": pbv,
}


def _checked_traces(rgb: ArrayLike, fps: float) -> Wave:
    """Traces (T, 3) of a window or more, no channel of which is black in any."""
    check_band(fps, LOW, HIGH)
    found = np.asarray(rgb, dtype=np.float64)
    if found.ndim != 2 or found.shape[1] != 3:
        raise PulseError(
            f"the traces have shape {found.shape}; give (T, 3): red, green and blue of each frame"
        )
    length = ceil(WINDOW * fps)
    if len(found) < length:
        raise PulseError(
            f"{len(found)} frames are fewer than a window of {WINDOW} s, {length} frames; give a longer video"
        )
    checked(found, "traces")
    means = sliding_window_view(found, length, 0).mean(-1)
    if (means <= 0).any():
        start, channel = (int(i) for i in np.argwhere(means <= 0)[0])
        raise PulseError(
            f"the mean of {CHANNELS[channel]} is {means[start, channel]:g} in the {length} frames from {start} on; "
            "give raw colours of skin, above 0"
        )
    return found


def _ratio(above: float | Wave, below: float | Wave) -> NDArray[np.float64]:
    """Quotient, 0 where nothing is left below."""
    below = np.asarray(below)
    return np.where(below > 0, above / np.where(below > 0, below, 1), 0)


def _summed(frames: NDArray[np.int64], values: Wave) -> Wave:
    """Sum of the values that windows have at each frame."""
    return np.bincount(frames.ravel(), values.ravel()).astype(np.float64)


def _finished(wave: Wave, fps: float) -> Wave:
    """A wave in units of the mean brightness, filtered."""
    return _without_rounding(pulse_band(wave - wave.mean(), fps))


def _without_rounding(pulse: Wave) -> Wave:
    """The pulse, or zeros where no camera could have seen it."""
    return pulse if np.abs(pulse).max() > ROUNDING else np.zeros_like(pulse)
