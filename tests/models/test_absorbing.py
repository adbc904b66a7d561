"""Absorbing diffusion: what is hidden, what is minimised, and the bound on predictors whose score is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from spikewright.models.absorbing import elbo, hide, reweighted_bits, unigram_bits

CODES = 5


def grids(count: int = 40, shape: tuple[int, int] = (3, 4), seed: int = 0) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, CODES, (count, *shape))


def test_hidden_positions_are_as_many_as_the_time_says_and_the_rest_stays() -> None:
    torch.manual_seed(0)
    tokens = torch.from_numpy(grids(6000))
    hidden, time = hide(tokens, CODES)
    where = hidden == CODES
    assert torch.equal(hidden[~where], tokens[~where])
    assert set(time.tolist()) == set(range(1, 13))
    for t in range(1, 13):
        assert float(where[time == t].float().mean()) == pytest.approx(t / 12, abs=0.03)
    assert where[time == 12].all()


def test_the_objective_weighs_the_wholly_hidden_grid() -> None:
    tokens = torch.from_numpy(grids(3))
    hidden = torch.full_like(tokens, CODES)
    uniform = torch.zeros(3, CODES, 3, 4)
    for t, weight in ((12, 1 / 12), (7, 0.5), (1, 1.0)):
        bits = reweighted_bits(uniform, tokens, hidden, torch.full((3,), t))
        assert float(bits) == pytest.approx(weight * math.log2(CODES), rel=1e-6)
    nothing = reweighted_bits(uniform, tokens, tokens, torch.full((3,), 2))
    assert float(nothing) == 0  # only hidden positions count


@pytest.mark.parametrize("shape", [(3, 4), (7, 7), (1, 1)])
@pytest.mark.parametrize("count", [11, 40])
def test_predictors_of_known_score(shape: tuple[int, int], count: int) -> None:
    tokens = grids(count, shape)

    def uniform(seen: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.full((len(seen), CODES, *shape), 7)

    asked = iter(range(0, count, 7))

    def perfect(seen: NDArray[np.int64]) -> NDArray[np.float64]:
        start = next(asked)
        own = tokens[start : start + 7]
        assert ((seen == own) | (seen == CODES)).all()
        return 1000.0 * (np.arange(CODES)[:, None, None] == own[:, None])

    assert elbo(uniform, tokens, CODES).bits == pytest.approx(math.log2(CODES), rel=1e-12)
    found = elbo(perfect, tokens, CODES, batch=7)
    assert (found.bits, found.masked_accuracy, found.grids) == (0, 1, count)


def test_a_predictor_of_frequencies_scores_their_entropy() -> None:
    tokens = np.random.default_rng(3).choice(CODES, (3000, 3, 4), p=[0.5, 0.2, 0.15, 0.1, 0.05])
    log_share = np.log(np.bincount(tokens.ravel()) / tokens.size)

    def frequencies(seen: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.broadcast_to(log_share[:, None, None], (len(seen), CODES, 3, 4))

    assert elbo(frequencies, tokens, CODES).bits == pytest.approx(unigram_bits(tokens), abs=0.03)


def test_the_bound_neither_depends_on_the_batch_nor_on_anything_but_the_seed() -> None:
    tokens = grids(30)
    logits = np.random.default_rng(1).normal(size=(CODES, 3, 4))

    def fixed(seen: NDArray[np.int64]) -> NDArray[np.float64]:
        return logits * (1 + seen[:, :1, :1].astype(float)[:, None])

    values = [
        elbo(fixed, tokens, CODES, seed=seed, batch=batch).bits for seed, batch in ((1, 30), (1, 4), (2, 30))
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-12)
    assert values[0] != pytest.approx(values[2], rel=1e-6)


def test_unigram_bits_is_the_entropy() -> None:
    assert unigram_bits(np.array([0, 1, 2, 3])) == 2
    assert unigram_bits(np.array([[0, 0], [0, 4]])) == pytest.approx(0.811278, rel=1e-5)


def test_a_grid_in_which_nothing_is_hidden_has_no_score() -> None:
    tokens = grids(1)
    with pytest.raises(ValueError, match="nothing is hidden in 1 grids of 12 positions"):
        elbo(lambda seen: np.zeros((len(seen), CODES, 3, 4)), tokens, CODES)
