"""The fast emulator: batched, layer by layer in local time, bit-identical to the reference.

A valid program resets each population exactly when its sample begins, so every population may be run over its own
window from zero state, all samples at once. Synaptic sums are integer matrix products and convolutions carried out in
floats, which is exact while no partial sum leaves the mantissa; the bound is computed for each group.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from graphlib import TopologicalSorter
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..export.formats import Ints, bias_value
from ..export.linear import LinearMap
from . import arithmetic as hw
from .kernels import lif_window
from .program import Inputs, Population, Program, ProgramError, SynapseGroup, check_inputs, validate
from .recording import Detail, Recording

EXACT = {torch.float32: 1 << 24, torch.float64: 1 << 53}
#: Memory that the rasters of one tile of samples may take.
TILE_BYTES = 64 << 20


def largest_sum(map_: LinearMap) -> int:
    """Largest magnitude that a partial sum of binary spikes can reach in any output."""
    magnitude = np.abs(map_.weight.astype(np.int64))
    axes = tuple(a for a in range(magnitude.ndim) if a != map_.channel_axis)
    return int(magnitude.sum(axes).max(initial=0))


def order(program: Program) -> list[Population]:
    """Populations so that each comes after what feeds it.

    Raises
    ------
    ProgramError
        The program has a loop; the reference runs it.
    """
    sorter: TopologicalSorter[str] = TopologicalSorter({p.name: () for p in program.populations})
    for group in program.synapses:
        sorter.add(group.target, group.source)
    populations = {p.name: p for p in program.populations}
    return [populations[name] for name in sorter.static_order() if name in populations]


class Emulator:
    """Runs one program on any number of samples.

    Parameters
    ----------
    program : Program
        A valid, feed-forward program.
    """

    def __init__(self, program: Program) -> None:
        validate(program)
        self.program = program
        self.order = order(program)
        self._weights: dict[str, torch.Tensor] = {}
        for group in program.synapses:
            bound = largest_sum(group.map)
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
        parts: list[Recording] = []
        for first in range(0, inputs.samples, self.tile):
            parts.append(self._tile(inputs.select(slice(first, first + self.tile)), detail, populations))
            progress(min(first + self.tile, inputs.samples), inputs.samples)
        merged: dict[str, Any] = {
            key: {
                name: np.concatenate([getattr(p, key)[name] for p in parts])
                for name in getattr(parts[0], key)
            }
            for key in ("counts", "readouts", "spikes", "currents", "membranes")
        }
        return Recording("emulator", **merged, seconds=time.perf_counter() - began)

    def _tile(self, inputs: Inputs, detail: Detail, keep: Collection[str] | None) -> Recording:
        samples, steps = inputs.samples, self.program.timesteps
        spikes: dict[str, NDArray[np.uint8]] = dict(inputs.spikes)
        out = Recording("emulator", {n: s.sum(1, dtype=np.int64) for n, s in spikes.items()}, {})
        pending = {
            name: len(self.program.outputs_of(name)) for name in (*spikes, *(p.name for p in self.order))
        }

        def kept(name: str) -> bool:
            return keep is None or name in keep

        for p in self.order:
            synaptic = self._synaptic_sums(p, spikes, samples)
            raster = np.empty((samples, steps, p.size), np.uint8)
            recorded = steps if detail == "states" and kept(p.name) else 0
            currents = np.empty((samples, recorded, p.size), np.int64)
            membranes = np.empty((samples, recorded, p.size), np.int64)
            readout = np.empty((samples, p.size), np.int64)
            bias = bias_value(*inputs.biases[p.name]) if p.host_bias else p.bias[None]
            lif_window(
                synaptic,
                bias,
                p.threshold,
                p.current_decay,
                p.membrane_decay,
                raster,
                currents,
                membranes,
                readout,
            )
            out.counts[p.name] = raster.sum(1, dtype=np.int64)
            if p.readout:
                out.readouts[p.name] = readout
            if recorded:
                out.currents[p.name], out.membranes[p.name] = currents, membranes
            spikes[p.name] = raster
            for group in self.program.inputs_of(p.name):
                pending[group.source] -= 1
                if not pending[group.source] and detail == "counts":
                    del spikes[group.source]
        if detail != "counts":
            out.spikes.update({name: raster for name, raster in spikes.items() if kept(name)})
        return out

    def _synaptic_sums(self, p: Population, spikes: dict[str, NDArray[np.uint8]], samples: int) -> Ints:
        """Synaptic sums (samples, steps, neurons) in units of the chip's input, int64."""
        groups = self.program.inputs_of(p.name)
        if not groups:
            return np.zeros((samples, 1, p.size), np.int64)
        total = sum(self._apply(group, spikes[group.source]) for group in groups)
        assert isinstance(total, np.ndarray)
        return total

    def _apply(self, group: SynapseGroup, raster: NDArray[np.uint8]) -> Ints:
        weight = self._weights[group.name]
        x = torch.from_numpy(raster).reshape(-1, prod(group.map.input_shape)).to(weight.dtype)
        return group.map.forward(x, weight).to(torch.int64).numpy().reshape(*raster.shape[:2], -1)
