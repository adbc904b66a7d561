"""A recording on disk that has not been read yet, and what all formats share in reading it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...data.errors import BadFileError, MissingFileError
from ..box import Box
from ..faces import cropped
from ..video import frames_of

Size = int | tuple[int, int] | None
LENGTH_TOLERANCE = 0.02  # by which a label may be longer or shorter than its video


@dataclass(frozen=True)
class Entry:
    """Where a recording lies.

    Attributes
    ----------
    name, subject : str
        Name of the recording, and of whom it shows.
    video : Path
        File or folder with the frames.
    label : Path
        File with the pulse; the video itself where that holds it.
    """

    name: str
    subject: str
    video: Path
    label: Path


def natural(path: Path) -> list[int | str]:
    """Key that sorts ``subject10`` after ``subject9``."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", str(path))]


def framed(frames: Iterable[NDArray[np.uint8]], size: Size, box: Box | None, name: str) -> NDArray[np.uint8]:
    """Stack frames; with a size, cut to the face, or the box, and brought to it."""
    if size is not None:
        frames = cropped(frames, size, box, name)
    elif box is not None:
        frames = (_cut(frame, box, name) for frame in frames)
    return np.stack(list(frames))


def read_file(entry: Entry, size: Size, box: Box | None) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Frames and time stamps of an entry whose video is a file."""
    times: list[float] = []

    def frames() -> Iterable[NDArray[np.uint8]]:
        for time, frame in frames_of(entry.video):
            times.append(time)
            yield frame

    return framed(frames(), size, box, entry.name), np.array(times)


def read_text(path: Path) -> str:
    """Read a label file."""
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        raise MissingFileError(f"{path}: no such label file: copy it beside the video") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadFileError(f"{path} cannot be read as text ({error}): copy it again") from None


def numbers(texts: Iterable[str], path: Path, where: str) -> NDArray[np.float64]:
    """Finite numbers, or an error that names the file and the place."""
    values = []
    for at, text in enumerate(texts, 1):
        try:
            value = float(text)
        except ValueError:
            value = np.nan
        if not np.isfinite(value):
            raise BadFileError(f"{path}: {where} holds {text!r} as number {at}: copy the file again")
        values.append(value)
    if not values:
        raise BadFileError(f"{path}: {where} is empty: copy the file again")
    return np.array(values)


def stretch(values: NDArray[np.float64], count: int, expected: float, path: Path) -> NDArray[np.float32]:
    """Interpolate a label linearly over the frames of its video, first sample to first frame and last to last.

    Parameters
    ----------
    values : ndarray of float64
        The label.
    count : int
        Frames of the video.
    expected : float
        Samples a label of the video's length has.
    path : Path
        Label file, for the error.

    Raises
    ------
    BadFileError
        The label is longer or shorter than the video by more than 2 % and two samples.
    """
    if abs(len(values) - expected) > max(2.0, LENGTH_TOLERANCE * expected):
        raise BadFileError(
            f"{path} holds {len(values)} samples, but the video's {count} frames take {expected:.0f}: "
            "one of the two is not complete, copy both again"
        )
    places = np.linspace(0, len(values) - 1, count)
    return np.interp(places, np.arange(len(values)), values).astype(np.float32)


def _cut(frame: NDArray[np.uint8], box: Box, name: str) -> NDArray[np.uint8]:
    box.check(frame.shape, name)
    return frame[box.y : box.y + box.height, box.x : box.x + box.width]
