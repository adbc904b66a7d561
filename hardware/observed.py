"""What a program's sums and states came to on calibration samples, before they wrap or saturate."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray

from ..export.formats import ALIGNMENT_SHIFT, CURRENT_DECAY_OFFSET, Ints, bias_value
from . import arithmetic as hw
from .emulator import Emulator
from .intervals import Range
from .program import Inputs, Population, Program, ProgramError
from .recording import Recording, shifted

#: Share by which later samples may exceed what was seen.
MARGIN = 0.25
#: Memory that the states of one batch of samples may take.
BATCH_BYTES = 128 << 20


@dataclass(frozen=True, eq=False)
class Observed:
    """Extremes of a population over all steps of the calibration samples.

    Attributes
    ----------
    synaptic_sum : Range
        What arrived in one step.
    current, membrane : Range
        Before the current wraps, and before the membrane saturates and is compared with its threshold.
    """

    synaptic_sum: Range
    current: Range
    membrane: Range

    def hull(self, other: Observed) -> Observed:
        """Extremes of both."""
        return Observed(
            self.synaptic_sum.hull(other.synaptic_sum),
            self.current.hull(other.current),
            self.membrane.hull(other.membrane),
        )


@dataclass(frozen=True, eq=False)
class Bounds:
    """What calibration saw, and how far beyond it later samples are trusted to stay.

    Attributes
    ----------
    samples : int
        Samples seen.
    margin : float
        Share of a population's largest magnitude that is added on either side.
    populations : dict of str to Observed
        As seen, without the margin.
    """

    samples: int
    margin: float
    populations: dict[str, Observed]

    def widened(self, seen: Range) -> Range:
        """A range with the margin: a share of what the whole population reached, for neurons that calibration spared."""
        extra = int(np.ceil(self.margin * seen.magnitude.max(initial=0)))
        return Range(np.minimum(seen.low, 0) - extra, np.maximum(seen.high, 0) + extra)


def calibrate(program: Program, inputs: Inputs, margin: float = MARGIN) -> Bounds:
    """Run calibration samples on the emulator and keep the extremes.

    Parameters
    ----------
    program : Program
        A valid program whose delays are balanced.
    inputs : Inputs
        Calibration samples.
    margin : float
        Share by which later samples may exceed them.

    Raises
    ------
    ProgramError
        The inputs do not fit, or the margin is negative.
    """
    if not margin >= 0:
        raise ProgramError(
            f"margin: {margin} is negative; give the share by which sums may exceed those seen"
        )
    emulator, found = Emulator(program), dict[str, Observed]()
    neurons = sum(p.size for p in program.populations) + sum(s.size for s in program.sources)
    batch = max(1, BATCH_BYTES // (program.timesteps * 40 * neurons))
    for first in range(0, max(inputs.samples, 1), batch):  # at least once, for the emulator's own refusals
        part = inputs.select(slice(first, first + batch))
        recording = emulator.run(part, detail="states")
        for p in program.populations:
            seen = _observe(program, p, part, recording)
            found[p.name] = found[p.name].hull(seen) if p.name in found else seen
    return Bounds(inputs.samples, margin, found)


def _observe(program: Program, p: Population, inputs: Inputs, recording: Recording) -> Observed:
    sums = synaptic_sums(program, p, recording.spikes)
    current, membrane = recording.currents[p.name], recording.membranes[p.name]
    bias = bias_value(*inputs.biases[p.name])[:, None] if p.host_bias else p.bias
    # The states before the limits, from the recorded states of the step before.
    register = p.current_decay + CURRENT_DECAY_OFFSET
    unwrapped = hw.decay(_before(current), register) + (sums << ALIGNMENT_SHIFT)
    unclipped = hw.integrate(_before(membrane), current, p.membrane_decay, p.threshold, bias, p.reset)
    return Observed(_range(sums), _range(unwrapped), _range(unclipped))


def _before(states: Ints) -> Ints:
    """States (samples, steps, neurons) as each step found them."""
    out = np.zeros_like(states)
    out[:, 1:] = states[:, :-1]
    return out


def _range(values: Ints) -> Range:
    flat = values.reshape(-1, values.shape[-1])
    return Range(flat.min(0), flat.max(0))


def synaptic_sums(program: Program, p: Population, spikes: dict[str, NDArray[np.uint8]]) -> Ints:
    """What arrived at a population at each step of its samples (samples, steps, neurons), from recorded spikes."""
    samples = len(next(iter(spikes.values()))) if spikes else 0
    total = np.zeros((samples, program.timesteps, p.size), np.int64)
    for group in program.inputs_of(p.name):
        lag = 0 if program.streamed else group.lag
        kept = max(0, program.timesteps - lag)  # the spikes of the last steps of a sample arrive behind it
        if not kept:
            continue
        raster = shifted(spikes[group.source], program.shift(group))[:, :kept]
        x = torch.from_numpy(raster.astype(np.float64)).reshape(-1, prod(group.map.input_shape))
        weight = torch.from_numpy(group.map.weight.astype(np.float64))
        sums = group.map.forward(x, weight).to(torch.int64).numpy().reshape(samples, kept, p.size)
        total[:, lag:] += hw.synaptic_sum(sums, group.exponent)
    return total
