"""Generating images: the host takes noise off step by step, the chip tells it; in parts that survive a kill.

Random numbers belong to an image's number, so that the images of a seed are the same on every backend, in whatever parts
they are made.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..generating.made import SLOW, Made, digest, in_parts
from ..generating.tally import COUNTED
from ..models.denoising_samplers import Denoising
from ..models.epsilon_prediction import NoisePredictor
from .evaluators import ChipDenoiser, FloatDenoiser, open_denoiser
from .system import System

#: Images that are evaluated together.
BATCH = 50


def generate(
    system: System,
    denoiser: NoisePredictor,
    count: int,
    *,
    seed: int,
    sampling_steps: int | None,
    first: int = 0,
    batch: int = BATCH,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> Made:
    """Images ``first`` to ``first + count`` of a seed.

    Parameters
    ----------
    denoiser : callable
        Noise (N, C, H, W) in images (N, C, H, W) at an index of the diffusion.
    sampling_steps : int or None
        Evaluations an image, by DDIM; None is DDPM, which visits every index.
    batch : int
        Images that are evaluated together, and on a chip follow each other back to back.
    report : callable
        Is told how many evaluations of how many are done.
    """
    under_way = Denoising(
        count, system.image, system.schedule, steps=sampling_steps, seed=seed, first=first, batch=batch
    )
    took = {name: np.zeros((count, 1), np.int64) for name in COUNTED}
    each, done = len(under_way.times), 0
    while len(under_way.active):
        active = under_way.active
        told = denoiser(under_way.noisy, under_way.time)
        if isinstance(denoiser, ChipDenoiser):
            for name, values in denoiser.last.items():
                took[name][active, 0] += values
        under_way.step(told)
        done += len(active)
        report(done, count * each)
    return Made(
        images=under_way.images.astype(np.float32), evaluations=np.full(count, each, np.int64), **took
    )


def generate_in_parts(
    system: System,
    backend: str,
    count: int,
    folder: Path,
    *,
    seed: int,
    sampling_steps: int | None,
    time_limit: float | None = None,
    denoiser: ChipDenoiser | None = None,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> Made:
    """Images 0 to ``count`` of a seed, kept in ``folder/parts`` as they are made: a run that was killed goes on there.

    Parameters
    ----------
    denoiser : ChipDenoiser, optional
        One that is open on the backend already: it has counted all images in the end, those made before included, and
        parts of another program are thrown away. By default one is opened where it is needed.

    Raises
    ------
    BuildError
        The folder holds parts of another program, seed, sampler or backend, or a damaged one.
    """
    opened: FloatDenoiser | ChipDenoiser | None = denoiser

    def make(first: int, many: int, done: Callable[[int, int], None]) -> Made:
        nonlocal opened
        opened = opened or open_denoiser(system, backend, time_limit)
        return generate(
            system, opened, many, seed=seed, sampling_steps=sampling_steps, first=first,
            report=lambda evaluations, of: done(evaluations * many // of, many),
        )  # fmt: skip

    key = {
        "programs": digest((system.denoiser,), backend),
        "backend": backend,
        "seed": seed,
        "sampler": "ddpm" if sampling_steps is None else "ddim",
        "steps": sampling_steps,
        "threshold": system.threshold,
    }
    try:
        return in_parts(
            Made, make, count, folder, key=key, counting=denoiser, slow=backend in SLOW,
            anew=denoiser is not None, report=report,
        )  # fmt: skip
    finally:
        if opened is not None and opened is not denoiser:
            opened.close()
