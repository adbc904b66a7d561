"""The chip in the loop of fine-tuning: what the emulator, bit for bit as the chip, does with samples."""

from __future__ import annotations

import numpy as np

from ..export.fine_tune import FloatArray
from ..export.graph import Graph
from ..export.learned import Observed
from . import host
from .compile import compile_program
from .emulator import Emulator


def emulated(integer: Graph, samples: FloatArray) -> Observed:
    """Compile an integer graph and run samples on the emulator; for :func:`spikewright.export.fine_tune.fine_tune`.

    Parameters
    ----------
    samples : ndarray
        As for :func:`spikewright.hardware.host.encode`.
    """
    program = compile_program(integer)
    seen = Emulator(program).run(host.encode(program, samples)[0], "spikes")
    outputs: dict[str, FloatArray] = {}
    for population in program.populations:
        if population.readout:
            readout = seen.readouts[population.name] / population.scale
            outputs[population.name] = readout.astype(np.float32)
        else:
            outputs[population.name] = seen.spikes[population.name].mean(1, dtype=np.float32)
    return Observed(seen.spikes, outputs)
