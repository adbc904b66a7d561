"""One video of a face with its reference pulse."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..data.errors import DataError

_RATE_SPAN = 30  # frames; about a second


@dataclass(frozen=True, eq=False)
class Recording:
    """Frames, the pulse wave at each frame, and when the frames were taken.

    Attributes
    ----------
    name : str
        What to call it in messages and reports.
    subject : str
        Whom it shows. Training and test sets are split by it.
    frames : ndarray of uint8, shape (T, H, W, 3)
        Red, green, blue.
    pulse : ndarray of float32, shape (T,), or None
        Blood volume, peaks up, in no particular unit: one value a frame. None where nobody measured it.
    times : ndarray of float64, shape (T,)
        Seconds, strictly increasing.
    """

    name: str
    subject: str
    frames: NDArray[np.uint8]
    pulse: NDArray[np.float32] | None
    times: NDArray[np.float64]

    def __post_init__(self) -> None:
        frames = self.frames
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape:
            raise self._error(
                f"frames are {frames.dtype} of shape {frames.shape}", "give uint8 of shape (T, H, W, 3)"
            )
        count = len(frames)
        if count < 2:
            raise self._error("holds one frame", "a pulse takes at least two, and a clip 160")
        self._check("times", self.times, np.float64, count)
        if self.pulse is not None:
            self._check("pulse", self.pulse, np.float32, count)
        back = np.flatnonzero(np.diff(self.times) <= 0)
        if back.size:
            at = int(back[0])
            raise self._error(
                f"times do not increase from frame {at} ({self.times[at]:g} s) to {at + 1} "
                f"({self.times[at + 1]:g} s)",
                "drop the repeated frame or correct its time stamp",
            )

    @property
    def fps(self) -> float:
        """Frames a second: the median over all spans of 30 frames (of all frames, where there are fewer).

        A median of single intervals would go wrong where frames are stamped when they reach the computer: the stamps
        of UBFC-rPPG's first subject come 12 and 42 ms apart by turns, so that theirs is 10 % off the frame rate.
        """
        span = min(_RATE_SPAN, len(self.times) - 1)
        return float(span / np.median(self.times[span:] - self.times[:-span]))

    def _check(self, field: str, values: NDArray[np.floating], dtype: type, count: int) -> None:
        if values.dtype != dtype or values.shape != (count,):
            raise self._error(
                f"{field} is {values.dtype} of shape {values.shape}",
                f"give {np.dtype(dtype)} of shape ({count},), one value a frame",
            )
        wrong = np.flatnonzero(~np.isfinite(values))
        if wrong.size:
            raise self._error(
                f"{field} holds {values[wrong[0]]} at frame {wrong[0]}", "drop or interpolate such frames"
            )

    def _error(self, what: str, remedy: str) -> DataError:
        return DataError(f"recording {self.name}: {what}: {remedy}")
