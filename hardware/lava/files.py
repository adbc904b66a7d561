"""The files of a job, laid out for a program and mapped into memory; the processes of Lava map the same ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...export.formats import Ints
from ..program import Program
from ..program_io import save_program
from .job import Job

Array = NDArray[Any]


class Files:
    """Arrays by name of population or source; see :class:`~spikewright.hardware.lava.job.Job` for what they hold.

    Parameters
    ----------
    program : Program
        A valid program.
    job : Job
        Its directory exists and is empty.
    initial : dict of str to tuple of ndarray
        Mantissa and exponent with which each written population begins.
    entries : int
        Biases that a population has room for beside the initial one.
    """

    def __init__(
        self, program: Program, job: Job, initial: dict[str, tuple[Ints, Ints]], entries: int
    ) -> None:
        self.rasters: dict[str, Array] = {}
        self.mantissas: dict[str, Array] = {}
        self.exponents: dict[str, Array] = {}
        self.entries: dict[str, Array] = {}
        self.spikes: dict[str, Array] = {}
        self.currents: dict[str, Array] = {}
        self.membranes: dict[str, Array] = {}
        self.due: dict[str, Array] = {}
        for index, source in enumerate(program.sources):
            self.rasters[source.name] = _mapped(job.raster(index), np.uint8, (job.rows, source.size))
        for index, p in enumerate(program.populations):
            if index in job.written:
                mantissas, exponents, when = job.biases(index)
                self.mantissas[p.name] = _mapped(mantissas, np.int32, (1 + entries, p.size))
                self.exponents[p.name] = _mapped(exponents, np.int32, (1 + entries, p.size))
                self.mantissas[p.name][0], self.exponents[p.name][0] = initial[p.name]
                self.entries[p.name] = _mapped(when, np.int32, (job.rows,))
                self.entries[p.name][:] = -1
            spikes, currents, membranes = job.record(index)
            if job.recorded(index):
                self.spikes[p.name] = _mapped(spikes, np.int32 if p.graded else np.uint8, (job.rows, p.size))
            if index in job.states:
                self.currents[p.name] = _mapped(currents, np.int32, (job.rows, p.size))
                self.membranes[p.name] = _mapped(membranes, np.int32, (job.rows, p.size))
                self.due[p.name] = _mapped(job.due(index), np.bool_, (job.rows,))
        save_program(program, job.program)
        job.save()


def _mapped(path: Path, dtype: type, shape: tuple[int, ...]) -> Array:
    """A file of zeros; what nothing is written to takes no room."""
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
