"""What a generated image costs beside its spikes: the decoder once, the denoiser as often as it was evaluated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..generating import pricing
from ..generating.pricing import Work, updates
from ..hardware import host
from ..measuring import Models
from .baseline import Twins
from .generation import Generated
from .system import System


def host_macs(system: System) -> int:
    """Multiply-accumulates of the host for an image: the currents of the code vectors. Sampling multiplies nothing else.

    The softmax of the revealed positions and the draws are not among them.
    """
    return host.operations(system.decoder.program)


def image_joules(
    system: System, made: Generated, twins: Twins, models: Models
) -> dict[str, NDArray[np.float64]]:
    """Energy of each image by model, as :func:`spikewright.generating.pricing.image_joules`."""
    runs = made.evaluations.astype(np.float64)
    work = Work(
        updates=runs * updates(system.denoiser.program) + updates(system.decoder.program),
        host_macs=np.full(len(runs), float(host_macs(system))),
        ann_macs=twins.denoiser.macs * runs + twins.decoder.macs,
        ann_activations=twins.denoiser.activations * runs + twins.decoder.activations,
    )
    return pricing.image_joules(made, work, models)
