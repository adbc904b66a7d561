"""Checks that simulators compute the same network: bit for bit where the arithmetic is the chip's, else by spike counts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...hardware import reference
from ...hardware.emulator import Emulator
from ...hardware.recording import Recording, compare
from .case import Case
from .results import Agreement

#: Samples whose counts are compared with a simulator of its own arithmetic.
COUNTED_SAMPLES = 8
#: Samples of the bit for bit comparisons: each is a whole run of the network, every step of it.
EXACT_SAMPLES = 1


def against_reference(case: Case) -> Agreement:
    """Every spike, current and membrane of the emulator against the definition of the arithmetic."""
    inputs = case.inputs.select(slice(0, EXACT_SAMPLES))
    ours = Emulator(case.program).run(inputs, detail="states")
    return bit_for_bit(case, ours, reference.run(case.program, inputs))


def bit_for_bit(case: Case, ours: Recording, theirs: Recording) -> Agreement:
    """Everything that two recordings hold."""
    found = compare(ours, theirs, [p.name for p in case.program.populations])
    states = found.compared_states
    return Agreement(
        found.neuron_steps + states,
        found.differing_spikes + found.differing_states,
        "spikes and states" if states else "neuron steps",
    )


def of_counts(case: Case, ours: Recording, theirs: dict[str, NDArray[Any]]) -> Agreement:
    """Spike counts of each sample and neuron.

    Raises
    ------
    ValueError
        A simulator that leaves a layer out, or has another number of neurons in it.
    """
    compared = differing = 0
    layers = {}
    for layer in case.network.spiking:
        if layer.name not in theirs:
            raise ValueError(f"no spike counts of {layer.name}")
        given = theirs[layer.name]
        wanted = ours.counts[layer.name][: len(given)]
        if given.shape != wanted.shape:
            raise ValueError(f"{layer.name}: spike counts of shape {given.shape}, not {wanted.shape}")
        unequal = int((np.asarray(given) != wanted).sum())
        compared, differing = compared + wanted.size, differing + unequal
        layers[layer.name] = 1 - unequal / wanted.size
    return Agreement(compared, differing, "spike counts", next(iter(layers.values())), layers)
