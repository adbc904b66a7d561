"""UBFC-Phys (Sabour et al., 2021, IEEE TAFFC 14:622): 56 subjects at rest, speaking and calculating.

Folders ``s<n>`` hold ``vid_s<n>_T<task>.avi`` and ``bvp_s<n>_T<task>.csv``, one value a line at 64 Hz. Task 1 is rest,
2 speech, 3 arithmetic.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..box import Box
from ..recording import Recording
from .entry import Entry, Size, natural, numbers, read_file, read_text, stretch

WRISTBAND_HZ = 64
_FILE = re.compile(r"(?:vid|bvp)_(s\d+)_(T[123])\.(?:avi|csv)")


def recordings(root: Path) -> list[Entry]:
    """List the tasks of which a video or a label is there, by subject."""
    entries = {}
    for path in sorted(root.glob("s*/*_s*_T*.*"), key=natural):
        match = _FILE.fullmatch(path.name)
        if match is not None and path.parent.name == match[1]:
            name = f"{match[1]}_{match[2]}"
            folder = path.parent
            entries[name] = Entry(name, match[1], folder / f"vid_{name}.avi", folder / f"bvp_{name}.csv")
    return [entries[name] for name in sorted(entries, key=lambda name: natural(Path(name)))]


def read(entry: Entry, *, size: Size = None, box: Box | None = None) -> Recording:
    """Read a recording; its label is stretched over the frames, if both last equally long to 2 %.

    Parameters are those of :func:`.ubfc_rppg.read`; whole frames take 20 GB.

    Raises
    ------
    DataError
        A file is missing or damaged, label and video differ in length, or no face is found.
    """
    pulse = numbers(read_text(entry.label).split(), entry.label, "column 1")
    frames, times = read_file(entry, size, box)
    count = len(frames)
    seconds = (times[-1] - times[0]) * count / max(count - 1, 1)
    wave = stretch(pulse, count, WRISTBAND_HZ * seconds, entry.label)
    return Recording(entry.name, entry.subject, frames, wave, times)
