"""What a system hands over whose images were drawn for a user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .made import Made


@dataclass(frozen=True, eq=False)
class Drawn:
    """Images, what each of them costs, and how they were drawn.

    Attributes
    ----------
    made : Made
    joules : dict of str to ndarray
        By energy model, (N, 2): of the spiking system and of the ANN twins; empty where nothing was counted.
    settings : mapping
        The sampler's own, for the summary.
    """

    made: Made
    joules: dict[str, NDArray[np.float64]]
    settings: Mapping[str, float | str]
