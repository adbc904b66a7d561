"""What a session asks of a backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..program import Inputs
from ..recording import Recording


@dataclass(frozen=True)
class Options:
    """What a session is opened with.

    Attributes
    ----------
    record : tuple of str
        Populations that may be read, in the program's order.
    states : tuple of str
        Those of them whose currents and membranes may be read after each step.
    threads : int, optional
        Of the emulator.
    time_limit : float, optional
        Seconds that a backend with processes of its own may take for one call.
    """

    record: tuple[str, ...]
    states: tuple[str, ...] = ()
    threads: int | None = None
    time_limit: float | None = None


class Backend(Protocol):
    """Runs a program, evaluation after evaluation."""

    def advance(self, inputs: Inputs, first: int, idle: int, steps: int) -> None:
        """Take steps of an evaluation.

        Parameters
        ----------
        inputs : Inputs
            Spikes of each sample as far as they are written, always-on lines left out, and biases as far as they are
            latched; the same arrays in every call of an evaluation.
        first : int
            Steps of the evaluation already taken; at 0 a new one begins.
        idle : int
            Steps that the chip takes before the first, with nothing arriving.
        steps : int
            How many more to take.
        """

    def recording(self, inputs: Inputs) -> Recording:
        """Counts, rasters, read-outs and states of the evaluation, as far as the session was opened for them.

        Of an evaluation under way only the steps taken are right.
        """

    def close(self) -> None:
        """Leave nothing behind."""
