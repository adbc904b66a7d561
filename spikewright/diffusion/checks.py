"""Are the images the same on every backend? Two backends generate side by side, and every spike is compared."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from ..hardware import host, tokens
from ..hardware.program import Inputs, Program
from ..hardware.session import Session, open_session
from ..models.sampler import Sampling
from .system import System


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


class _Pair:
    """One program on two backends, in step with each other."""

    def __init__(self, program: Program, backend: str, time_limit: float | None) -> None:
        self.program = program
        record = [p.name for p in program.populations]
        self.ours: Session = open_session(program, "emulator", record=record)
        options = {"time_limit": time_limit} if backend == "lava" else {}
        self.theirs: Session = open_session(program, backend, record=record, **options)  # type: ignore[arg-type]
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

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()


def same_images(
    system: System,
    backend: str,
    count: int,
    *,
    seed: int,
    temperature: float,
    time_limit: float | None = None,
) -> SameImages:
    """Generate images on the emulator and on another backend, each drawing from its own logits.

    Raises
    ------
    SessionError
        The backend is missing or failed.
    """
    began = time.perf_counter()
    pairs: list[_Pair] = []
    try:
        for part in (system.denoiser, system.decoder):
            pairs.append(_Pair(part.program, backend, time_limit))
        denoiser, decoder = pairs
        ours, theirs = (
            Sampling(count, system.grid, system.codes, seed=seed, temperature=temperature, batch=count)
            for _ in range(2)
        )
        parted = ""
        while len(ours.active):
            program = denoiser.program
            last = program.populations[-1]
            what = f"evaluation {int(ours.samples.evaluations.max()) + 1}"
            both = denoiser.run(tokens.one_hot(program, ours.grids), what)
            for sampling, summed in zip((ours, theirs), both, strict=True):
                sampling.reveal((summed / last.scale).reshape(-1, *last.shape) / program.timesteps)
            if (ours.samples.tokens != theirs.samples.tokens).any():
                parted = f"{what}: the tokens drawn differ"
                break
        pixels = False
        if not parted:  # both have the same tokens
            inputs, _ = host.encode(decoder.program, tokens.look_up(decoder.program, ours.samples.tokens))
            left, right = decoder.run(inputs, "decoder")
            pixels = bool((left == right).all())
        first = denoiser.first or parted or decoder.first
        return SameImages(
            images=count,
            evaluations=denoiser.evaluations,
            chip_steps=sum(p.theirs.exchange.chip_steps for p in pairs),
            equal=pixels and not first,
            neuron_steps=sum(p.neuron_steps for p in pairs),
            differing_spikes=sum(p.differing for p in pairs),
            differing_readouts=sum(p.readouts for p in pairs),
            seconds=time.perf_counter() - began,
            first=first,
        )
    finally:
        for pair in pairs:
            pair.close()
