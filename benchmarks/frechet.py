"""Frechet distances of image sets in several feature spaces at once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from .errors import QualityError
from .quality import Features, Images, frechet_distance


def distances(generated: Images, real: Images, feature_spaces: Mapping[str, Features]) -> dict[str, float]:
    """Frechet distance of generated to real images in each feature space.

    Parameters
    ----------
    generated, real : ndarray
        Images (N, C, H, W) in [-1, 1]; as many of the first as of what they are compared with elsewhere, since the
        distance falls with their number.
    feature_spaces : mapping of str to callable
        By name: features (N, d) of images (N, C, H, W).

    Raises
    ------
    QualityError
        A set has no more images than a space has features, or a feature is not finite.
    """
    return distances_between(features_of(generated, feature_spaces), features_of(real, feature_spaces))


def features_of(images: Images, feature_spaces: Mapping[str, Features]) -> dict[str, NDArray[np.float64]]:
    """Features (N, d) of images by the name of their space, for sets that are compared more than once."""
    return {name: features(images) for name, features in feature_spaces.items()}


def distances_between(
    a: Mapping[str, NDArray[np.float64]], b: Mapping[str, NDArray[np.float64]]
) -> dict[str, float]:
    """Frechet distance of two sets of features in each space of the first; raises as :func:`distances`."""
    found = {}
    for name, left in a.items():
        right = b[name]
        _check(name, left, "first")
        _check(name, right, "second")
        found[name] = frechet_distance(left, right)
    return found


def _check(name: str, features: NDArray[np.float64], which: str) -> None:
    count, size = features.shape
    # With as many images as features or fewer the covariance is singular, and the distance mostly says how few they are.
    if count <= size:
        raise QualityError(
            f"{name}: {count} images in the {which} set for {size} features; give at least {size + 1}, better "
            f"{10 * size} or more"
        )
    bad = int((~np.isfinite(features)).any(1).sum())
    if bad:
        raise QualityError(
            f"{name}: features of {bad} of {count} images in the {which} set are not finite; "
            "look for NaN in the images"
        )
