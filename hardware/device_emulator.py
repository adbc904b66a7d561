"""The emulator on a device of torch, a GPU above all: the same integers, in operations over whole batches.

Sums are float matrix products within the bounds of their type, states are 64-bit integers. A device that rounds
where it must not, as with TF32, is found out before the first run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from ..export.formats import (
    ALIGNMENT_SHIFT,
    CURRENT_DECAY_OFFSET,
    DECAY_BITS,
    DECAY_ONE,
    STATE_LIMIT,
    bias_value,
    payload_limit,
)
from .emulation.dense import EXACT
from .emulation.feed import reach
from .emulation.patches import PatchKernel
from .emulator import order, refuse_early
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

#: Memory that the rasters and patches of a tile of samples may take on the device.
TILE_BYTES = 1 << 30


class DeviceEmulator:
    """Runs one program on a torch device.

    Parameters
    ----------
    program : Program
        A valid program.
    device : str
        As torch names it: ``cuda``, ``cuda:1``, ``cpu``.

    Raises
    ------
    ProgramError
        The device is missing or rounds, or the program mixes samples.
    """

    def __init__(self, program: Program, device: str) -> None:
        validate(program)
        refuse_early(program)
        if program.streamed:
            raise ProgramError(
                f"{program.name}: is a streamed program; run it on the emulator of the processor"
            )
        self.program, self.order = program, order(program)
        self.device = _device(device)
        graded = {p.name for p in program.populations if p.graded}
        self._kernels = {
            g.name: PatchKernel(g.map, _exact(g, program.peaks[g.source], g.source in graded), self.device)
            for g in program.synapses
        }
        cells = sum(s.size for s in program.sources) + sum(
            p.size * (1 + 8 * len(program.inputs_of(p.name))) for p in program.populations
        )
        taps = max((g.map.weight[0].size for g in program.synapses), default=1)
        self.tile = max(1, TILE_BYTES // (program.timesteps * cells * (1 + taps)))

    def run(
        self,
        inputs: Inputs,
        detail: Detail = "counts",
        populations: Collection[str] | None = None,
        progress: Callable[[int, int], None] = lambda done, of: None,
    ) -> Recording:
        """Run a batch of samples; arguments as of :meth:`spikewright.hardware.emulator.Emulator.run`."""
        check_inputs(self.program, inputs)
        began = time.perf_counter()
        inputs = with_constants(self.program, inputs)
        parts: list[Recording] = []
        with torch.no_grad(), _without_tf32():
            for first in range(0, inputs.samples, self.tile):
                parts.append(self._tile(inputs.select(slice(first, first + self.tile)), detail, populations))
                progress(min(first + self.tile, inputs.samples), inputs.samples)
        return merge(parts, time.perf_counter() - began)

    def _tile(self, inputs: Inputs, detail: Detail, keep: Collection[str] | None) -> Recording:
        out = Recording("emulator", {}, {})
        rasters = {name: torch.from_numpy(spikes).to(self.device) for name, spikes in inputs.spikes.items()}
        for name, raster in rasters.items():
            self._keep(out, name, (raster > 0).sum(1), raster, detail, keep, last=False)
        for stage in self.order:
            states = detail == "states"
            windows = [_Window(p, self.program, inputs, self.device, states) for p in stage]
            rasters |= {w.population.name: w.spikes for w in windows}
            names = {p.name for p in stage}
            known = [
                [
                    self._sums(g, rasters[g.source])
                    for g in self.program.inputs_of(p.name)
                    if g.source not in names
                ]
                for p in stage
            ]
            for t in range(self.program.timesteps):
                for window, sums in zip(windows, known, strict=True):
                    arriving = sum((s[:, t] for s in sums), torch.zeros_like(window.u))
                    for g in self.program.inputs_of(window.population.name):
                        if g.source in names and t >= g.lag:
                            spikes = rasters[g.source][:, t - g.lag]
                            arriving = arriving + _factor(g) * self._kernels[g.name].apply(spikes)
                    window.advance(t, arriving)
            for window in windows:
                p = window.population
                last = p.readout or not self.program.outputs_of(p.name)
                self._keep(out, p.name, (window.spikes != 0).sum(1), window.spikes, detail, keep, last)
                if p.readout:
                    out.readouts[p.name] = window.v.cpu().numpy()
                if states and (keep is None or p.name in keep):
                    out.currents[p.name] = window.currents.cpu().numpy()
                    out.membranes[p.name] = window.membranes.cpu().numpy()
        return out

    def _sums(self, group: SynapseGroup, raster: Tensor) -> Tensor:
        """Input (samples, steps, neurons) that a group brings, its lag included."""
        samples, steps = raster.shape[:2]
        sums = _factor(group) * self._kernels[group.name].apply(raster.flatten(0, 1)).reshape(
            samples, steps, -1
        )
        if not group.lag:
            return sums
        late = torch.zeros_like(sums)
        late[:, group.lag :] = sums[:, : max(0, steps - group.lag)]
        return late

    @staticmethod
    def _keep(
        out: Recording,
        name: str,
        counts: Tensor,
        raster: Tensor,
        detail: Detail,
        keep: Collection[str] | None,
        last: bool,
    ) -> None:
        if detail == "totals" and not last:
            out.totals[name] = counts.sum(0).cpu().numpy()
        else:
            out.counts[name] = counts.cpu().numpy()
        if detail in ("spikes", "states") and (keep is None or name in keep):
            out.spikes[name] = raster.cpu().numpy()


class _Window:
    """A population over one window a sample."""

    def __init__(
        self, p: Population, program: Program, inputs: Inputs, device: torch.device, recorded: bool
    ) -> None:
        samples, steps = inputs.samples, program.timesteps
        self.population, self.recorded = p, recorded
        self.u, self.v = (torch.zeros(samples, p.size, dtype=torch.int64, device=device) for _ in range(2))
        kind = torch.int32 if p.graded else torch.uint8
        self.spikes = torch.zeros(samples, steps, p.size, dtype=kind, device=device)
        shape = (samples, steps if recorded else 0, p.size)
        self.currents, self.membranes = (
            torch.zeros(shape, dtype=torch.int64, device=device) for _ in range(2)
        )

        def on_device(values: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values, np.int64)).to(device)

        self.bias = on_device(bias_value(*inputs.biases[p.name]) if p.host_bias else p.bias)
        self.aligned = on_device(p.threshold) << ALIGNMENT_SHIFT
        self.keep_u = on_device(DECAY_ONE - CURRENT_DECAY_OFFSET - p.current_decay)
        self.keep_v = on_device(DECAY_ONE - p.membrane_decay)

    def advance(self, t: int, arriving: Tensor) -> None:
        """Step ``t``, by the rules of :mod:`spikewright.hardware.arithmetic`."""
        p, reset = self.population, self.population.reset
        u = _kept(self.u, self.keep_u) + (arriving << ALIGNMENT_SHIFT)
        wrapped = torch.where(u > STATE_LIMIT, u - 2 * STATE_LIMIT, u)
        self.u = torch.where(wrapped <= -STATE_LIMIT, u + 2 * STATE_LIMIT, wrapped)
        v = _kept(self.v, self.keep_v) + self.u + self.bias
        if reset == "subtract-delayed":
            v = v - torch.where(self.v > self.aligned, self.aligned, 0)
        v = v.clamp(1 - STATE_LIMIT, STATE_LIMIT - 1)
        if p.graded:
            limit = payload_limit(p.payload_bits)
            self.spikes[:, t] = ((v + ((1 << p.payload_shift) >> 1)) >> p.payload_shift).clamp(-limit, limit)
        else:
            self.spikes[:, t] = fired = v > self.aligned
            if reset == "zero":
                v = torch.where(fired, 0, v)
            elif reset == "subtract":
                v = torch.where(fired, v - self.aligned, v)
        self.v = v
        if self.recorded:
            self.currents[:, t], self.membranes[:, t] = self.u, v


def _kept(state: Tensor, keep: Tensor) -> Tensor:
    return torch.sign(state) * ((state.abs() * keep) >> DECAY_BITS)


def _factor(group: SynapseGroup) -> int:
    return 2 << group.exponent if group.exponent >= 0 else 1


def _exact(group: SynapseGroup, peak: int, signed: bool) -> torch.dtype:
    bound = reach(group.map, signed) * peak
    dtype = next((d for d, limit in EXACT.items() if bound < limit), None)
    if dtype is None:
        raise ProgramError(f"synapse group {group.name}: sums up to {bound} have no exact float type")
    return dtype


@contextmanager
def _without_tf32() -> Iterator[None]:
    """Matrix products in whole float32, whatever the caller chose for training."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def _device(name: str) -> torch.device:
    """The device, once it has shown that its products are exact."""
    try:
        device = torch.device(name)
        largest = torch.full((64, 64), 4095.0, device=device)
        with _without_tf32():
            # 4095 has 12 bits, of which TF32 keeps 11; its square fits the 24 of float32.
            product = torch.diag(torch.full((64,), 4095.0, device=device)) @ largest
        exact = bool((product == 4095.0**2).all())
    except (RuntimeError, AssertionError) as error:
        raise ProgramError(
            f"device {name!r}: {str(error).splitlines()[0]}; choose one that torch finds"
        ) from error
    if not exact:
        raise ProgramError(
            f"device {name!r}: rounds products that float32 holds; switch TF32 off, or use the CPU"
        )
    return device
