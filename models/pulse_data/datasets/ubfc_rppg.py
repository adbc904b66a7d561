"""UBFC-rPPG (Bobbia et al., 2019, Pattern Recognition Letters 124:82): 42 subjects playing a game, and 8 others.

DATASET_2 has ``subject<n>/vid.avi`` and ``ground_truth.txt``, three lines of numbers: the pulse wave, one value a frame;
the heart rate; time stamps in seconds. DATASET_1 has ``<folder>/vid.avi`` and ``gtdump.xmp``, lines of comma-separated
milliseconds, heart rate, oxygen saturation and pulse wave.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...data.errors import BadFileError
from ..box import Box
from ..recording import Recording
from .entry import Entry, Size, natural, numbers, read_file, read_text, stretch

_LABELS = ("ground_truth.txt", "gtdump.xmp")
_COLUMNS = 4
_LATE_S = 0.5  # by which the video may outlast the oximeter


def recordings(root: Path) -> list[Entry]:
    """List what lies below a folder, or below DATASET_1 and DATASET_2 in it.

    A folder counts if it holds a video or a label; that the other is missing is said when it is read.
    """
    entries = []
    for folder in sorted([*root.glob("*/"), *root.glob("DATASET_[12]/*/")], key=natural):
        label = next((folder / name for name in _LABELS if (folder / name).is_file()), None)
        video = folder / "vid.avi"
        if label is not None or video.is_file():
            entries.append(Entry(folder.name, folder.name, video, label or folder / _LABELS[0]))
    return entries


def read(entry: Entry, *, size: Size = None, box: Box | None = None) -> Recording:
    """Read a recording.

    Time stamps of DATASET_2 say when the computer got a frame, 12 and 42 ms apart by turns and some of them twice, not
    when it was taken: the frames are put on an even grid from the first stamp to the last, as is published practice.
    A label of another length than the video (up to 2 %) is stretched to it. The wave of DATASET_1 is interpolated at
    the video's own time stamps.

    Parameters
    ----------
    entry : Entry
        Which.
    size : int or tuple of int, optional
        Height and width to bring the face to; without it frames are left whole (1.4 GB a minute).
    box : Box, optional
        Where the face is; looked for without it.

    Raises
    ------
    DataError
        A file is missing or damaged, or no face is found.
    """
    if entry.label.name == _LABELS[1]:
        return _read_dump(entry, size, box)
    pulse, stamps = read_ground_truth(entry.label)
    frames, _ = read_file(entry, size, box)
    count = len(frames)
    wave = stretch(pulse, count, count, entry.label)
    return Recording(entry.name, entry.subject, frames, wave, np.linspace(stamps[0], stamps[-1], count))


def read_ground_truth(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pulse wave and time stamps in seconds of a ``ground_truth.txt``.

    Raises
    ------
    DataError
        The file is missing, has not three lines of equally many numbers, or its stamps go back.
    """
    lines = [line.split() for line in read_text(path).splitlines() if line.strip()]
    if len(lines) != 3:
        raise BadFileError(
            f"{path} has {len(lines)} lines of numbers, not 3 (pulse wave, heart rate, time stamps): copy it again"
        )
    pulse, rate, stamps = (numbers(line, path, f"line {at}") for at, line in enumerate(lines, 1))
    if not len(pulse) == len(rate) == len(stamps):
        raise BadFileError(
            f"{path}: its lines hold {len(pulse)}, {len(rate)} and {len(stamps)} numbers, not equally many: copy it again"
        )
    if np.any(np.diff(stamps) < 0) or stamps[-1] <= stamps[0]:
        raise BadFileError(f"{path}: the time stamps of line 3 go back or stand still: copy it again")
    return pulse, stamps


def _read_dump(entry: Entry, size: Size, box: Box | None) -> Recording:
    rows = [line.split(",") for line in read_text(entry.label).splitlines() if line.strip()]
    wrong = next((at for at, row in enumerate(rows, 1) if len(row) != _COLUMNS), None)
    if wrong is not None:
        raise BadFileError(
            f"{entry.label}: line {wrong} has {len(rows[wrong - 1])} columns, not {_COLUMNS} "
            "(milliseconds, heart rate, oxygen, pulse wave): copy it again"
        )
    stamps = numbers((row[0] for row in rows), entry.label, "column 1") / 1000
    pulse = numbers((row[3] for row in rows), entry.label, "column 4")
    if np.any(np.diff(stamps) <= 0):
        raise BadFileError(f"{entry.label}: its time stamps do not increase: copy it again")
    frames, times = read_file(entry, size, box)
    if times[-1] > stamps[-1] + _LATE_S or times[0] < stamps[0] - _LATE_S:
        raise BadFileError(
            f"{entry.label} goes from {stamps[0]:.2f} to {stamps[-1]:.2f} s, its video from {times[0]:.2f} to "
            f"{times[-1]:.2f} s: one of the two is not complete, copy both again"
        )
    wave = np.interp(times, stamps, pulse).astype(np.float32)
    return Recording(entry.name, entry.subject, frames, wave, times)
