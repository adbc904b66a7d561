"""The arrays behind a report's pictures."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Pictures:
    """Images and rasters of one deployment.

    Attributes
    ----------
    originals : ndarray
        Test images (K, C, H, W) in [-1, 1]; none where nothing is reconstructed.
    reconstructions, generated : dict of str to ndarray
        By version (``ann``, ``float``, ``int8``), same layout; generated float and int8 images share their
        latent spikes, the random numbers that their tokens were drawn with, or the noise that they start from.
        No reconstructions where a system makes none.
    rasters : dict of str to ndarray of uint8
        By population, in order of data flow: spikes (timesteps, neurons) of one sample on the chip, of one
        run of each program, or of one evaluation.
    """

    originals: Images
    reconstructions: dict[str, Images]
    generated: dict[str, Images]
    rasters: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
