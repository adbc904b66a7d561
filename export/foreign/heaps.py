"""A defect of HDF5 kept out: a string heap whose free space has size zero makes the library read it for ever.

Strings of variable length lie in collections that begin with ``GCOL``: version, three reserved bytes, size (8), and then
objects of index (2), references (2), four reserved bytes, size (8) and data in steps of eight bytes. Index zero is the free
rest; its size counts its header. The library steps on by that size without asking whether it steps at all.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from ..errors import ExportError

SIGNATURE, HEADER = b"GCOL\x01", 16


def check_heaps(path: Path) -> None:
    """Refuse a file that HDF5 would never finish reading.

    Raises
    ------
    ExportError
        Says where.
    OSError
        The file cannot be read.
    """
    if not path.stat().st_size:
        return
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = content.find(SIGNATURE)
        while at >= 0:
            _check(content, at)
            at = content.find(SIGNATURE, at + 1)


def _check(content: mmap.mmap, start: int) -> None:
    if start + HEADER > len(content):
        return
    end = min(len(content), start + struct.unpack_from("<Q", content, start + 8)[0])
    at = start + HEADER
    while at + HEADER <= end:
        index, _, _, size = struct.unpack_from("<HHIQ", content, at)
        step = size if index == 0 else HEADER + (size + 7) // 8 * 8
        if step == 0:
            raise ExportError(f"truncated or damaged (the strings at byte {at} have no end); export it again")
        at += step
