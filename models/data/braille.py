"""Braille letters read by a robot's fingertip: 12 taxels, ON and OFF events (Mueller-Cleve et al., 2022)."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import BadFileError, DataError, MissingFileError
from .events import SpikeFrames, bin_events, bin_width, stratified_split
from .fetch import DATA_VARIABLE, find

FILE = "braille/braille_letters_events_theta10.npz"
LETTERS = ("Space", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
SUBSET = ("Space", "A", "E", "I", "O", "U", "Y")  # the classes of the published network
TAXELS = 12
DURATION_US = 1_300_000
STEPS = 128
FRACTIONS = {"train": 0.7, "validation": 0.15, "test": 0.15}
SPLIT_SEED = 7050094
_FIELDS = {"sample": "iu", "taxel": "iu", "on": "iu", "t": "f", "letter": "U"}


def load_braille(
    split: str, roots: list[Path], *, steps: int = STEPS, classes: tuple[str, ...] | None = None
) -> SpikeFrames:
    """Load one split of the Braille letters.

    Parameters
    ----------
    split : str
        ``train``, ``validation`` or ``test``: 140, 30 and 30 of each letter's 200 recordings, drawn with the seed
        7050094 and the letter's place in the alphabet, so that choosing ``classes`` moves no recording.
    roots : list of Path
        Folders to look in.
    steps : int
        Time steps for 0 to 1.3 s. At 128 a step is 10.157 ms long and 3.0 % of the events share their bin with
        another one of the same channel, which makes them one spike. A power of two, as the reset interval of
        Loihi 2 is.
    classes : tuple of str, optional
        Letters to keep, labelled in this order; all 27 (``Space``, then A to Z) without it.

    Returns
    -------
    SpikeFrames
        Frames (N, steps, 24): OFF of taxels 0 to 11, then ON.

    Raises
    ------
    DataError
        An unknown letter, or a file that is missing or damaged.

    Notes
    -----
    The publisher distributes pickles in a zip (Zenodo 7050094); no checksum of it is known here, so it is not fetched.
    What is read is ``braille/braille_letters_events_theta10.npz``, which holds the events of its
    ``data_braille_letters_th_10`` as flat arrays: ``sample``, ``taxel``, ``on`` and ``t`` (seconds) of each event,
    and ``letter`` of each sample.
    """
    chosen = tuple(classes) if classes is not None else LETTERS
    unknown = [name for name in chosen if name not in LETTERS]
    if unknown or len(set(chosen)) != len(chosen) or len(chosen) < 2:
        raise DataError(
            f"Braille letters: classes {', '.join(chosen)}: give at least two different ones of {', '.join(LETTERS)}"
        )
    path = find(FILE, roots)
    if path is None:
        looked = ", ".join(str(root / FILE) for root in roots)
        raise MissingFileError(
            f"Braille letters: there is no {looked}, and it cannot be fetched: make it from Zenodo record 7050094 "
            f"as spikewright.models.data.braille describes, and set {DATA_VARIABLE}"
        )
    letters, bounds, events = _read(path)
    alphabet = {name: index for index, name in enumerate(LETTERS)}
    every = np.array([alphabet[name] for name in letters], dtype=np.int64)
    members = stratified_split(every, FRACTIONS, SPLIT_SEED)[split]
    place = {alphabet[name]: index for index, name in enumerate(chosen)}
    members = members[np.isin(every[members], list(place))]
    bin_us = bin_width(DURATION_US, steps)
    frames = [
        bin_events(events[bounds[i] : bounds[i + 1]], (TAXELS, 1, 2), steps, bin_us).reshape(
            steps, 2 * TAXELS
        )
        for i in members
    ]
    labels = np.array([place[label] for label in every[members]], dtype=np.int64)
    return SpikeFrames(np.stack(frames), labels, chosen, bin_us, "braille", split)


def _read(path: Path) -> tuple[list[str], NDArray[np.int64], NDArray[np.void]]:
    """Letter of each sample, first event of each sample (and the end), and all events by sample and time."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            raw = {name: archive[name] for name in _FIELDS if name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise _bad(path, f"cannot be read ({error})") from error
    for name, kinds in _FIELDS.items():
        if name not in raw:
            raise _bad(path, f"holds no array {name}")
        if raw[name].dtype.kind not in kinds or raw[name].ndim != 1:
            raise _bad(path, f"holds {name} as {raw[name].dtype} of shape {raw[name].shape}")
    sample, taxel, on, time, letter = (raw[name] for name in _FIELDS)
    if not len(sample) == len(taxel) == len(on) == len(time):
        raise _bad(
            path, f"holds {len(sample)} samples, {len(taxel)} taxels, {len(on)} signs and {len(time)} times"
        )
    strange = sorted(set(letter.tolist()) - set(LETTERS))
    if strange:
        raise _bad(path, f"holds the letter {strange[0]!r}")
    limits = {"sample": (sample, len(letter) - 1), "taxel": (taxel, TAXELS - 1), "on": (on, 1)}
    for name, (values, last) in limits.items():
        if len(values) and not 0 <= int(values.min()) <= int(values.max()) <= last:
            raise _bad(path, f"holds {name} outside 0..{last}")
    if not np.all((time >= 0) & (time <= DURATION_US / 1e6)):  # false for NaN as well
        raise _bad(path, f"holds times outside 0..{DURATION_US / 1e6} s")
    counts = np.bincount(sample, minlength=len(letter))
    if not counts.all():
        raise _bad(path, f"holds no events of sample {int(np.flatnonzero(counts == 0)[0])}")
    order = np.lexsort((time, sample))
    events = np.empty(len(order), dtype=[("t", np.int64), ("x", np.int64), ("p", np.int64)])
    events["t"] = np.rint(time[order].astype(np.float64) * 1e6)
    events["x"], events["p"] = taxel[order], on[order]
    return letter.tolist(), np.concatenate([[0], np.cumsum(counts)]), events


def _bad(path: Path, what: str) -> BadFileError:
    return BadFileError(f"Braille letters: {path} {what}: make it anew from Zenodo record 7050094")
