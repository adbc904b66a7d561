"""Uncompressed AVI, the format of UBFC-rPPG's videos: any size of frame, every value kept.

OpenCV's lossless encoders cut an odd row or column off, so that the file is written here; the layout is Microsoft's
"AVI RIFF File Reference" with BITMAPINFOHEADER frames of 24 bits.
"""

from __future__ import annotations

import os
import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..data.errors import DataError

_LIMIT = (1 << 32) - 1  # bytes: lengths have 32 bits
_KEY_FRAME = _HAS_INDEX = 0x10


def write_video(path: str | Path, frames: NDArray[np.uint8], fps: float) -> None:
    """Write a video without loss, whole or not at all.

    Parameters
    ----------
    path : str or Path
        Ends in ``.avi``; its folder is made.
    frames : ndarray of uint8, shape (T, H, W, 3)
        Red, green, blue; at least one.
    fps : float
        Frames a second, kept to a thousandth.

    Raises
    ------
    DataError
        The frames have another shape or type, are more than an AVI file holds (4 GB), or the rate or name is not right.
    """
    path = Path(path)
    if path.suffix.lower() != ".avi":
        raise DataError(f"{path}: uncompressed video is written as .avi: choose such a name")
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape:
        raise DataError(
            f"{path}: frames are {frames.dtype} of shape {frames.shape}: give uint8 of shape (T, H, W, 3)"
        )
    if not (np.isfinite(fps) and fps >= 0.001):
        raise DataError(f"{path}: {fps} frames a second: give a number above 0")
    count, height, width = frames.shape[:3]
    row = -(-3 * width // 4) * 4
    size = height * row
    if count * (size + 24) + 1024 > _LIMIT:
        raise DataError(
            f"{path}: {count} frames of {width} x {height} do not fit an AVI file of 4 GB: crop or cut them"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    index = b"".join(
        struct.pack("<4s3I", b"00db", _KEY_FRAME, 4 + at * (size + 8), size) for at in range(count)
    )
    header = _list(b"hdrl", _headers(count, height, width, size, fps))
    length = 4 + len(header) + 12 + count * (size + 8) + 8 + len(index)
    try:
        with temporary.open("wb") as file:
            file.write(struct.pack("<4sI4s", b"RIFF", length, b"AVI ") + header)
            file.write(struct.pack("<4sI4s", b"LIST", 4 + count * (size + 8), b"movi"))
            padded = np.zeros((height, row), np.uint8)
            for frame in frames:
                # Rows from the bottom up, blue first.
                padded[:, : 3 * width] = frame[::-1, :, ::-1].reshape(height, 3 * width)
                file.write(struct.pack("<4sI", b"00db", size))
                file.write(padded.tobytes())
            file.write(_chunk(b"idx1", index))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _headers(count: int, height: int, width: int, size: int, fps: float) -> bytes:
    rate = Fraction(round(fps * 1000), 1000)
    interval_us = min(round(1e6 / fps), _LIMIT)
    main = struct.pack("<14I", interval_us, 0, 0, _HAS_INDEX, count, 0, 1, size, width, height, 0, 0, 0, 0)
    stream = struct.pack(
        "<4s4sIHHIIIIIIII4H",
        b"vids", b"DIB ", 0, 0, 0, 0, rate.denominator, rate.numerator, 0, count, size, _LIMIT, 0, 0, 0, 0, 0,
    )  # fmt: skip
    picture = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, size, 0, 0, 0, 0)
    # The rectangle's corners have 16 bits; 0 stands for the whole frame.
    return _chunk(b"avih", main) + _list(b"strl", _chunk(b"strh", stream) + _chunk(b"strf", picture))


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack("<4sI", name, len(content)) + content


def _list(name: bytes, content: bytes) -> bytes:
    return _chunk(b"LIST", name + content)
