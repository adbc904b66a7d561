"""The fast emulator: batched, layer by layer in local time, bit-identical to the reference.

A valid program resets each population exactly when its sample begins, so every population may be run over its own
window from zero state. A tile of samples that fits the processor's caches goes through the whole network before the next
one does. Which kernel makes a group's synaptic sums follows what each was measured to cost at the rate seen, and never
changes a result (:mod:`spikewright.hardware.emulation`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..export.formats import Ints, bias_value
from ..export.order import stages
from .emulation.feed import KERNELS, Choice, Feed, Kernel, unpack
from .emulation.graded import GradedRelay
from .emulation.layout import choose, padded
from .emulation.population import Neurons, Window
from .emulation.scatter import arrange, leave
from .emulation.workers import side_by_side
from .program import Inputs, Population, Program, ProgramError, check_inputs, validate
from .recording import Detail, Recording, merge, shifted

#: Memory that a tile of samples may take, so that what one layer writes the next still finds in the cache.
TILE_BYTES = 10 << 20


def order(program: Program) -> list[list[Population]]:
    """Populations so that each comes after what feeds it; those that a loop joins come together.

    Within a loop, each comes after what feeds it in the same local step.
    """
    populations = {p.name: p for p in program.populations}
    groups = [g for g in program.synapses if g.source in populations]
    sources = {name: {g.source for g in groups if g.target == name} for name in populations}
    prompt = {(g.source, g.target) for g in groups if not g.lag}
    late = {(g.source, g.target) for g in groups} - prompt
    return [[populations[name] for name in stage] for stage in stages(sources, late)]


def refuse_early(program: Program) -> None:
    """Refuse a program whose branches nobody lined up.

    Raises
    ------
    ProgramError
        Spikes of one sample reach another; the message names the synapse group.
    """
    early = None if program.streamed else next((g for g in program.synapses if g.lag < 0), None)
    if early is not None:
        raise ProgramError(
            f"synapse group {early.name}: delivers {-early.lag} steps early, which mixes samples; balance the "
            "delays, or run the reference"
        )


class Emulator:
    """Runs one program on any number of samples.

    Parameters
    ----------
    program : Program
        A valid program.
    kernel : str, optional
        Take this kernel for every group that it can run: one of :data:`~spikewright.hardware.emulation.feed.KERNELS`. By
        default the one that costs least.
    threads : int, optional
        Samples are spread over so many; as many as there are processors by default.

    Raises
    ------
    ProgramError
        The program mixes samples, or sums that no arithmetic here holds; the message names the synapse group.
    """

    def __init__(self, program: Program, *, kernel: Kernel | None = None, threads: int | None = None) -> None:
        validate(program)
        refuse_early(program)
        if kernel is not None and kernel not in KERNELS:
            raise ProgramError(f"kernel is {kernel!r}; choose one of {', '.join(KERNELS)}")
        if threads is not None and threads < 1:
            raise ProgramError(f"threads is {threads}; take at least one")
        self.program = program
        self.order = order(program)
        # Frames of a stream are samples of a batch, and what they hand each other moves along it.
        self._shifts = {g.name: program.shift(g) for g in program.synapses}
        self.threads = threads or _processors()
        self.layouts = choose(program)
        graded = {p.name for p in program.populations if p.graded}
        always_on = {source.name for source in program.sources if source.constant}
        self.feeds = {
            g.name: Feed(
                replace(g, lag=0) if program.streamed else g,
                self.layouts[g.source],
                self.layouts[g.target],
                program.peaks[g.source],
                kernel,
                signed=g.source in graded,
            )
            for g in program.synapses
        }
        if program.streamed and any(len(stage) > 1 for stage in self.order):
            joined = next(stage for stage in self.order if len(stage) > 1)
            raise ProgramError(
                f"population {joined[0].name}: a loop of frames, one of which waits for the other; run the reference"
            )
        self.neurons: dict[str, Neurons] = {}
        for p in program.populations:
            groups = program.inputs_of(p.name)
            # What comes over a line that is always on, and at once, is the same at every step.
            fixed = {g.name for g in groups if g.source in always_on and not g.lag}
            constant = np.zeros(p.size, np.int64)
            for name in fixed:
                constant += _everything(self.feeds[name])
            feeds = [self.feeds[g.name] for g in groups if g.name not in fixed]
            kind = GradedRelay if p.graded else Neurons
            self.neurons[p.name] = kind(p, self.layouts[p.name], program.timesteps, feeds, constant)
        # Counts of what nothing follows are the answer, whatever else is kept.
        self._last = {p.name for p in program.populations if p.readout or not program.outputs_of(p.name)}
        # A raster byte of everything, four of graded relays, and sums of four of the widest population.
        neurons = sum(layout.neurons * (4 if name in graded else 1) for name, layout in self.layouts.items())
        widest = max(p.size for p in program.populations)
        self.tile = max(1, TILE_BYTES // (program.timesteps * (neurons + 4 * widest)))

    def run(
        self,
        inputs: Inputs,
        detail: Detail = "counts",
        populations: Collection[str] | None = None,
        progress: Callable[[int, int], None] = lambda done, of: None,
    ) -> Recording:
        """Run a batch of samples, tile by tile.

        Parameters
        ----------
        inputs : Inputs
            Spikes and biases of each sample.
        detail : str
            ``totals`` over all samples only, ``counts`` of each, also ``spikes``, or also ``states``.
        populations : collection of str, optional
            Whose rasters and states to keep; all by default.
        progress : callable
            Called with samples done and in all.
        """
        check_inputs(self.program, inputs)
        began = time.perf_counter()
        bounds = [0, inputs.samples] if self.program.streamed else self._bounds(inputs.samples)
        ranges = [slice(first, last) for first, last in pairwise(bounds)]
        tiles = [inputs.select(range_) for range_ in ranges]
        # Tiles write their counts where they belong: there are as many as neurons of all samples.
        counts = {
            name: np.empty((inputs.samples, layout.neurons), np.int64)
            for name, layout in self.layouts.items()
            if detail != "totals" or name in self._last
        }
        places = [{name: whole[range_] for name, whole in counts.items()} for range_ in ranges]
        parts: list[Recording] = []
        done = 0
        for tile, part in zip(tiles, self._parts(tiles, places, detail, populations), strict=True):
            if parts:  # totals stay one array each, however many samples there are
                for name, total in part.totals.items():
                    parts[0].totals[name] += total
                part.totals.clear()
            parts.append(part)
            done += tile.samples
            progress(done, inputs.samples)
        recording = merge(parts, time.perf_counter() - began)
        recording.counts.update(counts)
        return recording

    def _bounds(self, samples: int) -> list[int]:
        """Where tiles begin, and the last one ends: as many for each thread, all of about one size."""
        share = -(-samples // self.threads)
        count = min(samples, self.threads * -(-share // self.tile))
        return [samples * index // count for index in range(count + 1)]

    def explain(self) -> list[Choice]:
        """The kernel of each synapse group, and what the others were expected to cost."""
        return [feed.explain() for feed in self.feeds.values()]

    def _parts(
        self,
        tiles: list[Inputs],
        places: list[dict[str, Ints]],
        detail: Detail,
        keep: Collection[str] | None,
    ) -> Iterator[Recording]:
        threads = min(self.threads, len(tiles))
        if threads == 1:
            yield from (self._tile(*pair, detail, keep) for pair in zip(tiles, places, strict=True))
            return
        yield from side_by_side(
            threads, lambda tile, place: self._tile(tile, place, detail, keep), tiles, places
        )

    def _tile(
        self, inputs: Inputs, counts: dict[str, Ints], detail: Detail, keep: Collection[str] | None
    ) -> Recording:
        """Run a tile; its spike counts go to ``counts``, or as totals to the recording where that has no room for them."""
        program, samples = self.program, inputs.samples
        out = Recording("emulator", {}, {})
        rasters: dict[str, NDArray[Any]] = {}
        fired: dict[str, float] = {}
        pending = {name: len(program.outputs_of(name)) for name in self.layouts}

        def kept(name: str) -> bool:
            return keep is None or name in keep

        for source in program.sources:
            given = inputs.spikes.get(source.name)
            if given is None:  # always on
                given = np.ones((samples, program.timesteps, source.size), np.uint8)
            layout = self.layouts[source.name]
            raster = np.empty((samples, program.timesteps, padded(source.size)), np.uint8)
            sent = np.zeros((samples, source.size), np.int32)
            arrange(np.ascontiguousarray(given, np.uint8), layout.channels, raster, sent)
            # Counted in C order already.
            rasters[source.name], fired[source.name] = raster, _count(out, counts, source.name, sent, 1)
            if detail in ("spikes", "states") and kept(source.name):
                out.spikes[source.name] = given
        for stage in self.order:
            recorded = [detail == "states" and kept(p.name) for p in stage]
            windows = self._stage(stage, rasters, fired, inputs, recorded)
            for p, window, states in zip(stage, windows, recorded, strict=True):
                layout = self.layouts[p.name]
                rasters[p.name] = window.spikes
                fired[p.name] = _count(out, counts, p.name, window.counts, layout.channels)
                if p.readout:
                    out.readouts[p.name] = layout.leave(window.last).astype(np.int64)
                if detail in ("spikes", "states") and kept(p.name):
                    out.spikes[p.name] = np.ascontiguousarray(layout.leave(window.spikes[:, :, : p.size]))
                if states:
                    out.currents[p.name], out.membranes[p.name] = (
                        np.ascontiguousarray(layout.leave(a)) for a in (window.currents, window.membranes)
                    )
            for p in stage:
                for group in program.inputs_of(p.name):
                    pending[group.source] -= 1
                    if not pending[group.source]:
                        del rasters[group.source]
        return out

    def _stage(
        self,
        stage: list[Population],
        rasters: dict[str, NDArray[Any]],
        fired: dict[str, float],
        inputs: Inputs,
        recorded: list[bool],
    ) -> list[Window]:
        """Run one population, or those that a loop joins."""
        names = {p.name for p in stage}
        looped = any(g.source in names for p in stage for g in self.program.inputs_of(p.name))
        biases = [self._bias(p, inputs) for p in stage]
        neurons = [self.neurons[p.name] for p in stage]
        if len(stage) == 1 and not looped and neurons[0].sums_once and not recorded[0]:
            sources = [self._sent(feed, rasters) for feed in neurons[0].feeds]
            if not self.program.outputs_of(stage[0].name):
                return [neurons[0].sum_once(sources, inputs.samples, biases[0])]
        # What arrives from outside a loop is known for all steps.
        known = [
            [
                (f, self._sent(f, rasters), fired[f.group.source])
                for f in n.feeds
                if f.group.source not in names
            ]
            for n in neurons
        ]
        if not looped:
            return [neurons[0].run(known[0], inputs.samples, biases[0], recorded[0])]
        windows = [n.window(inputs.samples, keep) for n, keep in zip(neurons, recorded, strict=True)]
        totals = [
            n.total([(f, f.apply(r, count)) for f, r, count in k], inputs.samples, np.int64)
            for n, k in zip(neurons, known, strict=True)
        ]
        self._loop(neurons, windows, totals, biases)
        return windows

    def _sent(self, feed: Feed, rasters: dict[str, NDArray[Any]]) -> NDArray[Any]:
        """The raster that a feed brings: in a stream, that of the frames which it takes its spikes from."""
        return shifted(rasters[feed.group.source], self._shifts[feed.group.name])

    def _bias(self, p: Population, inputs: Inputs) -> NDArray[np.int32]:
        neurons = self.neurons[p.name]
        return neurons.biases(bias_value(*inputs.biases[p.name])) if p.host_bias else neurons.bias

    def _loop(
        self,
        neurons: list[Neurons],
        windows: list[Window],
        totals: list[Ints],
        biases: list[NDArray[np.int32]],
    ) -> None:
        """Populations that feed each other, step by step."""
        by_name = {n.population.name: window for n, window in zip(neurons, windows, strict=True)}
        currents = [np.zeros(window.last.shape, np.int64) for window in windows]
        for window in windows:
            window.last = np.zeros(window.last.shape, np.int64)
        for t in range(self.program.timesteps):
            for n, window, total, bias, current in zip(
                neurons, windows, totals, biases, currents, strict=True
            ):
                arriving = total[:, t if total.shape[1] > 1 else 0]
                for feed in n.feeds:
                    source, lag = by_name.get(feed.group.source), feed.group.lag
                    if source is not None and t >= lag:
                        raster = np.ascontiguousarray(source.spikes[:, t - lag, None])
                        sums = feed.apply(raster, float(np.count_nonzero(raster)))
                        cells: Any = unpack(sums.cells, sums.geometry)[:, 0]
                        arriving = arriving + feed.factor * cells.astype(np.int64)
                n.advance(t, np.ascontiguousarray(arriving), bias, window, current)


def _processors() -> int:
    """Processors that this process may use: as ``SPIKEWRIGHT_THREADS`` says, or all that it is allowed on."""
    said = os.environ.get("SPIKEWRIGHT_THREADS", "")
    if said.isdigit() and int(said):
        return int(said)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _count(
    out: Recording, counts: dict[str, Ints], name: str, fired: NDArray[np.int32], channels: int
) -> float:
    """Hand spike counts (samples, neurons) on in C order; returns their sum."""
    place = counts.get(name)
    if place is not None:
        return float(leave(fired, channels, place))
    total = fired.sum(0, dtype=np.int64)[None]
    out.totals[name] = np.empty(total.size, np.int64)
    return float(leave(total, channels, out.totals[name][None]))


def _everything(feed: Feed) -> Ints:
    """Input of a step in which every line fires, in C order."""
    raster = np.zeros((1, 1, padded(feed.source.neurons)), np.uint8)
    raster[:, :, : feed.source.neurons] = 1
    sums = feed.apply(raster, float(feed.source.neurons))
    cells: NDArray[Any] = feed.target.leave(unpack(sums.cells, sums.geometry))[0, 0]
    return feed.factor * cells.astype(np.int64)
