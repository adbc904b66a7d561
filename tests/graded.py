"""Random programs with graded relays: populations of other random programs turned into them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spikewright.benchmarks.random_programs import MOST_GROUPS, WIDEST_CURRENT, largest_sum
from spikewright.export import formats as hw
from spikewright.hardware.program import Population, Program


def with_relays(program: Program, rng: np.random.Generator, *, for_lava: bool = False) -> Program:
    """The program in which some populations send their membranes as graded spikes.

    Parameters
    ----------
    for_lava : bool
        Payloads so narrow that no sum leaves Lava's 32 bits.
    """
    populations = []
    for p in program.populations:
        most = hw.PAYLOAD_BITS_MAX if not for_lava else _room(program, p)
        if p.readout or most < hw.PAYLOAD_BITS_MIN or rng.random() < 0.4:
            populations.append(p)
            continue
        relay = replace(
            p,
            current_decay=np.int64(hw.DECAY_ONE - 1),
            membrane_decay=np.int64(hw.DECAY_ONE),
            threshold=np.zeros(p.size, np.int64),
            reset="zero",
            payload_bits=int(rng.integers(hw.PAYLOAD_BITS_MIN, most + 1)),
            payload_shift=int(rng.integers(0, rng.choice([7, 12, hw.PAYLOAD_SHIFT_MAX + 1]))),
        )
        populations.append(relay)
    return replace(program, populations=tuple(populations))


def _room(program: Program, p: Population) -> int:
    """Payload bits with which nothing that a population feeds can leave Lava's 32 bits."""
    unit = max(
        (
            hw.weight_unit(max(g.exponent, 0)) * largest_sum(g.map) * program.period * MOST_GROUPS
            for g in program.outputs_of(p.name)
        ),
        default=1.0,
    )
    return min(hw.PAYLOAD_BITS_MAX, 1 + int(np.floor(np.log2(WIDEST_CURRENT / max(unit, 1.0)))))
