"""From stored pixels to what a network is fed."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .errors import DataError
from .images import Images

Fit = Literal["pad", "resize", "none"]
_CHUNK = 4096  # images; bounds the float copy that resizing works on


def prepare(images: Images, size: tuple[int, int], fit: Fit) -> NDArray[np.float32]:
    """Scale images to [-1, 1] and bring them to a size.

    Parameters
    ----------
    images : Images
        Pixels of shape (N, C, H, W).
    size : tuple of int
        Height and width asked for, in pixels; they may differ.
    fit : {'pad', 'resize', 'none'}
        ``pad`` centres each image on a canvas of -1; of an odd margin, the larger part is at the bottom
        or on the right. ``resize`` interpolates bilinearly, with antialiasing where it shrinks, and does
        not keep the proportions. ``none`` demands that the size be right already.

    Returns
    -------
    ndarray of float32, shape (N, C, height, width)
        ``2 x / 255 - 1`` for a stored brightness x.

    Raises
    ------
    DataError
        When the size does not suit the fit, or either is not one of those allowed.
    """
    height, width = size
    if height < 1 or width < 1:
        raise DataError(f"{images.name}: size {height} x {width} is empty: give at least 1 x 1")
    native = images.pixels.shape[2:]
    if fit == "none":
        if native != (height, width):
            raise DataError(
                f"{images.name}: images are {native[0]} x {native[1]}, not {height} x {width}: "
                "choose fit 'pad' or 'resize'"
            )
        return _scale(images.pixels.astype(np.float32))
    if fit == "pad":
        return _pad(images, height, width)
    if fit == "resize":
        return _resize(images, height, width)
    raise DataError(f"there is no fit {fit!r}: choose one of pad, resize, none")


def _scale(values: NDArray[np.float32]) -> NDArray[np.float32]:
    values /= np.float32(127.5)
    values -= np.float32(1)
    return values


def _pad(images: Images, height: int, width: int) -> NDArray[np.float32]:
    count, channels, inner_height, inner_width = images.pixels.shape
    if inner_height > height or inner_width > width:
        raise DataError(
            f"{images.name}: images of {inner_height} x {inner_width} do not fit a canvas of "
            f"{height} x {width}: choose fit 'resize'"
        )
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    canvas = np.full((count, channels, height, width), -1, dtype=np.float32)
    scaled = _scale(images.pixels.astype(np.float32))
    canvas[:, :, top : top + inner_height, left : left + inner_width] = scaled
    return canvas


def _resize(images: Images, height: int, width: int) -> NDArray[np.float32]:
    # Imported here because it is slow to import and the rest of the package does without it.
    import torch

    count, channels, old_height, old_width = images.pixels.shape
    result = np.empty((count, channels, height, width), dtype=np.float32)
    for start in range(0, count, _CHUNK):
        # PyTorch's antialiasing leaves a dimension that grows as plain bilinear interpolation has it.
        part = torch.nn.functional.interpolate(
            torch.from_numpy(images.pixels[start : start + _CHUNK].astype(np.float32)),
            size=(height, width),
            mode="bilinear",
            align_corners=False,
            antialias=height < old_height or width < old_width,
        )
        result[start : start + _CHUNK] = part.numpy()
    # Rounding in the weights can overshoot the ends by one unit in the last place.
    return np.clip(_scale(result), -1, 1, out=result)
