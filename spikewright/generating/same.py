"""Are the images the same on every backend? Two of them run side by side, and every spike is compared."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..hardware.program import Inputs, Program
from ..hardware.session import TIMED, Session, open_session


@dataclass(frozen=True)
class SameImages:
    """What two backends made of the same images.

    Attributes
    ----------
    equal : bool
        Every spike of every population in every evaluation, every read-out and every pixel.
    evaluations, chip_steps : int
        Runs of the denoiser over all images, and steps that the second backend took.
    neuron_steps, differing_spikes, differing_readouts : int
    seconds : float
        Of the second backend, opening included.
    first : str
        Where they first part; empty where they do not.
    whole : bool
        All evaluations were repeated, not only an image's first ones.
    """

    images: int
    evaluations: int
    chip_steps: int
    equal: bool
    neuron_steps: int
    differing_spikes: int
    differing_readouts: int
    seconds: float
    first: str
    whole: bool = True


class Pair:
    """One program on two backends, in step with each other; every spike and read-out is compared.

    Parameters
    ----------
    backend : str
        Held against the emulator.
    time_limit : float, optional
        Seconds that Lava may take for an evaluation.
    states : collection of str
        Populations whose states may be read from both sessions.

    Attributes
    ----------
    ours, theirs : Session
    evaluations, neuron_steps, differing, readouts : int
        Samples that ran, neuron steps that were compared, and how many spikes and read-outs differ.
    first : str
        Where the two first part; empty where they do not.
    """

    def __init__(
        self, program: Program, backend: str, time_limit: float | None, states: Collection[str] = ()
    ) -> None:
        self.program = program
        record = [p.name for p in program.populations]
        self.ours: Session = open_session(program, "emulator", record=record, states=states)
        options: dict[str, Any] = {"time_limit": time_limit} if backend in TIMED else {}
        try:
            self.theirs: Session = open_session(program, backend, record=record, states=states, **options)
        except BaseException:
            self.ours.close()
            raise
        self.neuron_steps = self.differing = self.readouts = self.evaluations = 0
        self.first = ""

    def run(self, inputs: Inputs, what: str) -> tuple[np.ndarray, np.ndarray]:
        """Read-outs of the last population on both."""
        ours, theirs = (session.run(inputs, detail="spikes") for session in (self.ours, self.theirs))
        last = self.program.populations[-1].name
        self.evaluations += len(ours.readouts[last])
        for p in self.program.populations:
            unequal = ours.spikes[p.name] != theirs.spikes[p.name]
            self.neuron_steps += unequal.size
            self.differing += int(unequal.sum())
            if unequal.any() and not self.first:
                sample, step, neuron = (int(i) for i in np.argwhere(unequal)[0])
                self.first = f"{what}: {p.name}, sample {sample}, step {step}, neuron {neuron}"
        unequal = ours.readouts[last] != theirs.readouts[last]
        self.readouts += int(unequal.sum())
        if unequal.any() and not self.first:
            self.first = f"{what}: read-out {last}"
        return ours.readouts[last], theirs.readouts[last]

    def alone(self, inputs: Inputs) -> np.ndarray:
        """Read-outs of the last population on the emulator; nothing is compared."""
        return self.ours.run(inputs).readouts[self.program.populations[-1].name]

    def close(self) -> None:
        """End both sessions."""
        self.ours.close()
        self.theirs.close()
