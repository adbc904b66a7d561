"""The fast emulator: batched, layer by layer in local time, bit-identical to the reference.

A valid program resets each population exactly when its sample begins, so every population may be run over its own
window from zero state, all samples at once. Synaptic sums are integer matrix products and convolutions carried out in
floats, which is exact while no partial sum leaves the mantissa; the bound is computed for each group.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray

from ..export.formats import CURRENT_DECAY_OFFSET, DECAY_ONE, RESETS, Ints, bias_value
from ..export.linear import LinearMap, channel_sum
from ..export.order import stages
from . import arithmetic as hw
from .kernels import lif_advance, lif_window
from .program import (
    Inputs,
    Population,
    Program,
    ProgramError,
    SynapseGroup,
    check_inputs,
    validate,
    with_constants,
)
from .recording import Detail, Recording, merge

EXACT = {torch.float32: 1 << 24, torch.float64: 1 << 53}
#: Memory that the rasters of one tile of samples may take.
TILE_BYTES = 64 << 20


def largest_sum(map_: LinearMap) -> int:
    """Largest magnitude that a partial sum of binary spikes can reach in any output."""
    return int(channel_sum(map_, np.abs(map_.weight.astype(np.int64))).max(initial=0))


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


class Emulator:
    """Runs one program on any number of samples.

    Parameters
    ----------
    program : Program
        A valid program.
    """

    def __init__(self, program: Program) -> None:
        validate(program)
        early = next((g for g in program.synapses if g.lag < 0), None)
        if early is not None:
            raise ProgramError(
                f"synapse group {early.name}: delivers {-early.lag} steps early, which mixes samples; balance the "
                "delays, or run the reference"
            )
        self.program = program
        self.order = order(program)
        self._weights: dict[str, torch.Tensor] = {}
        peak = {source.name: source.peak for source in program.sources}
        for group in program.synapses:
            bound = largest_sum(group.map) * peak.get(group.source, 1)
            dtype = next((d for d, limit in EXACT.items() if bound < limit), None)
            if dtype is None:
                raise ProgramError(f"synapse group {group.name}: sums up to {bound} have no exact float type")
            # A power of two moves the exponent of a float and not its mantissa, so scaled weights are as exact.
            factor = int(hw.synaptic_sum(np.ones(1, np.int64), group.exponent)[0])
            self._weights[group.name] = (
                torch.from_numpy(np.ascontiguousarray(group.map.weight)).to(dtype) * factor
            )
        neurons = sum(p.size for p in program.populations) + sum(s.size for s in program.sources)
        # A raster byte, and a float and an integer synaptic sum of the widest population in flight.
        widest = max(p.size for p in program.populations)
        self.tile = max(1, TILE_BYTES // (program.timesteps * (neurons + 12 * widest)))

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
            ``counts`` only, also ``spikes``, or also ``states``.
        populations : collection of str, optional
            Whose rasters and states to keep; all by default.
        progress : callable
            Called with samples done and in all.
        """
        check_inputs(self.program, inputs)
        began = time.perf_counter()
        inputs = with_constants(self.program, inputs)
        parts: list[Recording] = []
        for first in range(0, inputs.samples, self.tile):
            parts.append(self._tile(inputs.select(slice(first, first + self.tile)), detail, populations))
            progress(min(first + self.tile, inputs.samples), inputs.samples)
        return merge(parts, time.perf_counter() - began)

    def _tile(self, inputs: Inputs, detail: Detail, keep: Collection[str] | None) -> Recording:
        spikes: dict[str, NDArray[np.uint8]] = dict(inputs.spikes)
        out = Recording("emulator", {n: np.count_nonzero(s, 1) for n, s in spikes.items()}, {})
        pending = {p.name: len(self.program.outputs_of(p.name)) for stage in self.order for p in stage}
        pending |= {name: len(self.program.outputs_of(name)) for name in spikes}

        def kept(name: str) -> bool:
            return keep is None or name in keep

        for stage in self.order:
            windows = [
                _Window(self.program, p, inputs, recorded=detail == "states" and kept(p.name)) for p in stage
            ]
            names = {p.name for p in stage}
            # What arrives from outside a loop is known for all steps; a single population without a loop needs no more.
            sums = [self._synaptic_sums(p, spikes, inputs.samples, without=names) for p in stage]
            if len(stage) == 1 and not any(g.source in names for g in self.program.inputs_of(stage[0].name)):
                windows[0].run(sums[0])
            else:
                self._loop(windows, sums)
            for p, window in zip(stage, windows, strict=True):
                out.counts[p.name] = window.spikes.sum(1, dtype=np.int64)
                if p.readout:
                    out.readouts[p.name] = window.readout
                if window.recorded:
                    out.currents[p.name], out.membranes[p.name] = window.currents, window.membranes
                spikes[p.name] = window.spikes
            for p in stage:
                for group in self.program.inputs_of(p.name):
                    pending[group.source] -= 1
                    if not pending[group.source] and detail == "counts":
                        del spikes[group.source]
        if detail != "counts":
            out.spikes.update({name: raster for name, raster in spikes.items() if kept(name)})
        return out

    def _loop(self, windows: list[_Window], sums: list[Ints]) -> None:
        """Populations that feed each other, step by step."""
        by_name = {window.population.name: window for window in windows}
        for t in range(self.program.timesteps):
            for window, known in zip(windows, sums, strict=True):
                arriving = known[:, t if known.shape[1] > 1 else 0]
                for group in self.program.inputs_of(window.population.name):
                    if group.source in by_name and t >= group.lag:
                        raster = by_name[group.source].spikes[:, t - group.lag, None]
                        arriving = arriving + self._apply(group, raster)[:, 0]
                window.advance(t, arriving)

    def _synaptic_sums(
        self, p: Population, spikes: dict[str, NDArray[np.uint8]], samples: int, without: Collection[str]
    ) -> Ints:
        """Synaptic sums (samples, steps, neurons) in units of the chip's input, int64."""
        groups = [group for group in self.program.inputs_of(p.name) if group.source not in without]
        if not groups:
            return np.zeros((samples, 1, p.size), np.int64)
        total = sum(_late(self._apply(group, spikes[group.source]), group.lag) for group in groups)
        assert isinstance(total, np.ndarray)
        return total

    def _apply(self, group: SynapseGroup, raster: NDArray[np.uint8]) -> Ints:
        weight = self._weights[group.name]
        x = torch.from_numpy(raster).reshape(-1, prod(group.map.input_shape)).to(weight.dtype)
        return group.map.forward(x, weight).to(torch.int64).numpy().reshape(*raster.shape[:2], -1)


