"""The reference interpreter: the definition of what a program does, step by step in global time.

Slow and plain on purpose. One sample after another streams through the populations as on the chip, pipeline fill and
drain included (a program with loops starts anew for each sample); every other backend is held against it.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..export.formats import Ints, bias_value
from ..export.unroll import unroll
from . import arithmetic as hw
from .program import SILENCE, Inputs, Population, Program, check_inputs, validate, with_constants
from .recording import Recording, merge


def run(program: Program, inputs: Inputs) -> Recording:
    """Run a batch of samples back to back, recording every spike and state.

    Parameters
    ----------
    program : Program
        A valid program.
    inputs : Inputs
        Spikes and biases of each sample.

    Returns
    -------
    Recording
        With rasters, states, and the spikes outside the sample windows.
    """
    validate(program)
    check_inputs(program, inputs)
    began = time.perf_counter()
    inputs = with_constants(program, inputs)
    if not program.isolated:
        return _stream(program, inputs, began)
    parts = [_stream(program, inputs.select(slice(k, k + 1)), began) for k in range(inputs.samples)]
    return merge(parts, time.perf_counter() - began)


class Machine:
    """A program between two steps of the chip: states of its neurons, and spikes under way.

    Parameters
    ----------
    program : Program
        A valid program.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.steps = 0
        size = {p.name: p.size for p in program.populations}
        self._matrices = {g.name: unroll(g.map).astype(np.int64) for g in program.synapses}
        # What a synapse group holds back: one step that every synapse takes, and its delay.
        self._lines = {
            g.name: deque([np.zeros(size[g.target], np.int64)] * (1 + g.delay)) for g in program.synapses
        }
        self.currents = {p.name: np.zeros(p.size, np.int64) for p in program.populations}
        self.membranes = {p.name: np.zeros(p.size, np.int64) for p in program.populations}

    def step(self, spikes: dict[str, NDArray[Any]], biases: dict[str, Ints]) -> dict[str, NDArray[Any]]:
        """Take a step.

        Parameters
        ----------
        spikes : dict of str to ndarray
            What each source sends.
        biases : dict of str to ndarray
            Bias of each population in membrane units.

        Returns
        -------
        dict of str to ndarray
            What each population sends.
        """
        program, u, v = self.program, self.currents, self.membranes
        self.steps += 1
        sent: dict[str, NDArray[Any]] = {}
        for p in program.populations:
            arriving = np.zeros(p.size, np.int64)
            for group in program.inputs_of(p.name):
                arriving += self._lines[group.name].popleft()
            if self.steps % program.period == program.reset_offset(p):
                u[p.name], v[p.name] = np.zeros((2, p.size), np.int64)
            bias = biases[p.name]
            if p.graded:
                u[p.name], v[p.name], sent[p.name] = hw.relay_step(
                    arriving, bias, p.payload_bits, p.payload_shift
                )
            else:
                u[p.name], v[p.name], sent[p.name] = hw.lif_step(
                    u[p.name],
                    v[p.name],
                    arriving,
                    current_decay=p.current_decay,
                    membrane_decay=p.membrane_decay,
                    threshold=p.threshold,
                    bias=bias,
                    reset=p.reset,
                )
        for group in program.synapses:
            source = sent.get(group.source)
            row = spikes[group.source] if source is None else source
            weights = self._matrices[group.name] @ row.astype(np.int64)
            self._lines[group.name].append(hw.synaptic_sum(weights, group.exponent))
        return sent


def _stream(program: Program, inputs: Inputs, began: float) -> Recording:
    samples, total = inputs.samples, program.steps(inputs.samples)
    names = [s.name for s in program.sources] + [p.name for p in program.populations]
    size = {s.name: s.size for s in program.sources} | {p.name: p.size for p in program.populations}
    graded = {p.name for p in program.populations if p.graded}
    spikes = {n: np.zeros((total, size[n]), np.int32 if n in graded else np.uint8) for n in names}
    currents = {p.name: np.zeros((total, p.size), np.int64) for p in program.populations}
    membranes = {p.name: np.zeros((total, p.size), np.int64) for p in program.populations}
    machine = Machine(program)
    for t in range(1, total + 1):
        for source in program.sources:
            sample, step = divmod(t - 1, program.period)
            if sample < samples and step < program.timesteps:
                spikes[source.name][t - 1] = inputs.spikes[source.name][sample, step]
        given = {source.name: spikes[source.name][t - 1] for source in program.sources}
        sent = machine.step(given, {p.name: _bias(program, p, inputs, t) for p in program.populations})
        for name, row in sent.items():
            spikes[name][t - 1] = row
            currents[name][t - 1], membranes[name][t - 1] = machine.currents[name], machine.membranes[name]
    return windowed(program, samples, spikes, currents, membranes, "reference", time.perf_counter() - began)


def _bias(program: Program, p: Population, inputs: Inputs, t: int) -> Ints:
    """Bias at global step t: what the host wrote for the sample in the population's window."""
    if not p.host_bias:
        return p.bias
    mantissa, exponent = inputs.biases[p.name]
    sample = (t - 1 - p.start) // program.period
    if program.streamed and not 0 <= sample < len(mantissa):
        return np.full(p.size, SILENCE[0] << SILENCE[1], np.int64)
    if sample < 0:
        return np.zeros(p.size, np.int64)
    sample = min(sample, len(mantissa) - 1)  # the last bias stays written while the pipeline drains
    return bias_value(mantissa[sample], exponent[sample])


def windowed(
    program: Program,
    samples: int,
    spikes: dict[str, NDArray[Any]],
    currents: dict[str, Ints],
    membranes: dict[str, Ints],
    backend: str,
    seconds: float,
) -> Recording:
    """Cut global-time records (steps, neurons) into each population's sample windows.

    Returns
    -------
    Recording
        Rasters and states (samples, timesteps, neurons); spikes outside every window as overhead.
    """
    start = {p.name: p.start for p in program.populations}

    def cut(name: str, record: NDArray[Any]) -> NDArray[Any]:
        begin = start.get(name, 0)
        window = record[begin : begin + samples * program.period]
        return window.reshape(samples, program.period, -1)[:, : program.timesteps]

    rasters = {name: cut(name, record) for name, record in spikes.items()}
    inside = {
        p.name: int(np.count_nonzero(rasters[p.name])) for p in program.populations if p.name in rasters
    }
    windows_v = {name: cut(name, record) for name, record in membranes.items()}
    return Recording(
        backend=backend,
        counts={name: np.count_nonzero(raster, 1) for name, raster in rasters.items()},
        readouts={
            p.name: windows_v[p.name][:, -1] for p in program.populations if p.readout and p.name in windows_v
        },
        spikes=rasters,
        currents={name: cut(name, record) for name, record in currents.items()},
        membranes=windows_v,
        overhead_spikes={name: int(np.count_nonzero(spikes[name])) - count for name, count in inside.items()},
        seconds=seconds,
    )
