"""Event recordings as spike frames: what one split holds, how events are binned, how a set is split.

Binning is tonic's; it is imported on first use, as it is slow to import and an optional extra.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from .errors import DataError


@dataclass(frozen=True, eq=False)
class SpikeFrames:
    """One split of an event data set, binned.

    Attributes
    ----------
    spikes : ndarray of uint8, shape (N, T, ...)
        1 where a bin holds at least one event, else 0: several events of a channel in a bin are one spike.
    labels : ndarray of int64, shape (N,)
        Index into ``classes``.
    classes : tuple of str
        Names of the classes.
    bin_us : int
        Width of a time step in microseconds.
    name, split : str
        Data set and split they come from.
    note : str
        What must be said with every figure obtained from them; empty when nothing must.
    """

    spikes: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    bin_us: int
    name: str
    split: str
    note: str = ""

    def __post_init__(self) -> None:
        if self.spikes.dtype != np.uint8 or self.spikes.ndim < 3 or self.spikes.max(initial=0) > 1:
            raise DataError(
                f"{self.name}: spikes are {self.spikes.dtype} of shape {self.spikes.shape}: "
                "give uint8 0 or 1 of shape (N, T, ...)"
            )
        if self.labels.dtype != np.int64 or self.labels.shape != self.spikes.shape[:1]:
            raise DataError(
                f"{self.name}: labels are {self.labels.dtype} of shape {self.labels.shape}: "
                f"give int64 of shape {self.spikes.shape[:1]}"
            )


def tonic_package() -> ModuleType:
    """Return tonic, with the parts that are used here imported.

    Raises
    ------
    DataError
        It is not installed.
    """
    try:
        import tonic.io
        import tonic.transforms
    except ImportError as error:
        raise DataError(
            f"event data need tonic, which cannot be imported ({error}): pip install 'spikewright[events]'"
        ) from None
    return tonic


def bin_width(duration_us: int, steps: int) -> int:
    """Width in whole microseconds of the ``steps`` bins that hold times 0 to ``duration_us``, both included."""
    if steps < 1:
        raise DataError(f"{steps} time steps: give at least 1")
    return duration_us // steps + 1


def bin_events(
    events: NDArray[np.void], sensor: tuple[int, int, int], steps: int, bin_us: int
) -> NDArray[np.uint8]:
    """Bin one recording into frames of 0 and 1.

    Parameters
    ----------
    events : structured ndarray
        Fields ``t`` (microseconds, not decreasing), ``x``, ``p`` and, for a plane of pixels, ``y``.
    sensor : tuple of int
        Width, height and number of polarities.
    steps, bin_us : int
        Number of bins and their width in microseconds; bin k holds ``k bin_us <= t < (k + 1) bin_us``, and events
        after the last bin are left out.

    Returns
    -------
    ndarray of uint8, shape (steps, polarities, height, width)
        Without the height where events have no ``y``.
    """
    to_frame = tonic_package().transforms.ToFrame(
        sensor_size=sensor, time_window=bin_us, start_time=0, end_time=steps * bin_us, include_incomplete=True
    )
    return np.minimum(to_frame(events), 1).astype(np.uint8)


def stratified_split(
    labels: NDArray[np.int64], fractions: dict[str, float], seed: int
) -> dict[str, NDArray[np.int64]]:
    """Divide samples so that every class is divided alike.

    Parameters
    ----------
    labels : ndarray of int64, shape (N,)
    fractions : dict of str to float
        Part of each class that each named split takes, rounded; the first split takes what is left.
    seed : int
        The order within class c is drawn from the seed (seed, c), so that leaving out a class moves no sample of
        another one.

    Returns
    -------
    dict of str to ndarray of int64
        Sorted, disjoint indices.
    """
    parts: dict[str, list[NDArray[np.int64]]] = {name: [] for name in fractions}
    first, *others = fractions
    for label in np.unique(labels):
        order = np.random.default_rng((seed, int(label))).permutation(np.flatnonzero(labels == label))
        start = 0
        for name in others:
            count = round(fractions[name] * len(order))
            parts[name].append(order[start : start + count])
            start += count
        parts[first].append(order[start:])
    return {name: np.sort(np.concatenate(pieces)) for name, pieces in parts.items()}