def _late(sums: Ints, lag: int) -> Ints:
    """Sums that arrive some steps late in local time: those of the last steps never do."""
    if not lag:
        return sums
    shifted = np.zeros_like(sums)
    shifted[:, lag:] = sums[:, :-lag]
    return shifted


class _Window:
    """A population over one window a sample, from zero state."""

    def __init__(self, program: Program, population: Population, inputs: Inputs, recorded: bool) -> None:
        p, samples, steps = population, inputs.samples, program.timesteps
        self.population, self.recorded = population, recorded
        self.spikes = np.zeros((samples, steps, p.size), np.uint8)
        self.currents = np.empty((samples, steps if recorded else 0, p.size), np.int64)
        self.membranes = np.empty((samples, steps if recorded else 0, p.size), np.int64)
        self.readout = np.zeros((samples, p.size), np.int64)
        self._current: Ints | None = None
        self._constants = (
            bias_value(*inputs.biases[p.name]) if p.host_bias else p.bias[None],
            p.threshold,
            DECAY_ONE - CURRENT_DECAY_OFFSET - p.current_decay,
            DECAY_ONE - p.membrane_decay,
            RESETS.index(p.reset),
        )

    def run(self, sums: Ints) -> None:
        """All steps."""
        lif_window(sums, *self._constants, self.spikes, self.currents, self.membranes, self.readout)

    def advance(self, t: int, arriving: Ints) -> None:
        """Step ``t``; the read-out holds the membrane."""
        if self._current is None:
            self._current = np.zeros_like(self.readout)
        fired = np.empty(self.readout.shape, np.uint8)
        lif_advance(arriving, *self._constants, self._current, self.readout, fired)
        self.spikes[:, t] = fired
        if self.recorded:
            self.currents[:, t], self.membranes[:, t] = self._current, self.readout
