"""Load event data sets by name."""

from __future__ import annotations

from pathlib import Path

from . import braille, nmnist
from .errors import DataError, UnknownDatasetError
from .events import SpikeFrames
from .fetch import search_roots

EVENT_SETS = ("braille", "nmnist")
EVENT_SPLITS = ("train", "validation", "test")


def load_events(
    name: str,
    split: str,
    *,
    steps: int | None = None,
    classes: tuple[str, ...] | None = None,
    root: str | Path | None = None,
    download: bool = True,
) -> SpikeFrames:
    """Load one split of an event data set as spike frames.

    Parameters
    ----------
    name : str
        ``braille`` or ``nmnist``; see :func:`~.braille.load_braille` and :func:`~.nmnist.load_nmnist` for the splits
        and formats.
    split : str
        ``train``, ``validation`` or ``test``.
    steps : int, optional
        Time steps of a sample; 128 and 32 without it.
    classes : tuple of str, optional
        Braille letters to keep, labelled in this order; all 27 without it.
    root : str or Path, optional
        Data folder; without it, the one named by ``SPIKEWRIGHT_DATA``. The download cache comes after it.
    download : bool
        Whether a file found nowhere may be fetched.

    Raises
    ------
    DataError
        When the name, split or a class is unknown, tonic is not installed, or a file is missing or damaged.
    """
    if name not in EVENT_SETS:
        raise UnknownDatasetError(
            f"there is no event data set {name!r}: choose one of {', '.join(EVENT_SETS)}"
        )
    if split not in EVENT_SPLITS:
        raise DataError(f"{name} has no split {split!r}: choose one of {', '.join(EVENT_SPLITS)}")
    roots = search_roots(root)
    if name == "braille":
        return braille.load_braille(split, roots, steps=steps or braille.STEPS, classes=classes)
    if classes is not None and tuple(classes) != nmnist.CLASSES:
        raise DataError(f"nmnist: classes {', '.join(classes)}: leave them out, all ten digits are loaded")
    return nmnist.load_nmnist(split, roots, steps=steps or nmnist.STEPS, download=download)
