"""The emulator and the reference in a session: a window is computed from its start whenever it is looked at.

Whoever computes whole windows gives exact first steps as well, since later input changes nothing before it arrives. A
window that is read after each of its T steps costs T windows, one that is read at its end costs one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .. import reference
from ..emulator import Emulator
from ..program import Inputs, Program
from ..recording import Recording
from .backend import Options


@dataclass(frozen=True)
class Recomputed:
    """A backend without a clock.

    Attributes
    ----------
    run : callable
        Computes whole windows.
    """

    run: Callable[[Inputs], Recording]

    def advance(self, inputs: Inputs, first: int, idle: int, steps: int) -> None:
        """Steps cost nothing until somebody looks."""

    def recording(self, inputs: Inputs) -> Recording:
        """All windows, those to come with the input written so far."""
        return self.run(inputs)

    def close(self) -> None:
        """There is nothing to leave."""


def on_emulator(program: Program, options: Options) -> Recomputed:
    """The fast one."""
    emulator = Emulator(program, threads=options.threads)

    def run(inputs: Inputs) -> Recording:
        return emulator.run(inputs, "states" if options.states else "spikes", options.record)

    return Recomputed(run)


def on_reference(program: Program, options: Options) -> Recomputed:
    """The slow one, which is the definition."""
    return Recomputed(lambda inputs: reference.run(program, inputs))
