"""Pictures of images: reconstructions and generated samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .figure_style import INK, TEXT_SIZE, WIDTH, new_figure, set_title
from .pictures import Images
from .prediction import ORDER
from .tables import version_name
from .terms import VERSIONS

MOST_IMAGES = 16
_LABEL, _GAP, _TITLE, _MARGIN = 1.15, 0.05, 0.42, 0.08  # inches
_LARGEST_CELL, _NARROWEST = 1.35, 5.0
Shared = Literal["latent spikes", "random numbers", "noise"]
_SHARED: dict[Shared, str] = {
    "latent spikes": "from the same latent spikes",
    "random numbers": "drew with the same random numbers",
    "noise": "from the same noise",
}
_BAD_PIXEL = np.array([1.0, 0.0, 1.0], np.float32)


def reconstructions(originals: Images, versions: Mapping[str, Images], weight_bits: int = 8) -> Figure:
    """Draw test images above what each version makes of them.

    Parameters
    ----------
    originals : ndarray
        Images (K, C, H, W) in [-1, 1]; the first sixteen are drawn.
    versions : mapping of str to ndarray
        By version: ``ann``, ``float``, ``int8``; one that is missing has no row.
    """
    rows = [("original", originals), *_rows(versions, weight_bits)]
    return grid("Test images and their reconstructions", rows)


def generated(
    versions: Mapping[str, Images], weight_bits: int = 8, *, shared: Shared = "latent spikes"
) -> Figure:
    """Draw images that each version generated.

    Parameters
    ----------
    shared : str
        What images of float and chip have in common. They come first where programs run many times an image.
    """
    order = tuple(VERSIONS) if shared == "latent spikes" else ORDER
    return grid(f"Generated images (float and chip {_SHARED[shared]})", _rows(versions, weight_bits, order))


def _rows(
    versions: Mapping[str, Images], weight_bits: int, order: Iterable[str] = tuple(VERSIONS)
) -> list[tuple[str, Images]]:
    return [(version_name(key, weight_bits), versions[key]) for key in order if key in versions]


def grid(title: str, rows: list[tuple[str, Images]], label_width: float = _LABEL) -> Figure:
    """Draw rows of images (K, C, H, W), the first sixteen of each, with their labels on the left.

    Cells are laid out by hand: automatic layouts leave ragged gaps between images.
    """
    total = max((len(images) for _, images in rows), default=0)
    if not total:
        raise ValueError("there are no images to draw")
    columns = min(total, MOST_IMAGES)
    channels, height, width = next(images.shape[1:] for _, images in rows if len(images))
    cell_w, cell_h = _cell_size(columns, height / width, label_width)
    figure_w = max(label_width + columns * (cell_w + _GAP) + _MARGIN, _NARROWEST)
    figure_h = _TITLE + len(rows) * (cell_h + _GAP) + _MARGIN
    figure = new_figure(figure_w, figure_h, constrained=False)
    if total > columns:
        title += f"; {columns} of {total} shown"
    if channels not in (1, 3):
        title += f"; mean of {channels} channels"
    set_title(figure, title)
    for row, (label, images) in enumerate(rows):
        bottom = figure_h - _TITLE - (row + 1) * cell_h - row * _GAP
        middle = (bottom + cell_h / 2) / figure_h
        x = (label_width - 0.1) / figure_w
        figure.text(x, middle, label, fontsize=TEXT_SIZE, color=INK, ha="right", va="center")
        for column, image in enumerate(images[:columns]):
            left = label_width + column * (cell_w + _GAP)
            box = (left / figure_w, bottom / figure_h, cell_w / figure_w, cell_h / figure_h)
            axes = figure.add_axes(box)
            axes.imshow(_pixels(image), interpolation="nearest", aspect="auto")
            axes.set_axis_off()
    return figure


def _cell_size(columns: int, aspect: float, label_width: float) -> tuple[float, float]:
    """Width and height of a cell in inches: fill the width, but never blow few images up."""
    width = min((WIDTH - label_width - _MARGIN) / columns - _GAP, _LARGEST_CELL)
    if width * aspect > _LARGEST_CELL:
        width = _LARGEST_CELL / aspect
    return width, width * aspect


def _pixels(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Image (C, H, W) in [-1, 1] as RGB (H, W, 3) in [0, 1]; a pixel that is no number turns magenta."""
    planes = image if len(image) == 3 else np.repeat(image.mean(axis=0, keepdims=True), 3, axis=0)
    pixels = np.moveaxis((np.clip(planes, -1, 1) + 1) / 2, 0, -1).astype(np.float32)
    pixels[np.isnan(pixels).any(axis=-1)] = _BAD_PIXEL
    return pixels
