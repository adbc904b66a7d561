"""Structural similarity of images to their originals (SSIM), computed by scikit-image.

Its authors state which options give Wang et al.'s measure; it takes and gives numpy arrays and brings neither
torchvision nor CUDA.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .errors import QualityError
from .quality import Images

SIGMA = 1.5  # pixels
WINDOW = 11  # pixels a side; what scikit-image cuts a Gaussian of SIGMA off at
DATA_RANGE = 1.0


def structural_similarity(images: Images, originals: Images) -> NDArray[np.float64]:
    """SSIM of each image to its original, at most 1.

    ``(2 m1 m2 + c1) (2 v12 + c2) / ((m1^2 + m2^2 + c1) (v1 + v2 + c2))`` with Gaussian-weighted means, variances and
    covariance (not the sample's), ``c1 = (0.01 R)^2``, ``c2 = (0.03 R)^2``, averaged over the windows that lie inside
    the image, then over channels (Wang et al. 2004, doi 10.1109/TIP.2003.819861).

    The measure is made for brightness, which has no sign: images are taken from [-1, 1] to [0, 1] first, R = 1. Around
    zero, means of opposite sign would turn its first factor negative.

    Parameters
    ----------
    images, originals : ndarray
        Images (N, C, H, W) in [-1, 1], of 11 x 11 pixels or more.

    Returns
    -------
    ndarray of float64, shape (N,)
        :func:`mean_and_interval` of them is the figure to report.

    Raises
    ------
    QualityError
        The shapes differ, or the images are smaller than the window.
    """
    # Imported here because it is slow to import and the other measures do without it.
    from skimage.metrics import structural_similarity as of_one

    if images.shape != originals.shape or images.ndim != 4:
        raise QualityError(
            f"images of shape {images.shape} against originals of {originals.shape}: give the same (N, C, H, W)"
        )
    height, width = images.shape[2:]
    if min(height, width) < WINDOW:
        raise QualityError(
            f"images are {height} x {width}: SSIM needs {WINDOW} x {WINDOW}; pad or enlarge them first"
        )
    ours, theirs = ((1 + a.astype(np.float64)) / 2 for a in (images, originals))
    return np.array(
        [
            of_one(
                a,
                b,
                data_range=DATA_RANGE,
                channel_axis=0,
                gaussian_weights=True,
                sigma=SIGMA,
                use_sample_covariance=False,
            )
            for a, b in zip(ours, theirs, strict=True)
        ],
        dtype=np.float64,
    )
