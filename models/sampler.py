"""Sampling token grids from an absorbing diffusion, on the host, whatever predicts the tokens.

The published sampler visits every time from ``T_d`` to 1 and reveals each hidden position with probability ``1/t``,
which gives each position a reveal time uniform on ``1 .. T_d``. Here these times are drawn first and only those that
reveal something are visited; the samples have the same distribution. All draws come from
:mod:`~spikewright.models.draws`, so that equal logits give equal tokens, whichever backend computed them and with
whichever images beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .absorbing import Predictor
from .draws import Purpose, uniforms


@dataclass(frozen=True, eq=False)
class Samples:
    """Sampled grids.

    Attributes
    ----------
    tokens : ndarray of int64, shape (count, h, w)
        Grids without hidden positions.
    evaluations : ndarray of int64, shape (count,)
        How often the predictor saw each.
    """

    tokens: NDArray[np.int64]
    evaluations: NDArray[np.int64]


def sample(
    predict: Predictor,
    count: int,
    shape: tuple[int, int],
    codes: int,
    *,
    seed: int = 0,
    temperature: float = 1.0,
    first: int = 0,
    batch: int = 100,
    report: Callable[[int, int], None] = lambda done, count: None,
) -> Samples:
    """Sample grids.

    Image ``first + i`` depends on nothing but its number, the seed and the logits: work may be split or taken up
    again anywhere.

    Parameters
    ----------
    predict : callable
        Logits (N, K, h, w), floats or integers, of grids (N, h, w) with ``codes`` where hidden.
    count : int
        Grids.
    shape : tuple of int
        Height and width of a grid.
    codes : int
        ``K``; also the number of the hidden state.
    temperature : float
        Divides the logits; above 0.
    first : int
        Number of the first image.
    batch : int
        Grids handed over at once: as one is finished, the next takes its place.
    report : callable
        Is told how many grids of how many are finished.
    """
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; give a number above 0")
    positions = shape[0] * shape[1]
    numbers = range(first, first + count)
    reveal = 1 + np.floor(uniforms(seed, Purpose.REVEAL, numbers, positions) * positions).astype(np.int64)
    chance = uniforms(seed, Purpose.TOKEN, numbers, positions)
    tokens = np.full((count, positions), codes, np.int64)
    evaluations = np.zeros(count, np.int64)
    left = reveal.copy()  # reveal times still to come; 0 where revealed
    active = np.arange(min(batch, count))
    following = len(active)
    while len(active):
        logits = np.asarray(predict(tokens[active].reshape(-1, *shape)), np.float64)
        evaluations[active] += 1
        row, position = np.nonzero(left[active] == left[active].max(1, keepdims=True))
        image = active[row]
        rows = logits.reshape(len(active), codes, positions)[row, :, position]
        tokens[image, position] = categorical(rows / temperature, chance[image, position])
        left[image, position] = 0
        unfinished = active[left[active].any(1)]
        fresh = np.arange(following, min(following + len(active) - len(unfinished), count))
        following += len(fresh)
        active = np.concatenate([unfinished, fresh])
        report(following - len(active), count)
    return Samples(tokens.reshape(count, *shape), evaluations)


def categorical(logits: NDArray[np.float64], chance: NDArray[np.float64]) -> NDArray[np.int64]:
    """Draw from the softmax of each row of logits (N, K) by inverting its distribution function at ``chance`` (N,)."""
    cumulated = np.exp(logits - logits.max(1, keepdims=True)).cumsum(1)
    return (cumulated[:, :-1] <= chance[:, None] * cumulated[:, -1:]).sum(1)


def expected_evaluations(positions: int) -> float:
    """Mean number of distinct reveal times: ``P (1 - (1 - 1/P)^P)``."""
    return positions * (1 - (1 - 1 / positions) ** positions)
