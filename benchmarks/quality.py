"""Quality of images: reconstruction error, and the Frechet distance in the latent of an autoencoder.

The autoencoder is trained on the same data set and shipped with the weights, so the figure needs no foreign network;
it compares versions of one model and is not comparable with figures that used another autoencoder.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Images: TypeAlias = NDArray[np.float32]
Features: TypeAlias = Callable[[Images], NDArray[np.float64]]


def reconstruction_error(images: Images, originals: Images) -> NDArray[np.float64]:
    """Mean squared error of each image over its pixels, in [-1, 1]."""
    if images.shape != originals.shape:
        raise ValueError(f"images of shape {images.shape} against originals of {originals.shape}")
    return ((images.astype(np.float64) - originals) ** 2).reshape(len(images), -1).mean(1)


def mean_and_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and half width of its 95 % interval (Student's t)."""
    if len(values) < 2:
        return float(values.mean()), 0.0
    half = stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(half)


def frechet_distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Frechet distance between Gaussians fitted to two sets of features.

    ``|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))`` (Dowson & Landau 1982; Heusel et al. 2017 for images).

    Parameters
    ----------
    a, b : ndarray
        Features (samples, d).
    """
    if min(len(a), len(b)) < 2:
        raise ValueError("a covariance needs at least two samples on each side")
    c1, c2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # tr (C1 C2)^(1/2) through symmetric roots, which stay real for rank-deficient covariances.
    values, vectors = np.linalg.eigh(c1)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    eigenvalues = np.linalg.eigvalsh(root @ c2 @ root)
    cross = np.sqrt(np.clip(eigenvalues, 0, None)).sum()
    distance = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(c1) + np.trace(c2) - 2 * cross
    return float(max(distance, 0.0))
