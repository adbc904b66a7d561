"""A network of Lava that stays between runs: one child process, whose processes are compiled and started once.

The parent fills rows of the mapped files, names a number of steps over the child's standard input, waits for the answer,
and empties the rows. Lava's runtime pauses in between, and its processes sleep.
"""

from __future__ import annotations

import os
import select
import tempfile
import time
import weakref
from contextlib import ExitStack, suppress
from pathlib import Path

from ...export.formats import Ints
from ..program import Program, validate
from .files import Files
from .group import POLL, Group
from .job import READY, Job, sweep_segments
from .launch import PREFIX, LavaError, command, environment, failure, require, short_directory
from .silicon import require_chip


class Live:
    """A running network; ends with :meth:`close`, with its parent, or when it fails.

    Parameters
    ----------
    program : Program
        A valid program.
    rows : int
        Rows of the files, which is the most steps that a run may take.
    records, states : tuple of int
        Populations that are recorded, and those whose u and v are as well.
    initial : dict of str to tuple of ndarray
        By population whose bias is written: what it begins with.
    entries : int
        Biases of a population that a run may write.
    lead : int
        Steps before the first sample begins.
    deadline : float
        When the network has to stand, by :func:`time.monotonic`.
    chip : bool
        Neurons and synapses on a Loihi 2 chip.

    Raises
    ------
    LavaError
        Lava cannot be imported, failed, or exceeded the time limit. Nothing of it is left.
    """

    def __init__(
        self,
        program: Program,
        rows: int,
        records: tuple[int, ...],
        states: tuple[int, ...],
        initial: dict[str, tuple[Ints, Ints]],
        entries: int,
        lead: int,
        deadline: float,
        chip: bool = False,
    ) -> None:
        validate(program)
        require(program)
        if chip:
            require_chip(program)
        written = tuple(i for i, p in enumerate(program.populations) if p.name in initial)
        stack = ExitStack()
        # Also at the end of the interpreter; a fork of this process leaves the network alone.
        self._end = weakref.finalize(self, _close, stack, os.getpid())
        try:
            directory = stack.enter_context(
                tempfile.TemporaryDirectory(prefix=PREFIX, dir=short_directory(), ignore_cleanup_errors=True)
            )
            self._answers, reply = os.pipe()
            stack.callback(os.close, self._answers)
            orders, self._orders = os.pipe()
            stack.callback(os.close, self._orders)
            try:
                self.job = Job(directory, os.getpid(), rows, states, written, records, lead, reply, chip)
                self.files = Files(program, self.job, initial, entries)
                settings = environment(self.job)
                self._group = Group(
                    _command(self.job), self.job.log, Path(directory), settings, orders, (reply,)
                )
            finally:
                os.close(orders)
                os.close(reply)
            stack.callback(sweep_segments, self._group.pid)
            stack.enter_context(self._group)
            self._await(deadline, "start")
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._group.pid

    def run(self, steps: int, deadline: float) -> None:
        """Go on for a number of steps, at most as many as there are rows.

        Raises
        ------
        LavaError
            Lava failed or exceeded the time limit. Whatever interrupts a run ends the network.
        """
        try:
            with suppress(BrokenPipeError):  # it has ended; the wait says how
                os.write(self._orders, b"%d\n" % steps)
            self._await(deadline, f"finish {steps} steps")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the child and all that it started."""
        self._end()

    def _await(self, deadline: float, doing: str) -> None:
        answer = b""
        while time.monotonic() < deadline:
            if select.select([self._answers], [], [], POLL)[0]:
                answer += os.read(self._answers, len(READY) - len(answer))
                if answer == READY:
                    return
            status = self._group.status()
            if status is not None:
                raise failure(status, self.job.log)
        raise LavaError(f"Lava did not {doing} within its time limit and was ended; raise time_limit")


def _close(stack: ExitStack, owner: int) -> None:
    if os.getpid() == owner:
        stack.close()


#: Replaced by tests of what goes wrong.
_command = command
