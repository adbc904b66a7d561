"""PURE (Stricker, Müller and Gross, 2014, RO-MAN): 10 subjects, 6 ways of moving the head.

Folders ``SS-TT`` (subject, task) hold PNG files ``Image<nanoseconds>.png``, in a folder of the same name or directly, and
``SS-TT.json`` lies beside the pictures' folder or beside the outer one. The JSON file lists the pictures (``/Image``) and
the oximeter's samples (``/FullPackage``), each with a time stamp of one clock.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ...data.errors import BadFileError, MissingFileError
from ..box import Box
from ..recording import Recording
from .entry import LENGTH_TOLERANCE, Entry, Size, framed, natural, read_text

_FOLDER = re.compile(r"(\d\d)-(\d\d)")
_PICTURE = re.compile(r"Image(\d+)\.png")
_LATE_S = 0.5  # by which pictures may outlast the oximeter


def recordings(root: Path) -> list[Entry]:
    """List the folders ``SS-TT`` of a folder."""
    entries = []
    for folder in sorted(root.glob("*/"), key=natural):
        match = _FOLDER.fullmatch(folder.name)
        if match is None:
            continue
        inner = folder / folder.name
        inside, beside = folder / f"{folder.name}.json", root / f"{folder.name}.json"
        label = beside if beside.is_file() and not inside.is_file() else inside
        entries.append(Entry(folder.name, match[1], inner if inner.is_dir() else folder, label))
    return entries


def read(entry: Entry, *, size: Size = None, box: Box | None = None) -> Recording:
    """Read a recording; the oximeter's wave is interpolated linearly at the pictures' time stamps.

    Parameters are those of :func:`.ubfc_rppg.read`.

    Raises
    ------
    DataError
        A file is missing or damaged, more than 2 % of the listed pictures are not there, the oximeter covers another
        time, or no face is found.
    """
    stamps, pulse, listed = _read_json(entry.label)
    pictures = {
        int(match[1]): path
        for path in entry.video.glob("Image*.png")
        if (match := _PICTURE.fullmatch(path.name))
    }
    if not pictures:
        raise MissingFileError(f"{entry.video} holds no Image<nanoseconds>.png: copy the pictures there")
    lost = [stamp for stamp in listed if stamp not in pictures]
    if len(lost) > LENGTH_TOLERANCE * len(listed):
        raise MissingFileError(
            f"{entry.video} lacks {len(lost)} of the {len(listed)} pictures of {entry.label.name}, "
            f"Image{lost[0]}.png first: copy them again"
        )
    order = sorted(pictures)
    # Integers until the difference is taken: nanoseconds since 1970 do not fit a double.
    times = np.array([(stamp - order[0]) / 1e9 for stamp in order])
    measured = np.array([(stamp - order[0]) / 1e9 for stamp in stamps])
    if times[-1] > measured[-1] + _LATE_S or measured[0] > _LATE_S:
        raise BadFileError(
            f"{entry.label}: the oximeter goes from {measured[0]:.2f} to {measured[-1]:.2f} s of the pictures' time, "
            f"which ends at {times[-1]:.2f} s: copy both again"
        )
    frames = framed(_pictures(pictures[stamp] for stamp in order), size, box, entry.name)
    wave = np.interp(times, measured, pulse).astype(np.float32)
    return Recording(entry.name, entry.subject, frames, wave, times)


def _read_json(path: Path) -> tuple[list[int], NDArray[np.float64], list[int]]:
    """Stamps and wave of the oximeter, and stamps of the pictures."""
    text = read_text(path)
    try:
        content: Any = json.loads(text)
        package = sorted(
            (int(row["Timestamp"]), float(row["Value"]["waveform"])) for row in content["/FullPackage"]
        )
        listed = [int(row["Timestamp"]) for row in content["/Image"]]
    except (ValueError, KeyError, TypeError) as error:
        raise BadFileError(
            f"{path} does not list /Image and /FullPackage with Timestamp and Value.waveform "
            f"({type(error).__name__}: {error}): copy it again"
        ) from None
    if not package or not np.all(np.isfinite([wave for _, wave in package])):
        raise BadFileError(f"{path}: /FullPackage is empty or not finite: copy it again")
    return [stamp for stamp, _ in package], np.array([wave for _, wave in package]), listed


def _pictures(paths: Iterable[Path]) -> Iterable[NDArray[np.uint8]]:
    shape = None
    for path in paths:
        try:
            with Image.open(path) as picture:
                frame = np.asarray(picture.convert("RGB"))
        except (OSError, UnidentifiedImageError, SyntaxError) as error:
            raise BadFileError(f"{path} is not a readable picture ({error}): copy it again") from None
        if frame.shape != (shape or frame.shape):
            raise BadFileError(f"{path} is of another size than the pictures before: copy it again")
        shape = frame.shape
        yield frame
