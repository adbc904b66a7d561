"""Images of networks with different canvases, brought to one size without touching what is on them."""

from __future__ import annotations

import numpy as np

from .errors import QualityError
from .quality import Images

BLACK = -1.0
TOLERANCE = 0.25  # an eighth of the range: what a network makes of black, dimmer than any stroke


def to_size(images: Images, size: tuple[int, int], tolerance: float = TOLERANCE) -> Images:
    """Put images in the middle of a black canvas, or cut their black border off.

    Of an odd margin the larger part is at the bottom or on the right, as in the preparation of data sets; padding and
    cutting undo each other.

    Parameters
    ----------
    images : ndarray
        Images (N, C, H, W) in [-1, 1].
    size : tuple of int
        Height and width in pixels; one may grow and the other shrink.
    tolerance : float
        How much brighter than black a pixel may be that is cut off.

    Raises
    ------
    QualityError
        Something brighter would be cut off, or a pixel there is no number.
    """
    top, rows = _span(images.shape[2], size[0])
    left, columns = _span(images.shape[3], size[1])
    kept = images[:, :, rows, columns]
    _refuse_loss(images, rows, columns, size, tolerance)
    if kept.shape[2:] == size:
        return kept
    canvas = np.full((*images.shape[:2], *size), BLACK, dtype=images.dtype)
    canvas[:, :, top : top + kept.shape[2], left : left + kept.shape[3]] = kept
    return canvas


def _span(have: int, want: int) -> tuple[int, slice]:
    """Where an axis begins on the canvas, and what of it is kept."""
    if have <= want:
        return (want - have) // 2, slice(None)
    first = (have - want) // 2
    return 0, slice(first, first + want)


def _refuse_loss(
    images: Images, rows: slice, columns: slice, size: tuple[int, int], tolerance: float
) -> None:
    inside = np.zeros(images.shape[2:], dtype=bool)
    inside[rows, columns] = True
    border = images[:, :, ~inside]
    lost = ~(border <= BLACK + tolerance)  # NaN is lost as well
    if lost.any():
        height, width = images.shape[2:]
        count = int(lost.any(axis=(1, 2)).sum())
        raise QualityError(
            f"cutting images of {height} x {width} to {size[0]} x {size[1]} would lose content of {count} of "
            f"{len(images)} (brightest pixel {border.max():.3g}, black is {BLACK:g} and up to {tolerance:g} above); "
            "compare at the larger size, or allow more"
        )
