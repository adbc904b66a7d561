"""What generated images cost, one by one and on average, beside the ANN twins making as many evaluations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.energy import Activity, load_models, price
from ..hardware import host
from ..hardware.program import Program
from .baseline import Twins
from .generation import Generated
from .system import System


def host_macs(system: System) -> int:
    """Multiply-accumulates of the host for an image: the currents of the code vectors. Sampling multiplies nothing else.

    The softmax of the revealed positions and the draws are not among them.
    """
    return host.operations(system.decoder.program)


def updates(program: Program) -> int:
    """Neuron updates of one run."""
    return program.timesteps * sum(p.size for p in program.populations)


def image_activity(system: System, made: Generated, twins: Twins, image: int) -> Activity:
    """What happened for one image; spikes travel from population to population, since nothing is placed."""
    evaluations = int(made.evaluations[image])
    steps = evaluations * updates(system.denoiser.program) + updates(system.decoder.program)
    spikes = int(made.spikes[image].sum())
    return Activity(
        sops=float(made.sops[image].sum()),
        spikes=float(spikes),
        neuron_updates=float(steps),
        host_macs=float(host_macs(system)),
        rate=spikes / steps,
        ann_macs=twins.macs(evaluations),
        messages=float(made.messages[image].sum()),
        ann_activations=twins.activations(evaluations),
    )


def image_joules(system: System, made: Generated, twins: Twins) -> dict[str, NDArray[np.float64]]:
    """Energy of each image by model, in joules: (N, 2), of the spiking system with its host and of the ANN twins."""
    models = load_models()
    activities = [image_activity(system, made, twins, image) for image in range(len(made.images))]
    found = {}
    for name, model in models.items():
        prices = [price(model, activity) for activity in activities]
        found[name] = np.array([[p.snn_joule, p.ann_joule] for p in prices]).reshape(-1, 2)
    return found
