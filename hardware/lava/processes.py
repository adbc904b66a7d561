"""Lava processes of our own: raster sources, recorders, and the host that writes biases.

All of them read and write ``.npy`` files: Lava's own ring buffers hand variables over element by element,
which takes minutes for thousands of neurons. Step t goes by row ``(t - 1) % rows``, so that whoever fills and empties
the files between runs needs no more of them than the steps of one run. Import after
:func:`spikewright.hardware.lava.compat.prepare`.
"""

# Lava carries no types.
# mypy: disable-error-code="import-untyped,misc,untyped-decorator,no-untyped-call"

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort, PyRefPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort, RefPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from .. import arithmetic
from ..program import Population


class RasterSource(AbstractProcess):
    """Sends the row of step t of a raster file (rows, lines)."""

    def __init__(self, lines: int, raster: Path) -> None:
        super().__init__(raster=str(raster))
        self.s_out = OutPort(shape=(lines,))


@implements(proc=RasterSource, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class RasterSourceModel(PyLoihiProcessModel):
    """Plays the file."""

    s_out = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.raster = np.load(proc_params["raster"], mmap_mode="r")

    def run_spk(self) -> None:
        """Send one step."""
        self.s_out.send(self.raster[(self.time_step - 1) % len(self.raster)])


class GradedRelay(AbstractProcess):
    """Sends its membrane as the value of a spike at every step; variables are named as those of Lava's LIF.

    Lava's own graded neurons neither take a bias nor round, nor do they saturate.
    """

    def __init__(self, relay: Population, mantissa: Any, exponent: Any) -> None:
        shape = (relay.size,)
        super().__init__(shape=shape, bits=relay.payload_bits, shift=relay.payload_shift)
        self.a_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)
        self.u, self.v = (Var(shape=shape, init=0) for _ in range(2))
        self.bias_mant = Var(shape=shape, init=mantissa)
        self.bias_exp = Var(shape=shape, init=exponent)


@implements(proc=GradedRelay, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class GradedRelayModel(PyLoihiProcessModel):
    """Its arithmetic is that of :func:`spikewright.hardware.arithmetic.relay_step`."""

    a_in = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    s_out = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    u = LavaPyType(np.ndarray, np.int32)
    v = LavaPyType(np.ndarray, np.int32)
    bias_mant = LavaPyType(np.ndarray, np.int32)
    bias_exp = LavaPyType(np.ndarray, np.int32)

    def run_spk(self) -> None:
        """One step: nothing of the one before is kept."""
        bias = np.left_shift(self.bias_mant.astype(np.int64), self.bias_exp)
        self.u[:], self.v[:], sent = arithmetic.relay_step(
            self.a_in.recv().astype(np.int64), bias, self.proc_params["bits"], self.proc_params["shift"]
        )
        self.s_out.send(sent.astype(np.int32))


class SpikeRecorder(AbstractProcess):
    """Writes the spikes of step t to its row of an existing file (rows, neurons).

    Lava compiles only what hangs together, and populations need not; ``before`` and ``after`` join the
    recorders in a chain on which nothing is ever sent.
    """

    def __init__(self, neurons: int, spikes: Path, **files: str) -> None:
        super().__init__(spikes=str(spikes), **files)
        self.s_in = InPort(shape=(neurons,))
        self.before = InPort(shape=(1,))
        self.after = OutPort(shape=(1,))


class StateRecorder(SpikeRecorder):
    """Also writes a population's u and v, after the steps that a file (rows,) says."""

    def __init__(self, neurons: int, spikes: Path, currents: Path, membranes: Path, due: Path) -> None:
        super().__init__(neurons, spikes, currents=str(currents), membranes=str(membranes), due=str(due))
        self.u = RefPort(shape=(neurons,))
        self.v = RefPort(shape=(neurons,))


class _Recorder(PyLoihiProcessModel):
    s_in = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    before = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    after = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.spikes = np.lib.format.open_memmap(proc_params["spikes"], mode="r+")

    @property
    def row(self) -> int:
        return (self.time_step - 1) % len(self.spikes)

    def run_spk(self) -> None:
        self.spikes[self.row] = self.s_in.recv()


@implements(proc=SpikeRecorder, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class SpikeRecorderModel(_Recorder):
    """Writes the spikes."""


@implements(proc=StateRecorder, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class StateRecorderModel(_Recorder):
    """Writes the spikes, and the states once all neurons have been updated."""

    u = LavaPyType(PyRefPort.VEC_DENSE, np.int32)
    v = LavaPyType(PyRefPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.currents = np.lib.format.open_memmap(proc_params["currents"], mode="r+")
        self.membranes = np.lib.format.open_memmap(proc_params["membranes"], mode="r+")
        self.due = np.load(proc_params["due"], mmap_mode="r")

    def post_guard(self) -> bool:
        """States are read in the management phase."""
        return bool(self.due[self.row])

    def run_post_mgmt(self) -> None:
        """Read one step's states."""
        self.currents[self.row] = self.u.read()
        self.membranes[self.row] = self.v.read()


class BiasWriter(AbstractProcess):
    """Writes a population's bias as the host does: entries of two files (entries, neurons).

    A third file (rows,) says which entry is written after a step, to hold from the next one on; -1 leaves the bias.
    """

    def __init__(self, neurons: int, mantissas: Path, exponents: Path, entries: Path) -> None:
        super().__init__(mantissas=str(mantissas), exponents=str(exponents), entries=str(entries))
        self.mantissa = RefPort(shape=(neurons,))
        self.exponent = RefPort(shape=(neurons,))


@implements(proc=BiasWriter, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class BiasWriterModel(PyLoihiProcessModel):
    """Writes mantissa and exponent in the management phase."""

    mantissa = LavaPyType(PyRefPort.VEC_DENSE, np.int32)
    exponent = LavaPyType(PyRefPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.mantissas = np.load(proc_params["mantissas"], mmap_mode="r")
        self.exponents = np.load(proc_params["exponents"], mmap_mode="r")
        self.entries = np.load(proc_params["entries"], mmap_mode="r")

    @property
    def entry(self) -> int:
        """What is written after this step."""
        return int(self.entries[(self.time_step - 1) % len(self.entries)])

    def post_guard(self) -> bool:
        """Where the file says so: at each sample boundary of the population."""
        return self.entry >= 0

    def run_post_mgmt(self) -> None:
        """Write one bias and wait for its arrival, or the next step might still see the old one."""
        for port, values in ((self.mantissa, self.mantissas), (self.exponent, self.exponents)):
            port.write(values[self.entry])
            port.wait()
