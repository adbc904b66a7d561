"""Proof that nothing which one frame hands to another fires outside of a stream.

Where a clip ends, the network that was trained sees zeros. A chip that streams has neurons there: they run on, driven by
biases alone, while the host holds those populations that it writes silent. What the synapses between frames carry must be
nothing then, whatever the phase in which a population was caught.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..export.formats import ALIGNMENT_SHIFT, CURRENT_DECAY_OFFSET, DECAY_ONE, Ints
from ..export.unroll import unroll
from . import arithmetic as hw
from .program import SILENCE, Population, Program, ProgramError, SpikeSource


@dataclass(frozen=True, eq=False)
class Train:
    """What a population fires outside of a stream.

    Attributes
    ----------
    spikes : ndarray of bool
        At each step since its reset: (period, neurons).
    exact : bool
        It fires just so; otherwise it may fire any part of it, at any step.
    """

    spikes: NDArray[np.bool_]
    exact: bool

    def most(self, matrix: Any) -> Ints:
        """Largest sum that reaches each neuron (outputs,) in one step."""
        if self.exact:
            sums: Ints = (matrix @ self.spikes.T.astype(np.int64)).max(1)
        else:
            sums = matrix.maximum(0) @ self.spikes.any(0).astype(np.int64)
        return sums


def require_stillness(program: Program) -> None:
    """Refuse a streamed program whose frames would hear something outside of the stream.

    A population that sees no spike is driven by its own bias from each reset on: what it fires is computed exactly. One
    that may see spikes, as all do that hear a last frame of the stream, may fire wherever the largest input at every step
    takes it. A population that the host writes is silent if even the largest input of a step leaves a membrane at or below
    zero under the bias of silence.

    Raises
    ------
    ProgramError
        Names the population, and what is missing.
    """
    silent: list[SpikeSource | Population] = [
        *program.sources,
        *(p for p in program.populations if p.host_bias),
    ]
    # Sound if it holds for those populations that anybody hears, which is checked below.
    trains = {one.name: Train(np.zeros((program.period, one.size), np.bool_), exact=True) for one in silent}
    for p in sorted(program.populations, key=lambda p: p.start):
        if not p.host_bias:
            trains[p.name] = _train(program, p, trains)
    for p in program.populations:
        if p.host_bias and program.outputs_of(p.name):
            _require_silent(p, _arriving(program, p, trains))
    for group in program.synapses:
        if program.shift(group) and trains[group.source].spikes.any():
            raise ProgramError(
                f"synapse group {group.name}: {group.source} may fire outside of a stream and be taken for a frame of it; "
                "only what the host holds silent may hand spikes from frame to frame"
            )


def _arriving(program: Program, p: Population, trains: dict[str, Train]) -> Ints:
    """Largest synaptic input of a step, whatever the phases of the populations that send it."""
    total = np.zeros(p.size, np.int64)
    for group in program.inputs_of(p.name):
        matrix = unroll(group.map).astype(np.int64)
        # A neighbour may be a frame of the stream, which fires as it likes.
        anything = Train(np.ones((program.period, matrix.shape[1]), np.bool_), exact=False)
        train = anything if program.shift(group) else trains[group.source]
        if train.spikes.any():
            sums = train.most(matrix)
            total += np.maximum(hw.synaptic_sum(sums, group.exponent), 0)
    return total


def _train(program: Program, p: Population, trains: dict[str, Train]) -> Train:
    groups = program.inputs_of(p.name)
    still = not any(program.shift(g) or trains[g.source].spikes.any() for g in groups)
    arriving = _arriving(program, p, trains)
    bias = p.bias if still else np.maximum(p.bias, 0)
    spikes = np.zeros((program.period, p.size), np.bool_)
    u, v = (np.zeros(p.size, np.int64) for _ in range(2))
    for t in range(program.period):
        u, v, fired = hw.lif_step(
            u, v, arriving, current_decay=p.current_decay, membrane_decay=p.membrane_decay, threshold=p.threshold,
            bias=bias, reset=p.reset,
        )  # fmt: skip
        spikes[t] = fired
    return Train(spikes, still)


def _require_silent(p: Population, arriving: Ints) -> None:
    if (p.current_decay != DECAY_ONE - CURRENT_DECAY_OFFSET).any():
        raise ProgramError(
            f"population {p.name}: keeps a current, so that no bias can hold it silent at once; stream neurons without one"
        )
    held = -(SILENCE[0] << SILENCE[1])
    most = int(arriving.max(initial=0)) << ALIGNMENT_SHIFT
    if most > held:
        raise ProgramError(
            f"population {p.name}: up to {most} arrive in a step without a stream, and the bias of silence takes off only "
            f"{held}; quantise with a smaller scale, or train with lower biases"
        )
