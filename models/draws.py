"""Random numbers by name: each is a function of seed, purpose, image and position alone.

Philox (Salmon et al., SC 2011) turns a counter into random bits, so a number can be had without those before it. What
one backend draws for an image, every other draws as well, in whatever order and batches they go through the images.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri


class Purpose(IntEnum):
    """What a number is for; numbers of two purposes are independent."""

    REVEAL = 1  # when a position is revealed
    TOKEN = 2  # which token it then shows
    STAGE = 3  # the diffusion time that an image is scored at
    MASK = 4  # which positions are hidden there
    START = 5  # the noise that sampling starts from
    NOISE = 6  # the noise that a step of sampling adds
    REFINE = 7  # which positions a refinement hides, and in which order


def uniforms(
    seed: int, purpose: Purpose, images: Iterable[int], count: int, step: int = 0
) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1), one row an image, shape (images, count).

    Parameters
    ----------
    seed : int
        0 to 2^64 - 1.
    images : iterable of int
        Image numbers, from 0.
    count : int
        Numbers an image; the first ones do not depend on how many follow.
    step : int
        Step that they are for, where an image needs new ones at each.
    """
    # The lowest word counts within an image; four numbers come of each count.
    rows = [
        np.random.Generator(
            np.random.Philox(key=np.uint64(seed), counter=np.array([0, image, purpose, step], np.uint64))
        ).random(count)
        for image in images
    ]
    return np.array(rows).reshape(-1, count)


def normals(
    seed: int, purpose: Purpose, images: Iterable[int], count: int, step: int = 0
) -> NDArray[np.float64]:
    """Standard normal numbers, one row an image; each from the uniform number in its place, so parameters as there.

    The uniform numbers are multiples of ``2^-53``; half of that is added, so that 0 has a finite counterpart and the
    distribution is symmetric.
    """
    u, half = uniforms(seed, purpose, images, count, step), 2.0**-54
    # Close to 1 the half would be lost in rounding: the upper side is taken from the lower one.
    return np.where(u < 0.5, ndtri(np.minimum(u, 0.5) + half), -ndtri(np.minimum(1 - u, 1.0) - half))
