"""The FID of the Spiking-Diffusion paper, mistakes included, beside the correct one of the same images.

The figures in the paper (37.50 on MNIST) come from 1,280 generated and the first 1,280 test images, although
Inception has 2,048 features, and from a matrix root that is none. Whoever compares with them has to repeat both;
nobody should report the result for anything else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import QualityError
from .quality import Features, Images, frechet_distance

COUNT = 1280  # 80 batches of 16


@dataclass(frozen=True)
class PaperFid:
    """Both distances of the same features.

    Attributes
    ----------
    as_released : float
        With the release's root: comparable with the paper's figures, and wrong.
    correct : float
        With a true root; still far above what more images would give.
    images : int
        On each side.
    """

    as_released: float
    correct: float
    images: int


def paper_fid(generated: Images, real: Images, features: Features, count: int = COUNT) -> PaperFid:
    """Distances of the first ``count`` generated images to the first ``count`` test images.

    Parameters
    ----------
    generated, real : ndarray
        Images (N, C, H, W) in [-1, 1]; test images in the order of their file.
    features : callable
        Features (N, d) of images.

    Raises
    ------
    QualityError
        Either set is smaller.
    """
    for name, images in (("generated", generated), ("test", real)):
        if len(images) < count:
            raise QualityError(
                f"the paper's FID takes {count:,} {name} images, not {len(images):,}; give that many"
            )
    ours, theirs = features(generated[:count]), features(real[:count])
    return PaperFid(released_distance(ours, theirs), frechet_distance(ours, theirs), count)


def released_distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """What the release takes for a Frechet distance: its matrix root is wrong.

    ``|m1 - m2|^2 + tr(C1 + C2 - 2 U S^(1/2) V')`` with the singular value decomposition ``U S V' = C1 C2``. Such a root
    squares to the product only where that is symmetric, which it is only where C1 and C2 commute; elsewhere U and V
    differ. For the covariances of few samples the trace is then too small and the distance too large. It is symmetric, and
    zero for equal sets, like the correct one.

    Parameters
    ----------
    a, b : ndarray
        Features (samples, d).
    """
    c1, c2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    left, values, right = np.linalg.svd(c1 @ c2)
    cross = np.trace((left * np.sqrt(values)) @ right)
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(c1) + np.trace(c2) - 2 * cross)
