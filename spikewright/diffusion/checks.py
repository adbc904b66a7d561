"""Are the images the same on every backend? Two backends generate side by side, and every spike is compared."""

from __future__ import annotations

import time

from ..generating.same import Pair, SameImages
from ..hardware import host, tokens
from ..models.sampler import Sampling
from .system import System


def same_images(
    system: System,
    backend: str,
    count: int,
    *,
    seed: int,
    temperature: float,
    refinements: int = 0,
    evaluations: int | None = None,
    time_limit: float | None = None,
) -> SameImages:
    """Generate images on the emulator and on another backend, each drawing from its own logits.

    Parameters
    ----------
    evaluations : int, optional
        So many of each image at most are repeated; the emulator alone makes the rest, and both decode it.

    Raises
    ------
    SessionError
        The backend is missing or failed.
    """
    began = time.perf_counter()
    pairs: list[Pair] = []
    try:
        for part in (system.denoiser, system.decoder):
            pairs.append(Pair(part.program, backend, time_limit))
        denoiser, decoder = pairs
        ours, theirs = (
            Sampling(
                count,
                system.grid,
                system.codes,
                seed=seed,
                temperature=temperature,
                refinements=refinements,
                batch=count,
            )
            for _ in range(2)
        )
        parted, whole = "", True
        program = denoiser.program
        last = program.populations[-1]
        while len(ours.active):
            done, inputs = int(ours.samples.evaluations.max()), tokens.one_hot(program, ours.grids)
            what, whole = f"evaluation {done + 1}", evaluations is None or done < evaluations
            both = denoiser.run(inputs, what) if whole else (denoiser.alone(inputs),) * 2
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
            whole=whole,
        )
    finally:
        for pair in pairs:
            pair.close()
