"""Lava in a session: evaluations one after another on the same live processes.

A network that streams is drained to the next multiple of its period, where every population is reset. That does not clear
spikes in flight, and a loop may go on for ever; so the populations of an isolated program are silenced by their biases
from the end of each window to the beginning of the next, and the timeline leaves the synapses time to run empty.
"""

from __future__ import annotations

import time

import numpy as np

from ...export.formats import ALIGNMENT_SHIFT, BIAS_MANTISSA_MAX, STATE_LIMIT, Ints
from ..emulation.feed import reach
from ..errors import SessionError
from ..lava.driver import TIME_LIMIT
from ..lava.launch import LavaError
from ..lava.live import Live
from ..program import Inputs, Population, Program
from ..recording import Recording
from .backend import Options
from .timeline import Timeline

#: Steps in hand at once, fewer where they would take more memory than this.
ROWS, ROW_BYTES = 256, 64 << 20
#: Beyond what a chip's register holds, but Lava's takes it: no membrane fires against -4095 << 18, and a current of
#: less than 2^30 added to it stays within the 32 bits that Lava computes in.
SILENT = (-BIAS_MANTISSA_MAX, 18)
SILENCED = (1 << 30) - 2 * STATE_LIMIT


class OnLava:
    """A backend with a clock.

    Parameters
    ----------
    program : Program
        A valid program that keeps its samples apart.
    options : Options
        Of the session.

    Raises
    ------
    SessionError
        Lava is missing, or cannot run the program.
    """

    name, chip = "lava", False

    def __init__(self, program: Program, options: Options) -> None:
        self.program, self.options, self.timeline = program, options, Timeline(program)
        self.time_limit = TIME_LIMIT if options.time_limit is None else options.time_limit
        self._clock = 0
        self._silences = program.isolated
        initial: dict[str, tuple[Ints, Ints]] = {}
        for p in program.populations:
            if self._silences:
                _refuse_loud(program, p)
                mantissa, exponent = (np.full(p.size, value) for value in SILENT)
                initial[p.name] = mantissa, exponent
            elif p.host_bias:
                initial[p.name] = p.bias_mantissa, p.bias_exponent
        index = {p.name: i for i, p in enumerate(program.populations)}
        records = tuple(index[name] for name in options.record)
        states = tuple(index[p.name] for p in self._recorded() if p.readout or p.name in options.states)
        row = sum(s.size for s in program.sources) + sum(9 * p.size for p in self._recorded())
        self.rows = max(1, min(ROWS, ROW_BYTES // row))
        # The windows that can begin within so many steps, and the silence.
        entries = self.rows // program.period + 3
        try:
            self._live = Live(
                program,
                self.rows,
                records,
                states,
                initial,
                entries,
                self.timeline.lead,
                time.monotonic() + self.time_limit,
                self.chip,
            )
        except LavaError as error:
            raise SessionError(str(error)) from error
        self._record: Recording | None = None

    @property
    def pid(self) -> int:
        """Process id of the child that runs Lava."""
        return self._live.pid

    def advance(self, inputs: Inputs, first: int, idle: int, steps: int) -> None:
        """As many rows at a time as there are."""
        if first == 0:
            self._record = self._blank(inputs.samples)
        at, end, deadline = first - idle, first + steps, time.monotonic() + self.time_limit
        while at < end:
            taken = min(self.rows, end - at)
            rows = (self._clock + np.arange(taken)) % self.rows
            self._fill(inputs, at, rows)
            try:
                self._live.run(taken, deadline)
            except LavaError as error:
                raise SessionError(f"{error}\nThe session has ended; open another") from error
            self._empty(inputs.samples, at, rows)
            self._clock += taken
            at += taken

    def recording(self, inputs: Inputs) -> Recording:
        """What was recorded so far."""
        assert self._record is not None
        for name, raster in self._record.spikes.items():
            self._record.counts[name] = np.count_nonzero(raster, 1)
        return self._record

    def close(self) -> None:
        """End the child."""
        self._record = None
        self._live.close()

    def _recorded(self) -> list[Population]:
        return [p for p in self.program.populations if p.name in self.options.record]

    def _blank(self, samples: int) -> Recording:
        out, shape = Recording(self.name, {}, {}), (samples, self.program.timesteps)
        for p in self._recorded():
            out.spikes[p.name] = np.zeros((*shape, p.size), np.int32 if p.graded else np.uint8)
            if p.name in self.options.states:
                out.currents[p.name] = np.zeros((*shape, p.size), np.int64)
                out.membranes[p.name] = np.zeros((*shape, p.size), np.int64)
            if p.readout:
                out.readouts[p.name] = np.zeros((samples, p.size), np.int64)
        return out

    def _fill(self, inputs: Inputs, at: int, rows: Ints) -> None:
        """Write what the network reads in some steps of an evaluation, negative ones before it."""
        files, program, timeline, samples = self._live.files, self.program, self.timeline, inputs.samples
        for source in program.sources:
            inside, sample, local = timeline.windows(at, len(rows), 0, samples)
            files.rasters[source.name][rows] = 0
            files.rasters[source.name][rows[inside]] = (
                1 if source.constant else inputs.spikes[source.name][sample[inside], local[inside]]
            )
        for p in program.populations:
            if p.name in files.entries:
                self._schedule(p, inputs, at, rows)
            if p.name in files.due:
                inside, _, local = timeline.windows(at, len(rows), p.start, samples)
                every = p.name in self.options.states
                files.due[p.name][rows] = inside & (every | (local == program.timesteps - 1))

    def _schedule(self, p: Population, inputs: Inputs, at: int, rows: Ints) -> None:
        """A window's bias is written at the end of the step before it, silence at the end of its last."""
        files, program, timeline = self._live.files, self.program, self.timeline
        when = np.full(len(rows), -1)
        # Step j ends as step j + 1 of the windows is about to begin.
        inside, sample, local = timeline.windows(at + 1, len(rows), p.start, inputs.samples)
        opening = np.flatnonzero(inside & (local == 0))
        for entry, step in enumerate(opening, 1):
            own = p.bias_mantissa, p.bias_exponent
            mantissa, exponent = (
                (register[sample[step]] for register in inputs.biases[p.name]) if p.host_bias else own
            )
            files.mantissas[p.name][entry], files.exponents[p.name][entry] = mantissa, exponent
            when[step] = entry
        if self._silences:
            over = (sample >= 0) & (sample < inputs.samples) & (local == program.timesteps)
            when[over] = 0
        files.entries[p.name][rows] = when

    def _empty(self, samples: int, at: int, rows: Ints) -> None:
        """Take over what the network recorded in some steps."""
        files, out = self._live.files, self._record
        assert out is not None
        for p in self._recorded():
            inside, sample, local = self.timeline.windows(at, len(rows), p.start, samples)
            where = sample[inside], local[inside]
            out.spikes[p.name][where] = files.spikes[p.name][rows[inside]]
            if p.name in out.currents:
                out.currents[p.name][where] = files.currents[p.name][rows[inside]]
                out.membranes[p.name][where] = files.membranes[p.name][rows[inside]]
            if p.readout:
                last = inside & (local == self.program.timesteps - 1)
                out.readouts[p.name][sample[last]] = files.membranes[p.name][rows[last]]


class OnLoihi2(OnLava):
    """The same network with its neurons and synapses on a chip; the host's processes stay where they are."""

    name, chip = "loihi2", True

    def __init__(self, program: Program, options: Options) -> None:
        if program.isolated:
            raise SessionError(
                f"program {program.name!r}: has loops, and no bias of a chip is large enough to silence it between samples; "
                "use backend 'lava' or 'emulator'"
            )
        super().__init__(program, options)


def _refuse_loud(program: Program, p: Population) -> None:
    """Refuse currents, none of which is legal on a chip, that :data:`SILENT` does not hold down."""
    if p.graded:
        raise SessionError(
            f"population {p.name!r}: is a graded relay, which Lava cannot silence between samples of a network with loops; "
            "use the emulator"
        )
    arriving = sum(
        (reach(g.map) * program.peaks[g.source] * 2) << max(0, g.exponent) for g in program.inputs_of(p.name)
    )
    # A step adds so much at most to a current, and takes a turn of the wrapping register off what lies beyond it.
    grown = STATE_LIMIT + program.period * max(0, (arriving << ALIGNMENT_SHIFT) - 2 * STATE_LIMIT)
    if grown > SILENCED:
        raise SessionError(
            f"population {p.name!r}: currents may reach {grown}, beyond what Lava can silence between samples; "
            "scale its weights until no sum exceeds 2^18, or use the emulator"
        )
