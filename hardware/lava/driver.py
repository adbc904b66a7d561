"""Running a program on Lava, Intel's simulator, as an outside oracle of the integer semantics.

Lava lives in a child process with a time limit: it may wait for ever when one of its processes has failed.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...export.formats import Ints
from ..program import Inputs, Program, check_inputs, validate, with_constants
from ..program_io import save_program
from ..recording import Recording, merge
from ..reference import windowed
from .compat import available
from .group import Group
from .job import Job, sweep_segments

Rasters: TypeAlias = dict[str, NDArray[np.uint8]]

TIME_LIMIT = 600.0
LOG_LINES = 25
PREFIX = "spikewright-lava-"
#: What the path of a unix socket may hold, and what multiprocessing appends to the directory of its own.
SOCKET_PATH, SOCKET_NAME = 107, 40


class LavaError(Exception):
    """Lava did not deliver; the message says what to do."""


class LavaUnavailable(LavaError):
    """Lava is not installed."""


def run(
    program: Program,
    inputs: Inputs,
    *,
    time_limit: float = TIME_LIMIT,
    detail: Literal["states", "spikes"] = "states",
    keep: Collection[str] | None = None,
) -> Recording:
    """Run a batch of samples on Lava: back to back, or each in a run of its own where the program has loops.

    Parameters
    ----------
    program : Program
        A valid program.
    inputs : Inputs
        Spikes and biases of each sample.
    time_limit : float
        Seconds of one run, start-up included, after which Lava is ended.
    detail : str
        Record ``states`` of all populations, or ``spikes`` and the states of read-out populations only.
    keep : collection of str, optional
        Whose rasters and states to hand back; all by default. Counts and read-outs are always complete.

    Returns
    -------
    Recording
        With spikes outside the sample windows, as :func:`spikewright.hardware.reference.run`.

    Raises
    ------
    LavaUnavailable
        Lava cannot be imported.
    LavaError
        Lava failed or exceeded the time limit. No process of it is left either way.
    """
    validate(program)
    check_inputs(program, inputs)
    possible, reason = available()
    if not possible:
        raise LavaUnavailable(reason)
    inputs = with_constants(program, inputs)
    subtract = next((p.name for p in program.populations if p.reset != "zero"), None)
    if subtract is not None:
        raise LavaError(
            f"{subtract}: resets by subtraction, which no neuron of Lava does; use the reference or emulator"
        )
    began = time.perf_counter()
    if not program.isolated:
        return _stream(program, inputs, began, time_limit, detail, keep)
    samples = [inputs.select(slice(k, k + 1)) for k in range(inputs.samples)]
    parts = [_stream(program, sample, began, time_limit, detail, keep) for sample in samples]
    return merge(parts, time.perf_counter() - began)


def _stream(
    program: Program,
    inputs: Inputs,
    began: float,
    time_limit: float,
    detail: Literal["states", "spikes"],
    keep: Collection[str] | None,
) -> Recording:
    """One run of Lava: samples back to back."""
    recorded = tuple(
        index
        for index, p in enumerate(program.populations)
        if p.readout or (detail == "states" and (keep is None or p.name in keep))
    )
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=_short_directory()) as directory:
        job = Job(directory, os.getpid(), program.steps(inputs.samples), recorded)
        rasters = _write(program, inputs, job)
        _execute(job, time_limit)
        spikes, currents, membranes = _read(program, job)
    seconds = time.perf_counter() - began
    recording = windowed(program, inputs.samples, rasters | spikes, currents, membranes, "lava", seconds)
    if keep is None:
        return recording
    return replace(
        recording,
        spikes={name: raster for name, raster in recording.spikes.items() if name in keep},
        currents={name: states for name, states in recording.currents.items() if name in keep},
        membranes={name: states for name, states in recording.membranes.items() if name in keep},
    )


def _write(program: Program, inputs: Inputs, job: Job) -> Rasters:
    """Fill the job's directory; returns the sources' rasters in global time."""
    rasters = {}
    for index, source in enumerate(program.sources):
        raster = np.zeros((job.steps, source.size), np.uint8)
        windows = raster[: inputs.samples * program.period].reshape(inputs.samples, program.period, -1)
        windows[:, : program.timesteps] = inputs.spikes[source.name]
        np.save(job.raster(index), raster)
        rasters[source.name] = raster
    for index, p in enumerate(program.populations):
        if p.host_bias:
            for path, values in zip(job.biases(index), inputs.biases[p.name], strict=True):
                np.save(path, values.astype(np.int32))
    save_program(program, job.program)
    job.save()
    return rasters


def _execute(job: Job, time_limit: float) -> None:
    """Run the child to its end, and see that nothing of it is left."""
    environment = {
        **os.environ,
        "TMPDIR": job.directory,
        # Dozens of processes that each hold a pool of threads only get in each other's way.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    group = Group(_command(job), job.log, Path(job.directory), environment)
    try:
        with group:
            status = group.wait(time_limit)
    finally:
        sweep_segments(group.pid)
    if status is None:
        raise LavaError(
            f"Lava did not finish {job.steps} steps within {time_limit:g} s and was ended; "
            "raise time_limit or run fewer samples"
        )
    if status != 0:
        ending = f"signal {-status}" if status < 0 else f"exit status {status}"
        raise LavaError(f"Lava failed ({ending}); the last lines of its log:\n{_tail(job.log)}")


def _command(job: Job) -> list[str]:
    return [sys.executable, "-m", f"{__package__}.child", job.directory]


def _read(program: Program, job: Job) -> tuple[Rasters, dict[str, Ints], dict[str, Ints]]:
    """Spikes, u and v of the populations in global time."""
    spikes, currents, membranes = {}, {}, {}
    for index, p in enumerate(program.populations):
        spikes_path, u_path, v_path = job.records(index)
        spikes[p.name] = np.load(spikes_path)
        if index in job.states:
            currents[p.name] = np.load(u_path).astype(np.int64)
            membranes[p.name] = np.load(v_path).astype(np.int64)
    return spikes, currents, membranes


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").strip().splitlines()[-LOG_LINES:])


def _short_directory() -> str | None:
    """Where job directories go: multiprocessing opens sockets in them, whose paths must be short."""
    length = len(tempfile.gettempdir()) + len(f"/{PREFIX}12345678") + SOCKET_NAME
    return None if length <= SOCKET_PATH else "/tmp"
