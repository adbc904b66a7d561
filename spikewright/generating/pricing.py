"""What generated images cost, one by one, beside ANN twins that make as many evaluations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.energy import Activity, price
from ..hardware.program import Program
from ..measuring import Models
from .made import Made


@dataclass(frozen=True, eq=False)
class Work:
    """What images take beside their spikes, each (N,).

    Attributes
    ----------
    updates : ndarray
        Neuron updates.
    host_macs, ann_macs : ndarray
        Multiply-accumulates of the host, and of the ANN twins.
    ann_activations : ndarray
        Values that the twins' counted layers write.
    """

    updates: NDArray[np.float64]
    host_macs: NDArray[np.float64]
    ann_macs: NDArray[np.float64]
    ann_activations: NDArray[np.float64]


def updates(program: Program) -> int:
    """Neuron updates of one run."""
    return program.timesteps * sum(p.size for p in program.populations)


def image_joules(made: Made, work: Work, models: Models) -> dict[str, NDArray[np.float64]]:
    """Energy of each image by model, in joules: (N, 2), of the spiking system with its host and of the ANN twins.

    Spikes travel from population to population here, since nothing is placed.
    """
    activities = []
    for image in range(len(made.images)):
        spikes, steps = float(made.spikes[image].sum()), float(work.updates[image])
        activities.append(
            Activity(
                sops=float(made.sops[image].sum()),
                spikes=spikes,
                neuron_updates=steps,
                host_macs=float(work.host_macs[image]),
                rate=spikes / steps,
                ann_macs=float(work.ann_macs[image]),
                messages=float(made.messages[image].sum()),
                ann_activations=float(work.ann_activations[image]),
                graded_sops=float(made.graded_sops[image].sum()),
            )
        )
    found = {}
    for name, model in models.items():
        prices = [price(model, activity) for activity in activities]
        found[name] = np.array([[p.snn_joule, p.ann_joule] for p in prices]).reshape(-1, 2)
    return found
