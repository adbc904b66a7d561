"""What a generated image costs: every evaluation alike, on the chip, on the host and by the ANN twin."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.ann import MacCount
from ..generating import pricing
from ..generating.made import Made
from ..generating.pricing import Work, updates
from ..hardware import host
from ..measuring import Models
from .system import System


def host_macs(system: System) -> int:
    """Multiply-accumulates of the host for an evaluation: the first convolution's currents, and the tail's, if it has one.

    Taking the noise off the image, a handful of products a pixel, is not among them.
    """
    return host.operations(system.denoiser.program) + tail_macs(system)


def tail_macs(system: System) -> int:
    """Multiply-accumulates of the published tail in all time steps; 0 where the chip has the tail."""
    if system.tail is None:
        return 0
    config = system.network.config
    height, width = config.image
    taps = (3 * height - 2) * (3 * width - 2)  # of a 3x3 convolution, borders excluded
    return config.timesteps * taps * config.in_channels * (config.channels + config.in_channels)


def image_joules(
    system: System, made: Made, twin: MacCount, models: Models
) -> dict[str, NDArray[np.float64]]:
    """Energy of each image by model, as :func:`spikewright.generating.pricing.image_joules`."""
    runs = made.evaluations.astype(np.float64)
    work = Work(
        updates=runs * updates(system.denoiser.program),
        host_macs=runs * host_macs(system),
        ann_macs=runs * twin.macs,
        ann_activations=runs * twin.activations,
    )
    return pricing.image_joules(made, work, models)
