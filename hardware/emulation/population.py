"""One population in the emulator: its registers in the emulator's order, and its run over a window a sample."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...export.formats import (
    ALIGNMENT_SHIFT,
    BIAS_MAX,
    CURRENT_DECAY_OFFSET,
    DECAY_ONE,
    RESETS,
    STATE_LIMIT,
    Ints,
)
from ..kernels import lif_advance, lif_window
from ..program import Population
from .dense import EXACT, FloatKernel
from .feed import Feed, Sums
from .gathering import Gathering
from .layout import Layout, padded
from .neurons import KINDS, SUM_LIMIT, by_kind, integrate
from .runs import Geometry
from .scatter import add_sums
from .tabling import Tabling

Array = NDArray[Any]


@dataclass(eq=False)
class Window:
    """What a population did, in the emulator's order.

    Attributes
    ----------
    spikes : ndarray of uint8
        (samples, steps, neurons padded to words); of graded relays int32.
    counts, last : ndarray
        Spikes of each sample, and the membrane at its last step: (samples, neurons).
    currents, membranes : ndarray of int64
        (samples, steps, neurons), or no steps.
    """

    spikes: Array
    counts: Array
    last: Array
    currents: Ints
    membranes: Ints


class Neurons:
    """A population ready to run.

    Parameters
    ----------
    feeds : sequence of Feed
        What arrives, but for always-on lines.
    constant : ndarray of int64
        Input that always-on lines bring at every step, in C order.
    """

    def __init__(
        self, population: Population, layout: Layout, steps: int, feeds: Sequence[Feed], constant: Ints
    ) -> None:
        p = self.population = population
        self.layout, self.steps, self.feeds = layout, steps, feeds
        self.constant = layout.enter(constant)
        self.threshold = layout.enter(p.threshold)
        self.keep_u = layout.enter(DECAY_ONE - CURRENT_DECAY_OFFSET - p.current_decay)
        self.keep_v = layout.enter(DECAY_ONE - p.membrane_decay)
        self.reset = RESETS.index(p.reset)
        self.bound = sum(f.bound * f.factor for f in feeds) + int(np.abs(constant).max(initial=0))

    @cached_property
    def _narrow(self) -> tuple[Array, ...]:
        aligned = np.left_shift(self.threshold, ALIGNMENT_SHIFT)
        return tuple(
            np.ascontiguousarray(a, np.int32) for a in (self.constant, aligned, self.keep_u, self.keep_v)
        )

    @cached_property
    def _plain(self) -> bool:
        """Whether one formula does, without currents and without wrapping: input aligned by 6 bits stays within 24."""
        within = self.bound < STATE_LIMIT >> ALIGNMENT_SHIFT
        alike = bool((self.keep_v == self.keep_v[0]).all())
        return within and alike and not self._current and not self.reset

    @cached_property
    def _current(self) -> bool:
        return bool(self.keep_u.any())

    @cached_property
    def bias(self) -> NDArray[np.int32]:
        """The population's own bias, (1, neurons) in this order."""
        return self.biases(self.population.bias[None])

    def biases(self, values: Ints) -> NDArray[np.int32]:
        """Biases (samples or 1, neurons) in this order."""
        return np.ascontiguousarray(self.layout.enter(values), np.int32)

    def run(
        self,
        rasters: Sequence[tuple[Feed, Array, float]],
        samples: int,
        bias: NDArray[np.int32],
        recorded: bool,
    ) -> Window:
        """All steps of a number of samples.

        Parameters
        ----------
        rasters : sequence
            Each feed with the spikes (samples, steps, inputs padded to words) that it brings, and how many they are.
        recorded : bool
            Keep the states.
        """
        window = self.window(samples, recorded)
        if recorded or self.bound > SUM_LIMIT:
            total = self.total([(f, f.apply(r, n)) for f, r, n in rasters], samples, np.int64)
            self._wide(total, bias, window)
            return window
        # The dearest feed comes last: its kernel may hand sums on without storing them all.
        ordered = sorted(rasters, key=lambda part: part[2] * part[0].fan_out)
        if not ordered or not ordered[-1][0].straight or ordered[-1][0].group.lag:
            total = self.total([(f, f.apply(r, n)) for f, r, n in rasters], samples, np.int32)
            self._integrate(total, Geometry.plain(self.layout.neurons), 1, bias, window)
            return window
        *others, (feed, raster, fired) = ordered
        total = self.total([(f, f.apply(r, n)) for f, r, n in others], samples if others else 0, np.int32)
        steps = raster.shape[0] * raster.shape[1]
        kernel = feed.choose(fired, steps)
        made = feed.kernel(kernel)
        began = time.perf_counter()
        if isinstance(made, Gathering | Tabling):
            outputs = (window.spikes, window.counts, window.last)
            made.integrate(raster, feed.factor, total, self._registers(bias), outputs)
        else:
            cells, geometry = feed.sums(made, raster)
            factor = feed.factor
            if others:
                self.add(total, feed, Sums(cells, geometry))
                cells, geometry, factor = total, Geometry.plain(self.layout.neurons), 1
            self._integrate(cells, geometry, factor, bias, window)
        feed.took(kernel, fired, steps, time.perf_counter() - began)
        return window

    def _integrate(
        self, cells: Array, geometry: Geometry, factor: int, bias: NDArray[np.int32], window: Window
    ) -> None:
        if cells.dtype not in KINDS:
            cells = cells.astype(np.int32)
        integrate(
            *by_kind(cells), geometry.rows, geometry.width, geometry.stride, geometry.offset, np.int32(factor),
            *self._registers(bias), window.spikes, window.counts, window.last,
        )  # fmt: skip

    def _registers(self, bias: NDArray[np.int32]) -> tuple[Any, ...]:
        """What the compiled kernels ask of the neurons."""
        constant, aligned, keep_u, keep_v = self._narrow
        return constant, bias, aligned, keep_u, keep_v, self._plain, self._current, self.reset

    def window(self, samples: int, recorded: bool) -> Window:
        """Room for the results."""
        n = self.layout.neurons
        states = (samples, self.steps if recorded else 0, n)
        spikes = np.empty((samples, self.steps, padded(n)), np.uint8)
        spikes[:, :, n:] = 0
        counts, last = (np.zeros((samples, n), np.int32) for _ in range(2))
        return Window(spikes, counts, last, np.empty(states, np.int64), np.empty(states, np.int64))

    def total(self, arriving: Sequence[tuple[Feed, Sums]], samples: int, dtype: Any) -> Array:
        """Synaptic input (samples, steps, neurons); one step where nothing but constants arrives."""
        n = self.layout.neurons
        total = np.zeros((samples, self.steps if arriving else 1, n), dtype)
        for feed, sums in arriving:
            self.add(total, feed, sums)
        return total

    def add(self, total: Array, feed: Feed, sums: Sums) -> None:
        """Add what a feed brings to synaptic input (samples, steps, neurons)."""
        g = sums.geometry
        factor, lag = total.dtype.type(feed.factor), min(feed.group.lag, self.steps)
        add_sums(sums.cells, g.rows, g.width, g.stride, g.offset, factor, lag, total)

    def _wide(self, total: Ints, bias: NDArray[np.int32], window: Window) -> None:
        """In 64 bits, states kept where there is room for them."""
        n = self.layout.neurons
        spikes, last = np.empty((len(total), self.steps, n), np.uint8), np.empty((len(total), n), np.int64)
        lif_window(
            total + self.constant, bias.astype(np.int64), np.ascontiguousarray(self.threshold), np.ascontiguousarray(self.keep_u),
            np.ascontiguousarray(self.keep_v), self.reset, spikes, window.currents, window.membranes, last,
        )  # fmt: skip
        window.spikes[:, :, :n] = spikes
        window.counts, window.last = spikes.sum(1, dtype=np.int32), last

    def advance(self, t: int, total: Ints, bias: NDArray[np.int32], window: Window, current: Ints) -> None:
        """Step ``t`` of a population in a loop: ``total`` (samples, neurons) arrives; ``window.last`` holds the membrane."""
        n = self.layout.neurons
        fired = np.empty(current.shape, np.uint8)
        lif_advance(
            total + self.constant, bias.astype(np.int64), np.ascontiguousarray(self.threshold), np.ascontiguousarray(self.keep_u),
            np.ascontiguousarray(self.keep_v), self.reset, current, window.last, fired,
        )  # fmt: skip
        window.spikes[:, t, :n] = fired
        window.counts += fired
        if window.currents.shape[1]:
            window.currents[:, t], window.membranes[:, t] = current, window.last

    @cached_property
    def sums_once(self) -> bool:
        """Whether the last membrane is a plain sum over steps, so that spike counts are enough.

        So it is for a read-out that keeps its whole membrane and nothing of its current, and reaches neither its
        threshold nor the end of its 24 bits.
        """
        p = self.population
        if not p.readout or self.keep_u.any() or (self.keep_v != DECAY_ONE).any():
            return False
        bias = BIAS_MAX if p.host_bias else int(np.abs(p.bias).max(initial=0))
        farthest = self.steps * ((self.bound << ALIGNMENT_SHIFT) + bias)
        limit = min(int(p.threshold.min(initial=STATE_LIMIT)) << ALIGNMENT_SHIFT, STATE_LIMIT - 1)
        return farthest < limit

    def sum_once(self, rasters: Sequence[Array], samples: int, bias: NDArray[np.int32]) -> Window:
        """The read-out from the spike counts of its sources."""
        window = self.window(samples, recorded=False)
        window.spikes[:] = 0
        total = np.zeros((samples, self.layout.neurons), np.int64)
        for feed, raster in zip(self.feeds, rasters, strict=True):
            counts = raster[:, : max(0, self.steps - feed.group.lag), : feed.source.neurons].sum(
                1, dtype=np.int64
            )
            if feed.inside != feed.source:
                counts = feed.inside.enter(feed.source.leave(counts))
            sums = self._kernel(feed).apply(np.ascontiguousarray(counts)).astype(np.int64)
            if feed.outside != feed.target:
                sums = feed.target.enter(feed.outside.leave(sums))
            total += feed.factor * sums
        window.last = ((total + self.steps * self.constant) << ALIGNMENT_SHIFT) + self.steps * bias.astype(
            np.int64
        )
        return window

    def _kernel(self, feed: Feed) -> FloatKernel:
        made = self.__dict__.setdefault("_once", {})
        if feed.group.name not in made:
            dtype = next(d for d, limit in EXACT.items() if feed.bound * self.steps < limit)
            made[feed.group.name] = FloatKernel(feed.group.map, feed.inside, feed.outside, dtype)
        kernel: FloatKernel = made[feed.group.name]
        return kernel
