"""From a recording to what a network is fed: normalised differences of frames, in clips of equal length.

The normalisation is that of the rPPG-Toolbox (Liu et al., 2023, arXiv:2210.00716), "DiffNormalized".
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..data.errors import DataError
from .recording import Recording

EVEN_TOLERANCE = 0.1  # of the mean interval
MAX_GAP_S = 0.5
_TINY = np.float32(1e-7)
_BLOCK = 1 << 22  # values worked on at a time

Normaliser = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def diff_normalised(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Relative change from each frame to the next, in units of its standard deviation.

    ``d[t] = (x[t+1] - x[t]) / (x[t+1] + x[t] + 1e-7)``, divided by the standard deviation over the whole video, all
    pixels and channels. What is not finite after that (a video that never changes) is 0.

    Parameters
    ----------
    frames : ndarray of uint8, shape (T, H, W, 3)
        At least two.

    Returns
    -------
    ndarray of float32, shape (T, H, W, 3)
        The last frame, which has no next one, is 0.
    """
    changes = np.zeros(frames.shape, np.float32)
    total = _Moments()
    for t in range(len(frames) - 1):
        changes[t] = _change(frames[t], frames[t + 1])
        total.add(changes[t])
    return _divided(changes, total.deviation())


def diff_label(pulse: NDArray[np.float32]) -> NDArray[np.float32]:
    """Change of a pulse wave (T,) from each frame to the next over its standard deviation, with a 0 at the end."""
    changes = np.diff(pulse)
    return np.append(_divided(changes, float(np.std(changes, dtype=np.float64))), np.float32(0))


