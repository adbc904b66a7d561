"""When the samples of an evaluation begin, on the chip's clock.

Evaluations follow each other on a chip that never stops counting: its populations reset every ``period`` steps, so each
evaluation begins at a multiple of the period (past the lead), after what the one before left in flight has arrived.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...export.formats import Ints
from ..program import Population, Program


@dataclass(frozen=True, eq=False)
class Timeline:
    """The clock of a program's evaluations; steps count from 0 at the first step of an evaluation.

    Attributes
    ----------
    program : Program
        A valid program.
    """

    program: Program

    @cached_property
    def lead(self) -> int:
        """Steps before the first sample: registers are written at the end of a step, to hold from the next one on."""
        written = any(p.host_bias and p.start == 0 for p in self.program.populations)
        return int(written or self.program.isolated)

    @cached_property
    def rest(self) -> int:
        """Least steps between the last of an evaluation and the first of the next.

        The populations of an isolated program fall silent with their last window; their last spikes still take the
        longest synapse, and must not arrive in the next sample.
        """
        if not self.program.isolated:
            return self.lead
        return 1 + max(group.delay for group in self.program.synapses)

    @cached_property
    def stride(self) -> int:
        """Steps between the starts of two samples of an evaluation: one period, but for isolated programs."""
        program = self.program
        if not program.isolated:
            return program.period
        alone = program.depth + program.timesteps + self.rest
        return -(-alone // program.period) * program.period

    def length(self, samples: int) -> int:
        """Steps of an evaluation, until every population has finished its last window."""
        return (samples - 1) * self.stride + self.program.depth + self.program.timesteps

    def idle(self, now: int) -> int:
        """Steps that the chip takes before an evaluation may begin, ``now`` steps after it was started."""
        earliest = now + (self.rest if now else self.lead)
        return earliest - now + (self.lead - earliest) % self.program.period

    def progress(self, done: int, start: int, samples: int) -> Ints:
        """Steps of each sample's window that are over in a population, ``done`` steps into the evaluation."""
        elapsed = done - start - self.stride * np.arange(samples)
        return np.clip(elapsed, 0, self.program.timesteps)

    def windows(
        self, first: int, steps: int, start: int, samples: int
    ) -> tuple[NDArray[np.bool_], Ints, Ints]:
        """Which of some steps lie in a window of a population, and in which sample's at which local step."""
        sample, local = np.divmod(np.arange(first, first + steps) - start, self.stride)
        return (sample >= 0) & (sample < samples) & (local < self.program.timesteps), sample, local

    def latched(self, first: int, steps: int, p: Population, samples: int) -> Ints:
        """Samples whose bias a population takes over at the end of one of some steps.

        It does so one step before its window; what starts with the evaluation does so before the first step.
        """
        at = self.stride * np.arange(samples) + p.start - 1
        return np.flatnonzero((at < first + steps) & ((at >= first) | ((at < 0) & (first == 0))))
