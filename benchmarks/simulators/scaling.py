"""How the emulator's time grows with batch, steps and spikes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...hardware import host
from ...hardware.emulator import Emulator
from ...hardware.program import Inputs, Program
from .case import compiled
from .measure import Runner, in_turns
from .networks import NETWORKS, draw_inputs, make

NETWORK = "cnn"
BATCHES = (8, 16, 32, 64)
STEPS = (8, 16, 32, 64)
DENSITIES = (0.02, 0.05, 0.1, 0.2)
#: Density at which batch and steps vary, and whose thresholds serve all densities.
DENSITY = 0.1
#: Samples where steps or spikes vary.
SAMPLES = 16


@dataclass(frozen=True)
class Fit:
    """Time as a function of one quantity.

    Attributes
    ----------
    power : float
        Slope of logarithms: 1 where time is proportional, below where a fixed cost weighs.
    straight : float
        Share of the variance that a straight line explains.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    power: float
    straight: float


def fit(name: str, points: Sequence[tuple[float, float]]) -> Fit:
    """Fit a power and a line."""
    x, y = np.array(points, float).T
    power = float(np.polyfit(np.log(x), np.log(y), 1)[0])
    line = np.polyval(np.polyfit(x, y, 1), x)
    total = float(((y - y.mean()) ** 2).sum())
    straight = 1 - float(((y - line) ** 2).sum()) / total if total else 1.0
    return Fit(name, tuple((float(a), float(b)) for a, b in points), power, straight)


class _Fixed:
    """A program with inputs; the batch is always all of them."""

    def __init__(self, program: Program, inputs: Inputs) -> None:
        self.emulator, self.inputs = Emulator(program), inputs

    def run(self, batch: int, times: int = 1) -> tuple[float, float]:
        """Seconds of a run, as told by the emulator."""
        seconds = sum(self.emulator.run(self.inputs).seconds for _ in range(times)) / times
        return seconds, seconds


def measure(repeats: int) -> list[Fit]:
    """Three sweeps of the convolutional network, the points of each taken in turns."""
    network, given = make(NETWORKS[NETWORK], DENSITY, max(BATCHES))
    program = compiled(network, given)
    inputs, _ = host.encode(program, given.astype(np.float32))
    sweeps: dict[str, dict[float, Runner]] = {
        "batch": {n: _Fixed(program, inputs.select(slice(0, n))) for n in BATCHES},
        "steps": {},
        "spikes": {},
    }
    for steps in STEPS:
        longer = replace(network, steps=steps)
        samples = draw_inputs(longer, DENSITY, SAMPLES)
        program_of_steps = compiled(longer, samples)
        sweeps["steps"][steps] = _Fixed(
            program_of_steps, host.encode(program_of_steps, samples.astype(np.float32))[0]
        )
    for density in DENSITIES:
        samples = draw_inputs(network, density, SAMPLES)
        encoded, _ = host.encode(program, samples.astype(np.float32))
        counts = Emulator(program).run(encoded).counts
        spikes = sum(int(c.sum()) for c in counts.values())
        sweeps["spikes"][spikes] = _Fixed(program, encoded)
    fits = []
    for name, runners in sweeps.items():
        found = in_turns({str(x): r for x, r in runners.items()}, 0, repeats, _never)
        # The least of the rounds: whatever else ran can only have made one longer.
        points = [(x, min(wall for wall, _ in found[str(x)])) for x in runners]
        fits.append(fit(name, points))
    return fits


def _never(name: str, reason: str) -> None:
    raise AssertionError(f"{name}: {reason}")
