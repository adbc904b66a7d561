"""Starting the child process that runs Lava, and saying what became of it."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from ...export import formats
from ...export.linear import channel_sum
from ..program import Program
from .compat import available
from .job import Job

LOG_LINES = 25
REFUSED = "refused: "  # begins the last line of a child that knows what is wrong
PREFIX = "spikewright-lava-"
#: What the path of a unix socket may hold, and what multiprocessing appends to the directory of its own.
SOCKET_PATH, SOCKET_NAME = 107, 40


class LavaError(Exception):
    """Lava did not deliver; the message says what to do."""


class LavaUnavailable(LavaError):
    """Lava is not installed."""


def require(program: Program) -> None:
    """Refuse what Lava cannot run.

    Raises
    ------
    LavaUnavailable
        Lava cannot be imported.
    LavaError
        A population resets by subtraction, or sums of graded spikes may leave the 32 bits that Lava computes in.
    """
    possible, reason = available()
    if not possible:
        raise LavaUnavailable(reason)
    subtract = next((p.name for p in program.populations if p.reset != "zero"), None)
    if subtract is not None:
        raise LavaError(
            f"{subtract}: resets by subtraction, which no neuron of Lava does; use the reference or emulator"
        )
    graded = {p.name for p in program.populations if p.graded}
    for g in program.synapses:
        if g.source not in graded:
            continue
        weights = int(channel_sum(g.map, np.abs(g.map.weight.astype(np.int64))).max(initial=0))
        farthest = formats.MIXED_SIGN_FACTOR * weights * program.peaks[g.source] << max(0, g.exponent)
        if farthest > np.iinfo(np.int32).max:
            raise LavaError(
                f"synapse group {g.name}: graded spikes of {g.source} may add up to {farthest:,}, and Lava counts in 32 bits; "
                "use a narrower payload, the reference or the emulator"
            )


def command(job: Job) -> list[str]:
    """What runs a job."""
    return [sys.executable, "-m", f"{__package__}.child", job.directory]


def environment(job: Job) -> dict[str, str]:
    """The child's environment; its processes are known by the directory in it."""
    return {
        **os.environ,
        "TMPDIR": job.directory,
        # Dozens of processes that each hold a pool of threads only get in each other's way.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def failure(status: int, log: Path) -> LavaError:
    """What to say of a child that ended by itself."""
    lines = log.read_text(errors="replace").strip().splitlines()
    if lines and lines[-1].startswith(REFUSED):
        return LavaError(lines[-1].removeprefix(REFUSED))
    ending = f"signal {-status}" if status < 0 else f"exit status {status}"
    tail = "\n".join(lines[-LOG_LINES:])
    return LavaError(f"Lava failed ({ending}); the last lines of its log:\n{tail}")


def short_directory() -> str | None:
    """Where job directories go: multiprocessing opens sockets in them, whose paths must be short."""
    length = len(tempfile.gettempdir()) + len(f"/{PREFIX}12345678") + SOCKET_NAME
    return None if length <= SOCKET_PATH else "/tmp"
