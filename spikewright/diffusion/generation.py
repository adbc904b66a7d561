"""Generating images: the host samples tokens, the chip computes logits and images; in parts that survive a kill.

Random numbers belong to an image's number, so that the images of a seed are the same on every backend, in whatever parts
they are made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..generating.made import SLOW, Made, digest, in_parts
from ..generating.tally import COUNTED
from ..models.sampler import Sampling
from .evaluators import ChipEvaluator, Evaluator, FloatEvaluator, open_evaluator
from .system import System

#: Grids that are evaluated together.
BATCH = 50


@dataclass(frozen=True, eq=False)
class Generated(Made):
    """Images with the tokens behind them, (N, h, w); counts are (N, 2): of the denoiser and of the decoder."""

    tokens: NDArray[np.int64]


def generate(
    system: System,
    evaluator: Evaluator,
    count: int,
    *,
    seed: int,
    temperature: float = 1.0,
    refinements: int = 0,
    first: int = 0,
    batch: int = BATCH,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> Generated:
    """Images ``first`` to ``first + count`` of a seed.

    Parameters
    ----------
    evaluator : Evaluator
        Computes logits and images of ``system``.
    temperature : float
        Divides the logits; above 0.
    refinements : int
        How often half of a whole grid is hidden and drawn again.
    batch : int
        Grids that are evaluated together.
    report : callable
        Is told how many images of how many are done.
    """
    sampling = Sampling(
        count,
        system.grid,
        system.codes,
        seed=seed,
        temperature=temperature,
        refinements=refinements,
        first=first,
        batch=batch,
    )
    took = {name: np.zeros((count, 2), np.int64) for name in COUNTED}

    def add(images: NDArray[np.int64], part: int) -> None:
        if isinstance(evaluator, ChipEvaluator):
            for name, values in evaluator.last.items():
                took[name][images, part] += values

    while len(sampling.active):
        active = sampling.active
        logits = evaluator.logits(sampling.grids, sampling.due)
        add(active, 0)
        sampling.reveal(logits)
        report(sampling.finished, count)
    samples = sampling.samples
    made = []
    for start in range(0, count, batch):
        places = np.arange(start, min(start + batch, count))
        made.append(evaluator.images(samples.tokens[places]))
        add(places, 1)
    return Generated(
        images=np.concatenate(made), evaluations=samples.evaluations, tokens=samples.tokens, **took
    )


def generate_in_parts(
    system: System,
    backend: str,
    count: int,
    folder: Path,
    *,
    seed: int,
    temperature: float = 1.0,
    refinements: int = 0,
    time_limit: float | None = None,
    evaluator: ChipEvaluator | None = None,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> Generated:
    """Images 0 to ``count`` of a seed, kept in ``folder/parts`` as they are made: a run that was killed goes on there.

    Parameters
    ----------
    evaluator : ChipEvaluator, optional
        One that is open on the backend already: it has counted all images in the end, those made before included, and
        parts of other programs are thrown away. By default one is opened where it is needed.

    Raises
    ------
    BuildError
        The folder holds parts of another system, seed, temperature, number of refinements or backend, or a damaged one.
    """
    opened: FloatEvaluator | ChipEvaluator | None = evaluator

    def make(first: int, many: int, done: Callable[[int, int], None]) -> Generated:
        nonlocal opened
        opened = opened or open_evaluator(system, backend, time_limit)
        return generate(
            system,
            opened,
            many,
            seed=seed,
            temperature=temperature,
            refinements=refinements,
            first=first,
            report=done,
        )

    key = {
        "programs": digest((system.denoiser, system.decoder), backend),
        "backend": backend,
        "seed": seed,
        "temperature": temperature,
        "refinements": refinements,
    }
    try:
        return in_parts(
            Generated, make, count, folder, key=key, counting=evaluator, slow=backend in SLOW,
            anew=evaluator is not None, report=report,
        )  # fmt: skip
    finally:
        if opened is not None and opened is not evaluator:
            opened.close()