class CausalNormaliser:
    """`diff_normalised` for a camera that is still running: nothing depends on a later frame.

    The standard deviation is that of all changes so far, which count less the older they are: with ``n`` values a frame
    and a memory of M frames,

        N = k N + n,  A = k A + sum d,  B = k B + sum d^2,  std^2 = B / N - (A / N)^2,  k = 1 - 1 / M.

    Parameters
    ----------
    memory : float, optional
        M, in frames, above 1. Without it nothing is forgotten (k = 1), so that the last frame of a video comes out as
        `diff_normalised` has it.

    Raises
    ------
    DataError
        The memory is not above 1.
    """

    def __init__(self, memory: float | None = 160) -> None:
        if memory is not None and not memory > 1:
            raise DataError(
                f"a running deviation with a memory of {memory} frames: give more than 1, or None"
            )
        self._moments = _Moments(1.0 if memory is None else 1 - 1 / memory)
        self._before: NDArray[np.uint8] | None = None

    def push(self, frame: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Take a frame (H, W, 3); return the normalised change that leads to it, or None for the first one."""
        before, self._before = self._before, frame.copy()
        if before is None:
            return None
        if before.shape != frame.shape:
            raise DataError(f"a frame of shape {frame.shape} follows one of {before.shape}: keep the size")
        change = _change(before, frame)
        self._moments.add(change)
        return _divided(change, self._moments.deviation())


def running_normalised(frames: NDArray[np.uint8], memory: float | None = 160) -> NDArray[np.float32]:
    """What a `CausalNormaliser` makes of a video (T, H, W, 3), with a zero frame at the end like `diff_normalised`.

    Value ``t`` depends on frames 0 to ``t + 1`` only.
    """
    normaliser = CausalNormaliser(memory)
    result = np.zeros(frames.shape, np.float32)
    for t, frame in enumerate(frames):
        change = normaliser.push(frame)
        if change is not None:
            result[t - 1] = change
    return result


def clips(
    recording: Recording, length: int = 160, *, normalise: Normaliser = diff_normalised
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Cut a recording into clips that do not overlap; frames after the last whole clip are left out.

    A recording whose intervals are uneven is resampled to its own rate first; see `resample`.

    Parameters
    ----------
    recording : Recording
        What to cut.
    length : int
        Frames of a clip.
    normalise : callable
        From frames to changes of the same shape: `diff_normalised` or `running_normalised`, over the whole recording.

    Returns
    -------
    clips : ndarray of float32, shape (n, 3, length, H, W)
    labels : ndarray of float32, shape (n, length), or None
        `diff_label` of the pulse.

    Raises
    ------
    DataError
        The recording is shorter than a clip, or has a gap.
    """
    if length < 1:
        raise DataError(f"clips of {length} frames: give at least 1")
    recording = resample(recording, recording.fps)
    count = len(recording.frames) // length
    if not count:
        raise DataError(
            f"recording {recording.name}: its {len(recording.frames)} frames are fewer than the {length} of a clip: "
            f"record at least {length / recording.fps:.1f} s"
        )
    changes = normalise(recording.frames)[: count * length]
    height, width = changes.shape[1:3]
    cut = changes.reshape(count, length, height, width, 3).transpose(0, 4, 1, 2, 3)
    labels = None
    if recording.pulse is not None:
        labels = diff_label(recording.pulse)[: count * length].reshape(count, length)
    return np.ascontiguousarray(cut), labels


def resample(recording: Recording, fps: float, *, max_gap: float = MAX_GAP_S) -> Recording:
    """Bring a recording to an even frame rate, frames and pulse interpolated linearly in time.

    Parameters
    ----------
    recording : Recording
        Returned as it is where it has that rate (to a thousandth) and no interval is off by more than a tenth.
    fps : float
        Frames a second.
    max_gap : float
        Longest time between two frames to interpolate across, in seconds.

    Returns
    -------
    Recording
        From the first time stamp to the last one or up to an interval before it.

    Raises
    ------
    DataError
        The rate is not a positive number, or frames are missing for longer than ``max_gap``.
    """
    if not (np.isfinite(fps) and fps > 0):
        raise DataError(f"recording {recording.name}: {fps} frames a second: give a number above 0")
    times = recording.times
    intervals = np.diff(times)
    gap = int(intervals.argmax())
    if intervals[gap] > max_gap:
        raise DataError(
            f"recording {recording.name}: {intervals[gap]:.2f} s are missing after frame {gap} "
            f"({times[gap]:.2f} s): cut it there, or allow gaps of more than {max_gap} s"
        )
    off = np.abs(intervals * fps - 1).max()
    if off <= EVEN_TOLERANCE and abs(recording.fps / fps - 1) <= 1e-3:
        return recording
    # A hair more, so that the last frame is not lost to rounding.
    count = int((times[-1] - times[0]) * fps * (1 + 1e-9)) + 1
    grid = np.minimum(times[0] + np.arange(count) / fps, times[-1])
    left = np.clip(np.searchsorted(times, grid, "right") - 1, 0, len(times) - 2)
    part = ((grid - times[left]) / intervals[left]).astype(np.float32)
    frames = np.empty((count, *recording.frames.shape[1:]), np.uint8)
    step = max(1, _BLOCK // recording.frames[0].size)
    for start in range(0, count, step):
        at, share = left[start : start + step], part[start : start + step, None, None, None]
        before = recording.frames[at].astype(np.float32)
        before += share * (recording.frames[at + 1] - before)
        frames[start : start + step] = np.rint(before)
    pulse = recording.pulse
    if pulse is not None:
        pulse = np.interp(grid, times, pulse).astype(np.float32)
    return Recording(recording.name, recording.subject, frames, pulse, times[0] + np.arange(count) / fps)


class _Moments:
    """Running mean and variance whose past counts for less by a factor with each frame."""

    def __init__(self, keep: float = 1.0) -> None:
        self._keep = keep
        self._count = self._sum = self._squares = 0.0

    def add(self, change: NDArray[np.float32]) -> None:
        values = change.ravel().astype(np.float64)
        self._count = self._keep * self._count + values.size
        self._sum = self._keep * self._sum + float(values.sum())
        self._squares = self._keep * self._squares + float(values @ values)

    def deviation(self) -> float:
        mean = self._sum / self._count
        return float(np.sqrt(max(self._squares / self._count - mean * mean, 0.0)))


def _change(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.float32]:
    old, new = before.astype(np.float32), after.astype(np.float32)
    return (new - old) / (new + old + _TINY)


def _divided(changes: NDArray[np.float32], deviation: float) -> NDArray[np.float32]:
    return changes / np.float32(deviation) if deviation > 0 else np.zeros_like(changes)
