"""Lava's time a step, and whether its spikes are the emulator's."""

from __future__ import annotations

import math

import numpy as np

from ...hardware.emulator import Emulator
from ...hardware.lava import run
from ...hardware.program import Inputs
from ...hardware.recording import Recording
from .agreement import bit_for_bit
from .case import Case
from .results import Agreement, Spread

#: What the long run takes more than the short one, so that the slope stands out of the start-up, which takes about a
#: second and varies.
SECONDS = 3.0
#: What the first long run has more, in steps, and the time of a step that is taken for possible.
PROBED_STEPS = 64
LEAST_STEP = 2e-4
MOST_STEPS = 10_000
RUNS = 2


def measure(case: Case, runs: int = RUNS) -> tuple[Spread, Agreement]:
    """Seconds of a step, start-up not counted, with the comparison of the long run's spikes.

    The short run is one sample. The long one has as many as it takes, the case's over and over.

    Raises
    ------
    LavaError
        Lava did not deliver.
    """
    period = case.program.period

    def pair(more: int) -> tuple[float, Recording]:
        quick = run(case.program, repeated(case.inputs, 1), detail="spikes")
        slow = run(case.program, repeated(case.inputs, 1 + more), detail="spikes")
        return slow.seconds - quick.seconds, slow

    more = max(1, math.ceil(PROBED_STEPS / period))
    took, recording = pair(more)
    slopes = [took / (more * period)]
    if took < SECONDS:  # too short to tell: the probe says how long to run
        step = max(slopes.pop(), LEAST_STEP)
        more = max(more, math.ceil(min(SECONDS / step, MOST_STEPS) / period))
    while len(slopes) < runs:
        took, recording = pair(more)
        slopes.append(took / (more * period))
    ours = Emulator(case.program).run(repeated(case.inputs, 1 + more), detail="spikes")
    return Spread.of(slopes), bit_for_bit(case, ours, recording)


def repeated(inputs: Inputs, samples: int) -> Inputs:
    """So many samples, the first ones again where there are not enough."""
    index = np.arange(samples) % inputs.samples
    return Inputs(
        {name: raster[index] for name, raster in inputs.spikes.items()},
        {name: (mantissa[index], exponent[index]) for name, (mantissa, exponent) in inputs.biases.items()},
    )
