"""Images of networks with different canvases, brought to one size without touching what is on them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .errors import QualityError
from .quality import Images

BLACK = -1.0
TOLERANCE = 0.25  # an eighth of the range: what a network makes of black, dimmer than any stroke


def to_size(images: Images, size: tuple[int, int], most_cut: float = 0.0) -> Images:
    """Put images in the middle of a black canvas, or cut their black border off.

    Of an odd margin the larger part is at the bottom or on the right, as in the preparation of data sets; padding and
    cutting undo each other.

    Parameters
    ----------
    images : ndarray
        Images (N, C, H, W) in [-1, 1].
    size : tuple of int
        Height and width in pixels; one may grow and the other shrink.
    most_cut : float
        Share of the images that may lose content: a pixel of more than ``TOLERANCE`` above black.

    Raises
    ------
    QualityError
        More of them would.
    """
    top, rows = _span(images.shape[2], size[0])
    left, columns = _span(images.shape[3], size[1])
    kept = images[:, :, rows, columns]
    lost = loses_content(images, size)
    if lost.mean() > most_cut:
        raise QualityError(
            f"cutting images of {images.shape[2]} x {images.shape[3]} to {size[0]} x {size[1]} would lose content of "
            f"{int(lost.sum())} of {len(images)} (pixels more than {TOLERANCE:g} above black); compare at the larger "
            "size, or allow a larger share"
        )
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


def loses_content(images: Images, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Which images (N,) have something brighter than black, or a pixel that is no number, where they would be cut."""
    inside = np.zeros(images.shape[2:], dtype=bool)
    inside[_span(images.shape[2], size[0])[1], _span(images.shape[3], size[1])[1]] = True
    dark = images[:, :, ~inside] <= BLACK + TOLERANCE  # NaN is not
    return np.array([not part.all() for part in dark], bool)
