"""A stream through a streamed program: frames go in one by one, what the chip says of each comes out a few frames later.

The chip takes one period for each frame that is pushed and then waits, spikes under way included. Results therefore come
after the same number of frames on every backend, and are the same integers. ::

    with open_stream(program) as stream:
        for frame in camera:
            inputs, _ = encode(program, frame[None])
            for counts in stream.push(inputs).counts["out"]:   # none of the first frames, then one a frame
                ...
        rest = stream.finish()
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ...export.formats import Ints, bias_value
from ..emulator import Emulator
from ..errors import SessionError
from ..program import SILENCE, Inputs, Population, Program, check_inputs, validate
from ..recording import Recording
from ..reference import Machine
from ..streaming import latency


class _Runner(Protocol):
    """Computes the results of a stream in order."""

    def take(self, inputs: Inputs) -> None:
        """Take one frame or several."""

    def give(self, count: int, last: bool) -> NDArray[Any]:
        """Raster (count, timesteps, neurons) of the last population for the next frames.

        With ``last``, nothing follows the frames that were taken.
        """


class Stream:
    """One endless sample; made by :func:`open_stream`.

    Attributes
    ----------
    program : Program
    latency : Latency
        When results come.
    pushed, returned : int
        Frames that went in and came out.
    """

    def __init__(self, program: Program, runner: _Runner) -> None:
        self.program, self.latency = program, latency(program)
        self.pushed = self.returned = 0
        self._runner = runner
        self._over = False

    def push(self, inputs: Inputs) -> Recording:
        """Put one frame or several on the chip.

        Parameters
        ----------
        inputs : Inputs
            Frames are its samples, as :func:`~spikewright.hardware.host.encode` makes them.

        Returns
        -------
        Recording
            Counts and rasters of the last population for every frame that is done by then, in order; maybe of none.
        """
        self._refuse_over()
        check_inputs(self.program, inputs)
        self._runner.take(inputs)
        self.pushed += inputs.samples
        return self._give(max(0, self.pushed - self.latency.frames - self.returned), last=False)

    def finish(self) -> Recording:
        """End the stream; returns what was under way."""
        self._refuse_over()
        self._over = True
        return self._give(self.pushed - self.returned, last=True)

    def close(self) -> None:
        """Drop what is under way."""
        self._over = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _give(self, count: int, last: bool) -> Recording:
        out = self.program.populations[-1]
        empty = np.zeros((0, self.program.timesteps, out.size), np.uint8)
        raster = self._runner.give(count, last) if count else empty
        self.returned += count
        return Recording(
            "stream", {out.name: np.count_nonzero(raster, 1).astype(np.int64)}, {}, {out.name: raster}
        )

    def _refuse_over(self) -> None:
        if self._over:
            raise SessionError("the stream has ended; open another")


def open_stream(program: Program, backend: str = "emulator") -> Stream:
    """Start a stream.

    Parameters
    ----------
    program : Program
        A streamed program whose host writes biases, and whose last population fires.
    backend : str
        ``emulator``, which computes a few frames around each result, or ``reference``, which steps through the chip's time.

    Raises
    ------
    ProgramError
        The program is not valid.
    SessionError
        It is no streamed one, or there is no such backend.
    """
    if backend not in _RUNNERS:
        raise SessionError(f"backend is {backend!r}; a stream runs on {' or '.join(_RUNNERS)}")
    validate(program)
    if not program.streamed:
        raise SessionError(f"program {program.name!r}: takes whole samples; open it with open_session")
    if program.sources or program.populations[-1].readout:
        raise SessionError(
            f"program {program.name!r}: a stream takes biases and gives spikes; it has spike sources or a read-out"
        )
    return Stream(program, _RUNNERS[backend](program))


class _Windows:
    """The emulator: each result from the frames that it depends on."""

    def __init__(self, program: Program) -> None:
        self.emulator, self.latency = Emulator(program), latency(program)
        self.last = program.populations[-1].name
        self.held: Inputs | None = None
        self.first = self.next = 0  # frames: the first one that is held, and the next one to be returned

    def take(self, inputs: Inputs) -> None:
        self.held = inputs if self.held is None else _joined(self.held, inputs)

    def give(self, count: int, last: bool) -> NDArray[Any]:
        assert self.held is not None
        start = self.next - self.first
        end = self.held.samples if last else start + count + self.latency.after
        recording = self.emulator.run(self.held.select(slice(0, end)), "spikes", [self.last])
        self.next += count
        spare = max(0, self.next - self.latency.before - self.first)
        self.held, self.first = self.held.select(slice(spare, None)), self.first + spare
        raster: NDArray[Any] = recording.spikes[self.last][start : start + count]
        return raster


class _Clocked:
    """The reference interpreter: step by step, as the chip does it."""

    def __init__(self, program: Program) -> None:
        self.program, self.machine = program, Machine(program)
        self.last = program.populations[-1]
        self.frames: deque[dict[str, Ints]] = deque()  # biases of frames that a population may still see
        self.first = 0  # the first of them
        self.rows: deque[NDArray[Any]] = deque()  # what the last population sent in its windows

    def take(self, inputs: Inputs) -> None:
        for k in range(inputs.samples):
            self.frames.append({name: bias_value(m[k], e[k]) for name, (m, e) in inputs.biases.items()})
            self._run(self.program.period)

    def give(self, count: int, last: bool) -> NDArray[Any]:
        steps = self.program.timesteps
        while last and len(self.rows) < count * steps:
            self._run(1)
        taken = [self.rows.popleft() for _ in range(count * steps)]
        return np.stack(taken).reshape(count, steps, -1).astype(np.uint8)

    def _run(self, steps: int) -> None:
        for _ in range(steps):
            t = self.machine.steps + 1
            sent = self.machine.step({}, {p.name: self._bias(p, t) for p in self.program.populations})
            local = t - 1 - self.last.start
            if local >= 0 and local % self.program.period < self.program.timesteps:
                self.rows.append(sent[self.last.name])
        oldest = max(0, (self.machine.steps - self.program.depth) // self.program.period)
        while self.first < oldest and self.frames:
            self.frames.popleft()
            self.first += 1

    def _bias(self, p: Population, t: int) -> Ints:
        if not p.host_bias:
            return p.bias
        frame = (t - 1 - p.start) // self.program.period - self.first
        if 0 <= frame < len(self.frames):
            return self.frames[frame][p.name]
        return np.full(p.size, SILENCE[0] << SILENCE[1], np.int64)


def _joined(before: Inputs, after: Inputs) -> Inputs:
    return Inputs(
        biases={
            name: (
                np.concatenate([mantissa, after.biases[name][0]]),
                np.concatenate([exponent, after.biases[name][1]]),
            )
            for name, (mantissa, exponent) in before.biases.items()
        }
    )


_RUNNERS: dict[str, Callable[[Program], _Runner]] = {"emulator": _Windows, "reference": _Clocked}
