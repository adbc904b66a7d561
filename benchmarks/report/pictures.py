"""The arrays behind a report's pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Pictures:
    """Images, rasters and pulse waves of one deployment; what is left out is not drawn.

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
    waves : dict of str to ndarray
        Pulse waves (frames,) of one test video: ``reference``, ``float``, ``int8``, ``ann``, in any unit each.
    wave_fps : float
        Their frames a second.
    heart_rates : dict of str to ndarray
        Heart rates (videos,) in beats a minute: ``reference``, ``int8``, ``POS``.
    """

    originals: Images = field(default_factory=lambda: np.zeros((0, 1, 1, 1), np.float32))
    reconstructions: dict[str, Images] = field(default_factory=dict)
    generated: dict[str, Images] = field(default_factory=dict)
    rasters: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    waves: dict[str, NDArray[np.floating[Any]]] = field(default_factory=dict)
    wave_fps: float = 0.0
    heart_rates: dict[str, NDArray[np.floating[Any]]] = field(default_factory=dict)
