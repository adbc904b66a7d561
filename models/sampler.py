"""Sampling token grids from an absorbing diffusion, on the host, whatever predicts the tokens.

The published sampler visits every time from ``T_d`` to 1 and reveals each hidden position with probability ``1/t``,
which gives each position a reveal time uniform on ``1 .. T_d``. Here these times are drawn first and only those that
reveal something are visited; the samples have the same distribution. All draws come from
:mod:`~spikewright.models.draws`, so that equal logits give equal tokens, whichever backend computed them and with
whichever images beside it.

A whole grid may then be refined, which is not published for this system: half of its positions are hidden again and
drawn anew, given the others. Of a predictor that knew the true conditionals this would change no distribution, but for
tokens that are drawn in one evaluation and do not see each other, which is so without it as well; of a trained one it
mends tokens that were drawn early, while little else was known (the corrector of discrete diffusion,
Campbell et al., arXiv 2205.14987; the jumps back of RePaint, Lugmayr et al., arXiv 2201.09865).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .absorbing import Predictor
from .draws import Purpose, uniforms

REHIDDEN = 0.5  # share of positions that a refinement hides
REDRAWN_IN = 6  # evaluations in which it draws them, as many in each


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


class Sampling:
    """A number of grids under way.

    Image ``first + i`` depends on nothing but its number, the seed and the logits: work may be split or taken up
    again anywhere.

    Parameters
    ----------
    count : int
        Grids.
    shape : tuple of int
        Height and width of a grid.
    codes : int
        ``K``; also the number of the hidden state.
    temperature : float
        Divides the logits; above 0.
    refinements : int
        How often half of a whole grid is hidden and drawn again.
    first : int
        Number of the first image.
    batch : int
        Grids to evaluate at once: as one is finished, the next takes its place.

    Attributes
    ----------
    active : ndarray of int64
        The grids that wait for logits, by their place among all; empty once everything is revealed.
    """

    def __init__(
        self,
        count: int,
        shape: tuple[int, int],
        codes: int,
        *,
        seed: int = 0,
        temperature: float = 1.0,
        refinements: int = 0,
        first: int = 0,
        batch: int = 100,
    ) -> None:
        if not temperature > 0:
            raise ValueError(f"temperature is {temperature}; give a number above 0")
        if refinements < 0:
            raise ValueError(f"refinements is {refinements}; give 0 or more")
        self.seed, self.first, self.refinements = seed, first, refinements
        self.count, self.shape, self.codes, self.temperature = count, shape, codes, temperature
        positions = shape[0] * shape[1]
        numbers = range(first, first + count)
        reveal = 1 + np.floor(uniforms(seed, Purpose.REVEAL, numbers, positions) * positions)
        self._left = reveal.astype(np.int64)  # reveal times still to come; 0 where revealed
        self._chance = uniforms(seed, Purpose.TOKEN, numbers, positions)
        self._tokens = np.full((count, positions), codes, np.int64)
        self._evaluations = np.zeros(count, np.int64)
        self._refined = np.zeros(count, np.int64)  # refinements that an image has begun
        self.active = np.arange(min(batch, count))
        self._following = len(self.active)

    @property
    def grids(self) -> NDArray[np.int64]:
        """The active grids (N, h, w), ``codes`` where hidden."""
        return self._tokens[self.active].reshape(-1, *self.shape)

    @property
    def finished(self) -> int:
        """Grids without hidden positions."""
        return self._following - len(self.active)

    @property
    def samples(self) -> Samples:
        """All grids as they are."""
        return Samples(self._tokens.reshape(-1, *self.shape), self._evaluations)

    @property
    def due(self) -> NDArray[np.bool_]:
        """Positions (N, h, w) of the active grids whose logits the next draw needs; the others may be anything."""
        left = self._left[self.active]
        return (left == left.max(1, keepdims=True)).reshape(-1, *self.shape)

    def reveal(self, logits: NDArray[np.floating | np.integer]) -> None:
        """Draw the tokens that are due from the logits (N, K, h, w) of the active grids."""
        values = np.asarray(logits, np.float64).reshape(len(self.active), self.codes, -1)
        self._evaluations[self.active] += 1
        row, position = np.nonzero(self.due.reshape(len(self.active), -1))
        image = self.active[row]
        rows = values[row, :, position] / self.temperature
        self._tokens[image, position] = categorical(rows, self._chance[image, position])
        self._left[image, position] = 0
        whole = self.active[~self._left[self.active].any(1)]
        self._hide_again(whole[self._refined[whole] < self.refinements])
        unfinished = self.active[self._left[self.active].any(1)]
        places = len(self.active) - len(unfinished)
        fresh = np.arange(self._following, min(self._following + places, self.count))
        self._following += len(fresh)
        self.active = np.concatenate([unfinished, fresh])

    def _hide_again(self, images: NDArray[np.int64]) -> None:
        """Begin a refinement of whole grids."""
        positions = self._tokens.shape[1]
        hidden, steps = redrawn(positions)
        self._refined[images] += 1
        for image in images:
            number, turn = [self.first + int(image)], int(self._refined[image])
            order = np.argsort(uniforms(self.seed, Purpose.REFINE, number, positions, turn)[0], kind="stable")
            chosen = order[:hidden]
            self._tokens[image, chosen] = self.codes
            self._left[image, chosen] = 1 + np.arange(hidden) * steps // hidden
            self._chance[image] = uniforms(self.seed, Purpose.TOKEN, number, positions, turn)[0]


def sample(
    predict: Predictor,
    count: int,
    shape: tuple[int, int],
    codes: int,
    *,
    seed: int = 0,
    temperature: float = 1.0,
    refinements: int = 0,
    first: int = 0,
    batch: int = 100,
    report: Callable[[int, int], None] = lambda done, count: None,
) -> Samples:
    """Sample grids from a predictor; parameters as of :class:`Sampling`.

    Parameters
    ----------
    predict : callable
        Logits (N, K, h, w), floats or integers, of grids (N, h, w) with ``codes`` where hidden.
    report : callable
        Is told how many grids of how many are finished.
    """
    sampling = Sampling(
        count,
        shape,
        codes,
        seed=seed,
        temperature=temperature,
        refinements=refinements,
        first=first,
        batch=batch,
    )
    while len(sampling.active):
        sampling.reveal(predict(sampling.grids))
        report(sampling.finished, count)
    return sampling.samples


def categorical(logits: NDArray[np.float64], chance: NDArray[np.float64]) -> NDArray[np.int64]:
    """Draw from the softmax of each row of logits (N, K) by inverting its distribution function at ``chance`` (N,)."""
    cumulated = np.exp(logits - logits.max(1, keepdims=True)).cumsum(1)
    return (cumulated[:, :-1] <= chance[:, None] * cumulated[:, -1:]).sum(1)


def redrawn(positions: int) -> tuple[int, int]:
    """Positions that a refinement hides, and evaluations in which it draws them."""
    hidden = max(round(REHIDDEN * positions), 1)
    return hidden, min(REDRAWN_IN, hidden)


def expected_evaluations(positions: int, refinements: int = 0) -> float:
    """Mean number of evaluations: distinct reveal times, ``P (1 - (1 - 1/P)^P)``, and those of refinements."""
    return positions * (1 - (1 - 1 / positions) ** positions) + refinements * redrawn(positions)[1]
