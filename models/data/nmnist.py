"""N-MNIST: MNIST digits on a screen, seen by a moving event camera (Orchard et al., 2015)."""

from __future__ import annotations

import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import BadFileError
from .events import SpikeFrames, bin_events, bin_width, stratified_split, tonic_package
from .fetch import find, locate, obtain
from .sources import NMNIST_SUBSET, NMNIST_ZIPS

CLASSES = tuple("0123456789")
SIDE = 34
SENSOR = (SIDE, SIDE, 2)
DURATION_US = 320_000  # recordings take 300 ms and a little; 86 of the subset's 4.5 million events come later
STEPS = 32
TRAIN_COUNT = 1000
TEST_COUNT = 100
FRACTIONS = {"train": 0.9, "validation": 0.1}
SPLIT_SEED = 2015
_NAME = re.compile(r"(?:NMNIST/)?(Train|Test)/(\d)/(\d{5})\.bin")
_EVENT_BYTES = 5
_ARCHIVE_ERRORS = (
    tarfile.TarError,
    zipfile.BadZipFile,
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    NotImplementedError,
)


def load_nmnist(split: str, roots: list[Path], *, steps: int = STEPS, download: bool = True) -> SpikeFrames:
    """Load one split of the first 1,000 training and 100 test recordings of N-MNIST.

    Parameters
    ----------
    split : str
        ``train`` and ``validation`` (nine tenths and one tenth of each digit's training recordings, drawn with the
        seed 2015) or ``test``.
    roots : list of Path
        Folders to look in.
    steps : int
        Time steps for 0 to 320 ms; what comes later is left out. At 32 a step is 10.001 ms long. Several events of a
        pixel and polarity in a step are one spike; at 32 steps that concerns 34 % of the events.
    download : bool
        Whether the official archives may be fetched.

    Returns
    -------
    SpikeFrames
        Frames (N, steps, 2, 34, 34): polarity (OFF, ON), row, column.

    Raises
    ------
    DataError
        A file is missing or damaged.

    Notes
    -----
    Recordings bear the numbers of the MNIST images they show, so that the first 1,000 are the same whether they come
    from the official zip files or from the subset archive ``nmnist/nmnist_first1000train_100test.tar.xz``.
    """
    part = "Test" if split == "test" else "Train"
    limit = TEST_COUNT if split == "test" else TRAIN_COUNT
    official = NMNIST_ZIPS[part]
    subset = find(NMNIST_SUBSET, roots)
    if subset is not None and locate(official, roots) is None:
        path = subset
    else:
        path = obtain(official, roots, download=download)
    recordings = dict(_recordings(path, part, limit))
    if not recordings:
        raise _bad(path, f"holds no recordings {part}/<digit>/<number>.bin")
    numbers = sorted(recordings)
    labels = np.array([recordings[number][0] for number in numbers], dtype=np.int64)
    members = np.arange(len(numbers))
    if split != "test":
        members = stratified_split(labels, FRACTIONS, SPLIT_SEED)[split]
    bin_us = bin_width(DURATION_US, steps)
    frames = np.empty((len(members), steps, 2, SIDE, SIDE), np.uint8)
    for row, index in enumerate(members):
        _, name, content = recordings[numbers[index]]
        frames[row] = bin_events(_parse(content, path, name), SENSOR, steps, bin_us)
    note = f"N-MNIST: only the first {TRAIN_COUNT:,} of 60,000 training and {TEST_COUNT} of 10,000 test recordings"
    return SpikeFrames(frames, labels[members], CLASSES, bin_us, "nmnist", split, note)


def _recordings(path: Path, part: str, limit: int) -> Iterator[tuple[int, tuple[int, str, bytes]]]:
    """Number, label, member name and content of each recording up to a number."""

    def wanted(name: str) -> tuple[int, int] | None:
        match = _NAME.fullmatch(name)
        if match is None or match[1] != part or int(match[3]) > limit:
            return None
        return int(match[3]), int(match[2])

    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    key = wanted(name)
                    if key is not None:
                        yield key[0], (key[1], name, archive.read(name))
            return
        with tarfile.open(path) as tape:
            for member in tape:
                key = wanted(member.name)
                stream = tape.extractfile(member) if key is not None and member.isfile() else None
                if key is not None and stream is not None:
                    yield key[0], (key[1], member.name, stream.read())
    except _ARCHIVE_ERRORS as error:
        raise _bad(path, f"cannot be read ({error})") from error


def _parse(content: bytes, path: Path, name: str) -> NDArray[np.void]:
    """Events of one recording, from 5 bytes each: column, row, polarity and 23 bits of microseconds."""
    if len(content) % _EVENT_BYTES:
        raise _bad(path, f"holds {name} of {len(content)} bytes, which is no multiple of {_EVENT_BYTES}")
    tonic = tonic_package()
    dtype = np.dtype([("x", np.int64), ("y", np.int64), ("t", np.int64), ("p", np.int64)])
    events: NDArray[np.void] = tonic.io.read_mnist_file(io.BytesIO(content), dtype=dtype, is_stream=True)
    if not len(events):
        raise _bad(path, f"holds {name} without events")
    if events["x"].max() >= SIDE or events["y"].max() >= SIDE:
        raise _bad(path, f"holds {name} with events outside {SIDE} x {SIDE} pixels")
    if np.any(np.diff(events["t"]) < 0):
        raise _bad(path, f"holds {name} with events that go back in time")
    return events


def _bad(path: Path, what: str) -> BadFileError:
    return BadFileError(f"N-MNIST: {path} {what}: delete it and fetch it again")
