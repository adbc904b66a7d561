"""A program on a data set of any size: samples go in, results and spike totals come out, memory stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from . import host
from .device_emulator import DeviceEmulator
from .emulator import Emulator
from .recording import Recording, merge

#: Samples that the host encodes at a time.
BATCH = 256


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a program made of many samples.

    Attributes
    ----------
    outputs : ndarray of float32
        Results in float units: (samples, *shape of the last population).
    recording : Recording
        Spike totals of every population, and the results' own counts and membranes.
    samples : int
        Samples run.
    clipped : int
        Input currents beyond the largest bias, which were clipped to it.
    """

    outputs: NDArray[np.float32]
    recording: Recording
    samples: int
    clipped: int

    def means(self) -> dict[str, NDArray[np.float64]]:
        """Mean spikes of each neuron in a sample, by population and source: (neurons,)."""
        names = {*self.recording.totals, *self.recording.counts}
        return {name: self.recording.total(name) / self.samples for name in names}


def evaluate(
    emulator: Emulator | DeviceEmulator,
    samples: NDArray[np.float32],
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Evaluation:
    """Encode, run and decode samples, a batch after another.

    Parameters
    ----------
    samples : ndarray
        As for :func:`spikewright.hardware.host.encode`; an array on disk (``numpy.memmap``) will do.
    progress : callable
        Called with samples done and in all.

    Raises
    ------
    ProgramError
        Samples that do not fit the program.
    """
    parts: list[Recording] = []
    outputs: list[NDArray[np.float32]] = []
    clipped, total = 0, len(samples)
    for first in range(0, max(total, 1), BATCH):  # at least once, for the refusal of no samples
        inputs, beyond = host.encode(emulator.program, np.asarray(samples[first : first + BATCH]))
        part = emulator.run(inputs, "totals", progress=partial(_onward, progress, first, total))
        outputs.append(host.decode(emulator.program, part))
        clipped += beyond
        parts.append(part)
    seconds = sum(part.seconds for part in parts)
    return Evaluation(np.concatenate(outputs), merge(parts, seconds), total, clipped)


def _onward(progress: Callable[[int, int], None], first: int, total: int, done: int, of: int) -> None:
    progress(first + done, total)
