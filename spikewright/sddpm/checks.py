"""Are the images the same on every backend? Two of them generate side by side, and every spike is compared."""

from __future__ import annotations

import time

from ..generating.same import Pair, SameImages
from ..hardware.noise import ChipNoise
from ..models.denoising_samplers import Denoising
from .system import System


def same_images(
    system: System,
    backend: str,
    count: int,
    *,
    seed: int,
    sampling_steps: int,
    time_limit: float | None = None,
) -> SameImages:
    """Generate images by DDIM on the emulator and on another backend, each going on from its own answers.

    Raises
    ------
    SessionError
        The backend is missing or failed.
    """
    began = time.perf_counter()
    program, tail = system.denoiser.program, system.tail
    pair = Pair(program, backend, time_limit, () if tail is None else (program.populations[-1].name,))
    try:
        both = [
            (
                Denoising(count, system.image, system.schedule, steps=sampling_steps, seed=seed, batch=count),
                ChipNoise(session, tail),
            )
            for session in (pair.ours, pair.theirs)
        ]
        (ours, chip), (theirs, _) = both
        parted = ""
        while len(ours.active) and not parted:
            seen, at = ours.noisy, ours.time
            what = f"index {at} of the diffusion"
            pair.run(chip.inputs(seen, at), what)
            told = [noise.read(seen, at) for _, noise in both]
            if (told[0] != told[1]).any():
                parted = f"{what}: the noise told differs"
            for (sampling, _), noise in zip(both, told, strict=True):
                sampling.step(noise)
        first = pair.first or parted
        equal = not first and bool((ours.images == theirs.images).all())
        return SameImages(
            images=count,
            evaluations=pair.evaluations,
            chip_steps=pair.theirs.exchange.chip_steps,
            equal=equal,
            neuron_steps=pair.neuron_steps,
            differing_spikes=pair.differing,
            differing_readouts=pair.readouts,
            seconds=time.perf_counter() - began,
            first=first,
        )
    finally:
        pair.close()
