"""The session: what the host may do with a program on a backend; see :mod:`spikewright.hardware.session`."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...export.formats import Ints
from ..errors import SessionError
from ..program import Inputs, Population, Program
from ..recording import Recording
from .backend import Backend, Options
from .exchange import Exchange
from .registers import Registers
from .timeline import Timeline


@dataclass(eq=False)
class _Evaluation:
    """One evaluation: what its samples see, how far it has come, and how much of it was read."""

    inputs: Inputs
    samples: int
    length: int
    done: int = 0
    seconds: float = 0.0
    recording: Recording | None = None
    spikes_read: dict[str, int] = field(default_factory=dict)
    states_read: dict[str, int] = field(default_factory=dict)
    readouts_read: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        return self.done == self.length


class Session:
    """One program on one backend; made by :func:`~spikewright.hardware.session.open_session`.

    Attributes
    ----------
    program : Program
    backend : Backend
        Whatever runs the program; host code has no business with it.
    exchange : Exchange
        What has crossed the border so far.
    """

    def __init__(self, program: Program, backend: Backend, options: Options, began: float) -> None:
        self.program, self.backend, self.options = program, backend, options
        self.timeline = Timeline(program)
        self.exchange = Exchange(seconds=time.perf_counter() - began)
        self._registers = Registers(program)
        self._recorded = {p.name: p for p in program.populations if p.name in options.record}
        self._evaluation: _Evaluation | None = None
        self._ended = ""

    def write(self, inputs: Inputs) -> None:
        """Set what the samples of the coming evaluations see; what is not named stays as it was written before.

        Parameters
        ----------
        inputs : Inputs
            By source, spikes (samples, timesteps, lines); by population, mantissa and exponent, (samples, neurons) each.
            Lines and neurons may also come in the shape of their source or population. What is written for one sample
            holds for each. While an evaluation is under way biases only, for windows that have not begun.
        """
        with self._use():
            if not isinstance(inputs, Inputs):
                raise SessionError(
                    f"write takes Inputs, not {type(inputs).__name__}; see hardware.program.Inputs"
                )
            evaluation = self._under_way()
            if evaluation is not None and inputs.spikes:
                raise SessionError(
                    f"spikes of {next(iter(inputs.spikes))!r}: an evaluation is at step {evaluation.done} of "
                    f"{evaluation.length}; write its coming steps with write_step, or step to its end first"
                )
            self._registers.write(inputs, evaluation.samples if evaluation else None)

    def write_step(self, timestep: int, spikes: Mapping[str, Any], sample: int | None = None) -> None:
        """Set one local step of sources, before it is played; what was never written is silent.

        Parameters
        ----------
        timestep : int
            Local step, from 0.
        spikes : mapping
            By source: (lines,), for all samples or the one named, or (samples, lines).
        sample : int, optional
            The one to write; all by default.
        """
        with self._use():
            evaluation, steps = self._under_way(), self.program.timesteps
            if not _whole(timestep) or not 0 <= timestep < steps:
                raise SessionError(f"time step {timestep}: a sample has steps 0..{steps - 1}")
            if sample is not None and not _whole(sample):
                raise SessionError(f"sample is {sample!r}; take a whole number from 0, or none for all")
            samples = evaluation.samples if evaluation else None
            rows = self._registers.rows(spikes, samples if sample is None else 1)
            targets = {}
            for name, row in rows.items():
                held = evaluation.inputs.spikes.get(name) if evaluation else self._registers.spikes.get(name)
                source = self._registers.source(name)
                if held is None:
                    held = np.zeros((max(len(row), (sample or 0) + 1), steps, source.size), np.uint8)
                elif len(held) == 1 < len(row):
                    held = np.repeat(held, len(row), 0)
                if len(row) not in (1, len(held)) or not 0 <= (sample or 0) < len(held):
                    which = f"sample {sample}" if sample is not None else f"{len(row)} samples"
                    raise SessionError(
                        f"spikes of {name!r}: {which} of {len(held)} written; write whole windows first"
                    )
                targets[name] = held
            if evaluation and rows:
                played = self.timeline.progress(evaluation.done, 0, evaluation.samples)
                latest = int(played[0 if sample is None else sample])
                if timestep < latest:
                    raise SessionError(
                        f"spikes of {next(iter(rows))!r}: step {timestep} has been played; write steps from {latest}"
                    )
                evaluation.recording = None
            for name, row in rows.items():
                targets[name][slice(None) if sample is None else slice(sample, sample + 1), timestep] = row
            self._registers.spikes |= targets

    def step(self, steps: int | None = None) -> int:
        """Go on: by default until every population has finished the windows of all samples.

        Where no evaluation is under way one begins, with what is written.

        Parameters
        ----------
        steps : int, optional
            Steps of the chip, no more than :attr:`remaining`.

        Returns
        -------
        int
            Steps left of the evaluation.
        """
        with self._use():
            if steps is not None and (not _whole(steps) or steps < 1):
                raise SessionError(f"steps is {steps!r}; take a whole number from 1, or none for the rest")
            evaluation = self._under_way() or self._begin()
            left = evaluation.length - evaluation.done
            taken = left if steps is None else int(steps)
            if taken > left:
                raise SessionError(
                    f"{taken} steps: the evaluation has {left} left; step() takes them, and the next begins after it"
                )
            if evaluation is not self._evaluation:
                self.exchange.evaluations += 1
                self.exchange.samples += evaluation.samples
                self._evaluation = evaluation
            began = time.perf_counter()
            self._advance(evaluation, taken)
            if evaluation.over:
                evaluation.recording = self._guarded(lambda: self.backend.recording(evaluation.inputs))
            evaluation.seconds += time.perf_counter() - began
            return evaluation.length - evaluation.done

    def read(
        self,
        populations: Collection[str] | None = None,
        detail: Literal["counts", "spikes", "states"] = "counts",
        *,
        only: Mapping[str, NDArray[np.bool_]] | None = None,
        probe: bool = False,
    ) -> Recording:
        """What populations did in the windows of the last evaluation, each in its own local time.

        Of an evaluation under way, the steps so far: later ones are zero (:meth:`progress` says where they begin), and
        read-outs come with the end of all windows.

        Parameters
        ----------
        populations : collection of str, optional
            Some of those that the session records; all of them by default.
        detail : str
            ``counts`` and read-outs, also ``spikes``, or also ``states``.
        only : mapping, optional
            By read-out, which of its membranes are wanted, (samples, neurons); the others do not cross, and read as zero.
        probe : bool
            Look without counting it as exchange: for measurements that the application itself does not need.
        """
        with self._use():
            evaluation = self._evaluation
            if evaluation is None:
                raise SessionError("there is nothing to read: no step has been taken; write, and step first")
            if detail not in ("counts", "spikes", "states"):
                raise SessionError(f"detail is {detail!r}; choose counts, spikes or states")
            wanted = self._named(populations, self.options.record, "record")
            if detail == "states":
                self._named(wanted, self.options.states, "states")
            source = evaluation.recording
            if source is None:
                source = self._guarded(lambda: self.backend.recording(evaluation.inputs))
                evaluation.recording = source
            out = Recording(source.backend, {}, {}, seconds=evaluation.seconds)
            exchange = self.exchange
            if probe:  # counted where nobody looks
                exchange = Exchange()
                evaluation = replace(evaluation, spikes_read={}, states_read={}, readouts_read={})
            for name in wanted:
                self._hand_over(evaluation, source, self._recorded[name], detail, out, exchange)
                if name in out.readouts:
                    chosen = self._chosen(name, out.readouts[name].shape, only or {})
                    known = evaluation.readouts_read.setdefault(name, np.zeros_like(chosen))
                    exchange.state_words_read += int((chosen & ~known).sum())
                    known |= chosen
                    out.readouts[name][~chosen] = 0
            return out

    def _chosen(
        self, name: str, shape: tuple[int, ...], only: Mapping[str, NDArray[np.bool_]]
    ) -> NDArray[np.bool_]:
        """Which membranes of a read-out are wanted."""
        if name not in only:
            return np.ones(shape, np.bool_)
        chosen = np.asarray(only[name])
        if chosen.shape != shape or chosen.dtype != np.bool_:
            raise SessionError(
                f"only {name!r}: {chosen.dtype} of shape {chosen.shape}; give bool of shape {shape}, one for each membrane"
            )
        return chosen

    def run(
        self,
        inputs: Inputs,
        populations: Collection[str] | None = None,
        detail: Literal["counts", "spikes", "states"] = "counts",
    ) -> Recording:
        """Write, step to the end, and read."""
        self.write(inputs)
        self.step()
        return self.read(populations, detail)

    def progress(self, name: str) -> Ints:
        """Local steps that a population or source has finished in each sample: (samples,)."""
        with self._use():
            starts = {s.name: 0 for s in self.program.sources} | {
                p.name: p.start for p in self.program.populations
            }
            if name not in starts:
                raise SessionError(f"no population or source is named {name!r}; there is {', '.join(starts)}")
            if self._evaluation is None:
                raise SessionError("no evaluation has begun; write, and step first")
            return self.timeline.progress(self._evaluation.done, starts[name], self._evaluation.samples)

    @property
    def remaining(self) -> int:
        """Steps left of the evaluation under way; 0 when none is."""
        evaluation = self._under_way()
        return evaluation.length - evaluation.done if evaluation else 0

    def reset(self) -> None:
        """Clear all state and all that was written; :attr:`exchange` counts on.

        An evaluation under way runs out, unread: the chip clears its populations at their periods only.
        """
        with self._use():
            evaluation = self._under_way()
            if evaluation is not None:
                self._advance(evaluation, evaluation.length - evaluation.done)
            self._evaluation = None
            self._registers.clear()

    def close(self) -> None:
        """Give the backend up; a second time does nothing."""
        self._end("the session is closed; open another")

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _under_way(self) -> _Evaluation | None:
        return None if self._evaluation is None or self._evaluation.over else self._evaluation

    def _begin(self) -> _Evaluation:
        registers, samples = self._registers, self._registers.samples()
        spikes = {
            name: raster if len(raster) == samples else np.repeat(raster, samples, 0)
            for name, raster in registers.spikes.items()
        }
        shapes = {name: (samples, mantissa.shape[1]) for name, (mantissa, _) in registers.biases.items()}
        biases = {name: (np.zeros(s, np.int64), np.zeros(s, np.int64)) for name, s in shapes.items()}
        return _Evaluation(Inputs(spikes, biases), samples, self.timeline.length(samples))

    def _advance(self, evaluation: _Evaluation, steps: int) -> None:
        first, exchange, samples = evaluation.done, self.exchange, evaluation.samples
        idle = 0 if first else self.timeline.idle(exchange.chip_steps)
        for name in evaluation.inputs.biases:
            p = self.program.population(name)
            self._latch(evaluation, name, self.timeline.latched(first, steps, p, samples))
        before, after = (self.timeline.progress(done, 0, samples) for done in (first, first + steps))
        for raster in evaluation.inputs.spikes.values():
            for sample in np.flatnonzero(after > before):
                played = raster[sample, before[sample] : after[sample]]
                exchange.spikes_written += int(np.count_nonzero(played))
        evaluation.recording = None
        self._guarded(lambda: self.backend.advance(evaluation.inputs, first, idle, steps))
        exchange.chip_steps += idle + steps
        evaluation.done += steps

    def _latch(self, evaluation: _Evaluation, name: str, samples: Ints) -> None:
        """A population takes over the biases of some samples."""
        registers = self._registers
        written = samples if len(registers.fresh[name]) > 1 else np.minimum(samples, 0)
        for taken, held in zip(evaluation.inputs.biases[name], registers.biases[name], strict=True):
            taken[samples] = held[written]
        fresh = np.unique(written[registers.fresh[name][written]])
        self.exchange.bias_words_written += len(fresh) * self.program.population(name).size
        registers.fresh[name][fresh] = False

    def _hand_over(
        self,
        evaluation: _Evaluation,
        source: Recording,
        p: Population,
        detail: str,
        out: Recording,
        exchange: Exchange,
    ) -> None:
        """What one population did so far, counted where it crosses for the first time."""
        name = p.name
        progress = self.timeline.progress(evaluation.done, p.start, evaluation.samples)
        over = bool((progress == self.program.timesteps).all())
        seen = np.arange(self.program.timesteps)[:, None] < progress[:, None, None]
        raster = source.spikes[name] if over else source.spikes[name] * seen
        counts = source.counts[name] if evaluation.over else np.count_nonzero(raster, 1)
        out.counts[name] = counts.astype(np.int64)
        total = int(counts.sum())
        exchange.spikes_read += total - evaluation.spikes_read.get(name, 0)
        evaluation.spikes_read[name] = total
        if p.readout and over:
            out.readouts[name] = source.readouts[name].copy()
        if detail in ("spikes", "states"):
            out.spikes[name] = raster.astype(source.spikes[name].dtype)
        if detail == "states":
            out.currents[name], out.membranes[name] = (
                states[name] * seen for states in (source.currents, source.membranes)
            )
            words = 2 * p.size * int(progress.sum())
            exchange.state_words_read += words - evaluation.states_read.get(name, 0)
            evaluation.states_read[name] = words

    def _named(
        self, populations: Collection[str] | None, allowed: tuple[str, ...], option: str
    ) -> tuple[str, ...]:
        if isinstance(populations, str):
            raise SessionError(f"populations is {populations!r}, one string; hand a list of names")
        for name in populations or ():
            if name not in allowed:
                there = name in (p.name for p in self.program.populations)
                raise SessionError(
                    f"population {name!r}: is not among those that can be read here ({', '.join(allowed) or 'none'}); open "
                    f"the session with {option}=[{name!r}, ...]"
                    if there
                    else f"no population is named {name!r}; {', '.join(allowed) or 'none'} can be read here"
                )
        return allowed if populations is None else tuple(populations)

    @contextmanager
    def _use(self) -> Iterator[None]:
        """Refuse use after the end, and count the seconds."""
        if self._ended:
            raise SessionError(self._ended)
        began = time.perf_counter()
        try:
            yield
        finally:
            self.exchange.seconds += time.perf_counter() - began

    def _guarded(self, work: Any) -> Any:
        """What interrupts a backend leaves it nobody knows where: the session is over."""
        try:
            return work()
        except BaseException as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            self._end(f"the session ended when its backend failed ({reason}); open another")
            raise

    def _end(self, reason: str) -> None:
        if not self._ended:
            self._ended = reason
            self._evaluation = None
            self.backend.close()


def _whole(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
