"""Running a program on Lava, Intel's simulator, as an outside oracle of the integer semantics.

Lava lives in a child process with a time limit: it may wait for ever when one of its processes has failed.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from ...export.formats import Ints
from ..program import SILENCE, Inputs, Program, check_inputs, validate, with_constants
from ..recording import Recording, merge
from ..reference import windowed
from .files import Files
from .group import Group
from .job import Job, sweep_segments
from .launch import (
    PREFIX,
    LavaError,
    LavaUnavailable,
    command,
    environment,
    failure,
    require,
    short_directory,
)

__all__ = ["LavaError", "LavaUnavailable", "run"]

TIME_LIMIT = 600.0


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
    require(program)
    inputs = with_constants(program, inputs)
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
    written = tuple(index for index, p in enumerate(program.populations) if p.host_bias)
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=short_directory()) as directory:
        job = Job(directory, os.getpid(), program.steps(inputs.samples), recorded, written)
        files = _write(program, inputs, job)
        _execute(job, time_limit)
        # Copies, since the files go with their directory.
        spikes = {name: np.array(raster) for name, raster in (files.rasters | files.spikes).items()}
        currents = {name: states.astype(np.int64) for name, states in files.currents.items()}
        membranes = {name: states.astype(np.int64) for name, states in files.membranes.items()}
    seconds = time.perf_counter() - began
    recording = windowed(program, inputs.samples, spikes, currents, membranes, "lava", seconds)
    if keep is None:
        return recording
    return replace(
        recording,
        spikes={name: raster for name, raster in recording.spikes.items() if name in keep},
        currents={name: states for name, states in recording.currents.items() if name in keep},
        membranes={name: states for name, states in recording.membranes.items() if name in keep},
    )


def _write(program: Program, inputs: Inputs, job: Job) -> Files:
    """Fill the job's directory."""
    initial: dict[str, tuple[Ints, Ints]] = {}
    for p in program.populations:
        if p.host_bias:
            mantissa, exponent = inputs.biases[p.name]
            # The first sample of what starts at once begins before anything could be written.
            still = np.full(p.size, SILENCE[0]), np.full(p.size, SILENCE[1])
            before = still if program.streamed else (p.bias_mantissa, p.bias_exponent)
            initial[p.name] = (mantissa[0], exponent[0]) if p.start == 0 else before
    files = Files(program, job, initial, inputs.samples + program.streamed)
    for name, raster in files.rasters.items():
        windows = raster[: inputs.samples * program.period].reshape(inputs.samples, program.period, -1)
        windows[:, : program.timesteps] = inputs.spikes[name]
    for p in program.populations:
        if p.host_bias:
            entries = slice(1, 1 + inputs.samples)
            files.mantissas[p.name][entries], files.exponents[p.name][entries] = inputs.biases[p.name]
            if program.streamed:  # a last entry holds it silent behind the stream
                files.mantissas[p.name][-1], files.exponents[p.name][-1] = SILENCE
            for sample in range(inputs.samples + program.streamed):
                ending = p.start + sample * program.period  # the step before the sample
                if 0 < ending <= job.rows:
                    files.entries[p.name][ending - 1] = 1 + sample
    for due in files.due.values():
        due[:] = True
    return files


def _execute(job: Job, time_limit: float) -> None:
    """Run the child to its end, and see that nothing of it is left."""
    group = Group(_command(job), job.log, Path(job.directory), environment(job))
    try:
        with group:
            status = group.wait(time_limit)
    finally:
        sweep_segments(group.pid)
    if status is None:
        raise LavaError(
            f"Lava did not finish {job.rows} steps within {time_limit:g} s and was ended; "
            "raise time_limit or run fewer samples"
        )
    if status != 0:
        raise failure(status, job.log)


#: Replaced by tests of what goes wrong.
_command = command
