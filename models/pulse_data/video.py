"""Read video files with OpenCV, which is an optional extra and imported on first use."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.errors import BadFileError, DataError, MissingFileError
from .avi import write_video

__all__ = ["frames_of", "opencv", "read_video", "write_video"]

_ESTIMATE = 0.01  # how far a container's frame count may be off: some state a duration instead


def opencv() -> Any:
    """Return OpenCV's module.

    Raises
    ------
    DataError
        It is not installed.
    """
    try:
        return importlib.import_module("cv2")
    except ImportError:
        raise DataError(
            'reading video and finding faces take OpenCV: install the extra, pip install "spikewright[video]"'
        ) from None


def frames_of(path: str | Path) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Go through a video without holding more than a frame of it.

    Yields
    ------
    tuple of float and ndarray of uint8, shape (H, W, 3)
        Time stamp in seconds, and red, green and blue.

    Raises
    ------
    DataError
        The file is missing, is no video, has no frames, or ends before the frames that it announces.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"{path}: no such video file: check the path")
    cv2 = opencv()
    if not path.stat().st_size:
        raise BadFileError(f"{path} is empty: copy it again")
    capture = _open(cv2, path)
    try:
        announced = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        count = 0
        while True:
            there, frame = capture.read()
            if not there:
                break
            count += 1
            yield capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, np.ascontiguousarray(frame[:, :, ::-1])
    finally:
        capture.release()
    if not count:
        raise BadFileError(
            f"{path} holds no frames that OpenCV can decode: copy it again or convert it to AVI"
        )
    if announced - count > max(1, _ESTIMATE * announced):
        raise BadFileError(
            f"{path} announces {announced} frames and holds {count}: it is cut off, copy it again"
        )


def read_video(path: str | Path) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Read a whole video.

    Returns
    -------
    frames : ndarray of uint8, shape (T, H, W, 3)
        Red, green, blue.
    times : ndarray of float64, shape (T,)
        Time stamps in seconds, as the container has them.

    Raises
    ------
    DataError
        As for `frames_of`.
    """
    times, frames = zip(*frames_of(path), strict=True)
    return np.stack(frames), np.array(times)


def _open(cv2: Any, path: Path) -> Any:
    # FFmpeg only: another back end would take a picture, or a name with digits, for a series of pictures.
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise BadFileError(f"{path} is not a video that OpenCV can read: copy it again or convert it to AVI")
    return capture
