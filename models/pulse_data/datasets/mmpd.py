"""MMPD (Tang et al., 2023, EMBC): 33 subjects of four skin tones before a phone, under four lights.

Files ``subject<n>/p<n>_<0..19>.mat`` hold the video (T, H, W, 3) from 0 to 1 and ``GT_ppg``, one value a frame, at 30
frames a second, besides words on light, motion and skin colour.
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from ...data.errors import BadFileError, MissingFileError
from ..box import Box
from ..recording import Recording
from .entry import Entry, Size, framed, natural

FPS = 30.0
_FILE = re.compile(r"p(\d+)_\d+\.mat")


def recordings(root: Path) -> list[Entry]:
    """List the files of all subjects."""
    paths = sorted(root.glob("subject*/p*_*.mat"), key=natural)
    return [Entry(path.stem, match[1], path, path) for path in paths if (match := _FILE.fullmatch(path.name))]


def read(entry: Entry, *, size: Size = None, box: Box | None = None) -> Recording:
    """Read a recording; brightness is rounded to 256 levels.

    Parameters are those of :func:`.ubfc_rppg.read`.

    Raises
    ------
    DataError
        The file is missing or damaged, video and label differ in length, or no face is found.
    """
    path = entry.video
    try:
        content = loadmat(path, variable_names=("video", "GT_ppg"))
        video, pulse = content["video"], np.asarray(content["GT_ppg"], np.float32).ravel()
    except FileNotFoundError:
        raise MissingFileError(f"{path}: no such file: copy it there") from None
    # scipy reads damaged files as far as it can: nearly any error may come of it.
    except (
        MatReadError,
        OSError,
        NotImplementedError,
        zlib.error,
        KeyError,
        ValueError,
        TypeError,
        IndexError,
    ) as error:
        raise BadFileError(
            f"{path} does not hold video and GT_ppg in MATLAB's format 5 "
            f"({type(error).__name__}: {error}): copy it again"
        ) from None
    if video.ndim != 4 or video.shape[3] != 3 or 0 in video.shape:
        raise BadFileError(f"{path}: its video is of shape {video.shape}, not (T, H, W, 3): copy it again")
    if video.dtype.kind != "f" or not (video.min() >= 0 and video.max() <= 1):
        raise BadFileError(f"{path}: its video is not of numbers from 0 to 1: copy it again")
    if len(pulse) != len(video):
        raise BadFileError(f"{path} holds {len(pulse)} pulse values for {len(video)} frames: copy it again")
    frames = framed((np.rint(255 * frame).astype(np.uint8) for frame in video), size, box, entry.name)
    return Recording(entry.name, entry.subject, frames, pulse, np.arange(len(frames)) / FPS)
