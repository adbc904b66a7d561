"""The child process that runs Lava: ``python -m spikewright.hardware.lava.child DIRECTORY``.

It exits with 0 once every recording is complete. Whatever goes wrong ends it at once with a trace in its
log: Lava alone would wait for ever on a process that has died. It does not stop Lava afterwards, which could
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
from collections.abc import Callable
from multiprocessing import shared_memory
from typing import Any

from ..program_io import load_program
from .compat import prepare
from .job import Job, segment_prefix

POLL = 0.2


def main(directory: str) -> None:
    """Run the job in a directory."""
    job = Job.load(directory)
    running = threading.Event()
    threading.Thread(target=_watch, args=(job, running), daemon=True).start()
    _name_segments()
    prepare()
    from lava.magma.runtime import runtime  # type: ignore[import-untyped]

    from .network import Network

    runtime.target_fn = _reporting(runtime.target_fn)
    network = Network(load_program(job.program), job)
    running.set()
    network.run()


def _watch(job: Job, running: threading.Event) -> None:
    """End the run when the parent dies, or a process of the network does."""
    while True:
        time.sleep(POLL)
        if os.getppid() != job.parent:
            shutil.rmtree(job.directory, ignore_errors=True)
            os.killpg(0, signal.SIGTERM)
        if running.is_set():
            _leave_if_one_has_ended()


def _leave_if_one_has_ended() -> None:
    try:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # none has been started yet
        return
    if ended is None:
        return
    if ended.si_code != os.CLD_EXITED:
        hint = "; /dev/shm may be too small" if ended.si_status == signal.SIGBUS else ""
        name = signal.Signals(ended.si_status).name
        print(f"A process of Lava was ended by {name}{hint}.", file=sys.stderr)
    _leave(1)


def _reporting(target: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the body of Lava's processes so that an exception reaches the log; Lava keeps it to itself."""

    def run(*args: Any, **kwargs: Any) -> None:
        try:
            target(*args, **kwargs)
        except Exception:
            traceback.print_exc()
            _leave(1)

    return run


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
    except BaseException:
        traceback.print_exc()
        _leave(1)
    _leave(0)
