"""A command in a process group of its own, of which nothing is left afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

POLL = 0.02
#: Seconds between asking a group to end and killing it; multiprocessing cleans up shared memory meanwhile.
GRACE = 3.0


class Group:
    """A child process and all its descendants; leaving the context ends them, whatever happened.

    Parameters
    ----------
    command : sequence of str
        What to run.
    log : Path
        Receives standard output and error.
    directory : Path
        Working directory.
    environment : mapping
        The child's whole environment.
    stdin : int
        Standard input: closed by default, or a file descriptor.
    inherited : sequence of int
        File descriptors that the child keeps beside the standard ones.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        directory: Path,
        environment: Mapping[str, str],
        stdin: int = subprocess.DEVNULL,
        inherited: Sequence[int] = (),
    ) -> None:
        with open(log, "wb") as stream:
            self._process = subprocess.Popen(
                command,
                stdin=stdin,
                stdout=stream,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=dict(environment),
                pass_fds=inherited,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id of the child, which is also the group's."""
        return self._process.pid

    def wait(self, seconds: float) -> int | None:
        """Exit status of the child (negative: the signal that ended it), or None once the time is over.

        The child is left unreaped, so that its id stays taken until the group has been ended.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            status = self.status()
            if status is not None:
                return status
            time.sleep(POLL)
        return None

    def status(self) -> int | None:
        """Exit status of the child as :meth:`wait` gives it, or None while it runs."""
        ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            return None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    def __enter__(self) -> Group:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._signal(signal.SIGTERM)
            self._settle()
        finally:  # a second interrupt must not spare the group
            self._signal(signal.SIGKILL)
            self._settle()  # a killed process takes a moment to die
            self._process.wait()

    def _settle(self) -> None:
        """Wait a while for every process of the group to be gone."""
        deadline = time.monotonic() + GRACE
        while members(self.pid) and time.monotonic() < deadline:
            time.sleep(POLL)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):  # nothing but zombies left
            os.killpg(self.pid, number)


def members(group: int) -> list[int]:
    """Processes of a group that still run (zombies excluded); empty where there is no ``/proc``."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            # The command name may hold spaces and brackets; state, parent and group follow its last bracket.
            state, _, process_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(process_group) == group and state not in "ZX":
                found.append(int(stat.parent.name))
    return found
