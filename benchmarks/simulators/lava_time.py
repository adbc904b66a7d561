"""Lava's time a step, and whether its spikes are the emulator's."""

from __future__ import annotations

from ...hardware.emulator import Emulator
from ...hardware.lava import run
from .agreement import bit_for_bit
from .case import Case
from .results import Agreement, Spread

#: Steps that the long run has more than the short one of a single sample, at least; in whole samples.
STEPS = 64
RUNS = 2
#: Samples that a case must hold: the shortest networks have eight steps.
SAMPLES = 1 + STEPS // 8


def measure(case: Case, runs: int = RUNS) -> tuple[Spread, Agreement]:
    """Seconds of a step, start-up not counted, with the comparison of the long run's spikes.

    Raises
    ------
    LavaError
        Lava did not deliver.
    """
    more = max(1, -(-STEPS // case.network.steps))
    available = case.inputs.samples
    if available < 1 + more:
        raise ValueError(f"{case.key}: the long run needs {1 + more} samples, there are {available}")
    short, long = (case.inputs.select(slice(0, n)) for n in (1, 1 + more))
    quick, slow = [], []
    for _ in range(runs):
        quick.append(run(case.program, short, detail="spikes").seconds)
        recording = run(case.program, long, detail="spikes")
        slow.append(recording.seconds)
    steps = more * case.program.period
    slopes = [(b - a) / steps for a in quick for b in slow]
    ours = Emulator(case.program).run(long, detail="spikes")
    # The least of each: whatever else ran can only have made a run longer.
    least = (min(slow) - min(quick)) / steps
    return Spread(least, min(slopes), max(slopes)), bit_for_bit(case, ours, recording)
