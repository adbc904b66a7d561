"""The child process that runs Lava: ``python -m spikewright.hardware.lava.child DIRECTORY``.

It exits with 0 once every recording is complete; a network that stays instead takes numbers of steps from standard
input, a line each, and answers each on a pipe, until the input ends. Whatever goes wrong ends it at once with a trace
in its log: Lava alone would wait for ever on a process that has died. It does not stop Lava afterwards, which could
hang as well; the parent ends the group.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from multiprocessing import Process, shared_memory
from typing import Any

from ..program_io import load_program
from .compat import prepare
from .job import READY, Job, segment_prefix
from .launch import REFUSED, LavaError

POLL = 0.2


def main(directory: str) -> None:
    """Run the job in a directory."""
    job = Job.load(directory)
    actors: list[Any] = []
    threading.Thread(target=_watch, args=(job, actors), daemon=True).start()
    _name_segments()
    prepare()
    # Importing this makes fork the start method of multiprocessing.
    from lava.magma.runtime.message_infrastructure import multiprocessing  # type: ignore[import-untyped]

    from .network import Network

    multiprocessing.SystemProcess = _watched(multiprocessing.SystemProcess, actors)
    network = Network(load_program(job.program), job)
    network.start()
    if job.reply is None:
        network.run(job.rows)
        if os.getppid() != job.parent:
            _abandon(job)
        return
    with suppress(BrokenPipeError):
        os.write(job.reply, READY)
        for line in iter(sys.stdin.readline, ""):
            network.run(int(line))
            os.write(job.reply, READY)
    # The parent ends the group before it closes the pipes: where they close first, it has died.
    _abandon(job)


def _abandon(job: Job) -> None:
    """End the group, when there is nobody left to do it."""
    shutil.rmtree(job.directory, ignore_errors=True)
    os.killpg(0, signal.SIGTERM)


def _watch(job: Job, actors: list[Any]) -> None:
    """End the run when the parent dies, or a process of the network does."""
    while True:
        time.sleep(POLL)
        if os.getppid() != job.parent:
            _abandon(job)
        for status in [actor.exitcode for actor in actors]:
            if status is None:
                continue
            if status < 0:
                hint = "; /dev/shm may be too small" if -status == signal.SIGBUS else ""
                print(
                    f"A process of Lava was ended by {signal.Signals(-status).name}{hint}.", file=sys.stderr
                )
            _leave(1)


def _watched(base: Any, actors: list[Any]) -> type:
    """Lava's operating system process, which keeps exceptions to itself, made to report and to be watched."""

    class Watched(base):  # type: ignore[misc]
        def start(self) -> None:
            super().start()
            actors.append(self)

        def run(self) -> None:
            try:
                Process.run(self)
            except Exception:
                traceback.print_exc()
                _leave(1)

    return Watched


def _name_segments() -> None:
    """Name shared memory after this process, so that the parent can sweep up what a kill leaves behind."""
    prefix = f"/{segment_prefix(os.getpid())}"
    vars(shared_memory).update(_SHM_NAME_PREFIX=prefix, _SHM_SAFE_NAME_LENGTH=len(prefix) + 8)


def _leave(status: int) -> None:
    """Exit without joining Lava's processes, which may never end."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except LavaError as error:  # it says what to do; where in the code it was raised does not
        print(f"{REFUSED}{error}", file=sys.stderr)
        _leave(1)
    except BaseException:
        traceback.print_exc()
        _leave(1)
    _leave(0)
