"""Frames at an even rate from a camera that is still running."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from ..data.errors import DataError
from .clips import EVEN_TOLERANCE, MAX_GAP_S


def paced(
    frames: Iterable[tuple[float, NDArray[np.uint8]]], fps: float, max_gap: float = MAX_GAP_S
) -> Iterator[NDArray[np.uint8]]:
    """Frames at times ``t0 + k / fps``, interpolated linearly between their neighbours as soon as both are there.

    A frame that is no further from such a time than a tenth of the interval is taken as it is.

    Parameters
    ----------
    frames : iterable of float and ndarray of uint8
        Time stamps in seconds, and frames of one size.
    fps : float
        Frames a second to bring them to.
    max_gap : float
        Longest time between two frames to interpolate across, in seconds.

    Raises
    ------
    DataError
        Time stamps do not rise, frames are missing for longer than ``max_gap``, or ``fps`` is not a positive number.
    """
    if not (np.isfinite(fps) and fps > 0):
        raise DataError(f"{fps} frames a second: give a number above 0")
    near, start, count = EVEN_TOLERANCE / fps, 0.0, 0
    before: tuple[float, NDArray[np.uint8]] | None = None
    for seconds, frame in frames:
        if before is None:
            start = seconds
        elif not seconds > before[0]:
            raise DataError(
                f"a frame at {seconds:.3f} s follows one at {before[0]:.3f} s: give rising time stamps"
            )
        elif seconds - before[0] > max_gap:
            raise DataError(
                f"{seconds - before[0]:.2f} s are missing after {before[0]:.2f} s: start anew there, or allow gaps of more "
                f"than {max_gap} s"
            )
        while (at := start + count / fps) <= seconds + near:
            if before is None or at >= seconds - near:
                yield frame
            else:
                share = np.float32((at - before[0]) / (seconds - before[0]))
                old = before[1].astype(np.float32)
                yield np.rint(old + share * (frame - old)).astype(np.uint8)
            count += 1
        before = seconds, frame
