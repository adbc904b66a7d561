"""Labelled images in memory."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import DataError


@dataclass(frozen=True, eq=False)
class Images:
    """One split of an image data set.

    Attributes
    ----------
    pixels : ndarray of uint8, shape (N, C, H, W)
        Brightness from 0 to 255.
    labels : ndarray of int64, shape (N,)
        Class of each image, from 0.
    name, split : str
        Data set and split they come from.
    note : str
        What must be said with every figure obtained from them; empty when nothing must.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    name: str
    split: str
    note: str = ""

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 4:
            raise DataError(
                f"{self.name}: pixels are {self.pixels.dtype} of shape {self.pixels.shape}: "
                "give uint8 of shape (N, C, H, W)"
            )
        if self.labels.dtype != np.int64 or self.labels.shape != self.pixels.shape[:1]:
            raise DataError(
                f"{self.name}: labels are {self.labels.dtype} of shape {self.labels.shape}: "
                f"give int64 of shape {self.pixels.shape[:1]}"
            )
