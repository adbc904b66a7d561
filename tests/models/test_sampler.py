"""The sampler: everything is revealed once, as often as it must be, and equal logits give equal tokens."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from spikewright.models.draws import Purpose, uniforms
from spikewright.models.sampler import Samples, categorical, expected_evaluations, sample

CODES = 6
TABLE = np.random.default_rng(0).normal(size=(CODES + 1, CODES))


def predict(tokens: NDArray[np.int64]) -> NDArray[np.float64]:
    """Logits of a position from the token on its left (cyclically) and its own state."""
    return np.moveaxis(TABLE[np.roll(tokens, 1, axis=2)] + TABLE[tokens], -1, 1)


class Watching:
    """Keeps all grids that it is asked about."""

    def __init__(self) -> None:
        self.calls: list[NDArray[np.int64]] = []

    def __call__(self, tokens: NDArray[np.int64]) -> NDArray[np.float64]:
        self.calls.append(tokens.copy())
        return predict(tokens)


def test_each_evaluation_reveals_and_nothing_changes_twice() -> None:
    watching = Watching()
    made = sample(watching, 1, (3, 5), CODES, seed=4)
    seen = [call[0] for call in watching.calls] + [made.tokens[0]]
    assert (seen[0] == CODES).all()
    for before, after in itertools.pairwise(seen):
        known = before != CODES
        assert (after[known] == before[known]).all()
        assert (after != CODES).sum() > known.sum()
    assert made.tokens.max() < CODES
    assert made.evaluations.tolist() == [len(watching.calls)]


def test_no_evaluation_is_wasted() -> None:
    watching = Watching()
    made = sample(watching, 400, (7, 7), CODES, seed=1, batch=32)
    assert made.tokens.shape == (400, 7, 7)
    assert ((made.tokens >= 0) & (made.tokens < CODES)).all()
    assert sum(len(call) for call in watching.calls) == made.evaluations.sum()
    full = [len(call) for call in watching.calls]
    assert max(full) == 32
    assert full[: len(full) // 2] == [32] * (len(full) // 2)  # a finished grid makes room for the next one
    times = uniforms(1, Purpose.REVEAL, range(400), 49)
    assert made.evaluations.tolist() == [len(set(np.floor(row * 49))) for row in times]
    assert expected_evaluations(49) == pytest.approx(31.2, abs=0.05)
    error = made.evaluations.std() / np.sqrt(400)
    assert abs(made.evaluations.mean() - expected_evaluations(49)) < 4 * error


@pytest.mark.parametrize("refinements", [0, 2])
@pytest.mark.parametrize("batch", [1, 7, 50])
def test_images_depend_on_their_number_alone(batch: int, refinements: int) -> None:
    def made(count: int, seed: int = 9, **given: int) -> Samples:
        return sample(predict, count, (4, 3), CODES, seed=seed, refinements=refinements, **given)

    whole = made(30)
    assert (made(30, batch=batch).tokens == whole.tokens).all()
    later = made(12, first=18, batch=batch)
    assert (later.tokens == whole.tokens[18:]).all()
    assert (later.evaluations == whole.evaluations[18:]).all()
    assert (made(30, seed=10).tokens != whole.tokens).any()


def test_a_refinement_hides_half_and_draws_it_again_in_six_evaluations() -> None:
    watching, plain = Watching(), Watching()
    made = sample(watching, 1, (7, 7), CODES, seed=4, refinements=2)
    first = sample(plain, 1, (7, 7), CODES, seed=4)
    seen = [call[0] for call in watching.calls]
    assert all((a == b[0]).all() for a, b in zip(seen, plain.calls, strict=False))
    after = seen[len(plain.calls) :]
    assert len(after) == 2 * 6 == made.evaluations[0] - first.evaluations[0]
    assert [int((grid == CODES).sum()) for grid in after] == [24, 20, 16, 12, 8, 4] * 2
    shown = after[0] != CODES
    assert (after[0][shown] == first.tokens[0][shown]).all()
    hidden = [frozenset(np.flatnonzero(grid == CODES)) for grid in (after[0], after[6])]
    assert hidden[0] != hidden[1]
    assert made.tokens.max() < CODES
    assert expected_evaluations(49, 2) == expected_evaluations(49) + 12
    small = sample(predict, 3, (1, 2), CODES, refinements=3)
    assert (small.evaluations <= 2 + 3).all()
    with pytest.raises(ValueError, match="refinements is -1"):
        sample(predict, 1, (2, 2), CODES, refinements=-1)


def test_refining_leads_to_the_distribution_that_the_predictor_knows() -> None:
    """Of two positions that are drawn at once neither knows the other; drawn again one by one, they have their joint."""
    joint = np.array([[0.5, 0.1], [0.1, 0.3]])

    def knows(tokens: NDArray[np.int64]) -> NDArray[np.float64]:
        logits = np.zeros((len(tokens), 2, 1, 2))
        for k, (a, b) in enumerate(tokens[:, 0]):
            logits[k, :, 0, 0] = np.log(joint.sum(1) if b == 2 else joint[:, b])
            logits[k, :, 0, 1] = np.log(joint.sum(0) if a == 2 else joint[a])
        return logits

    def error(refinements: int) -> float:
        tokens = sample(knows, 4000, (1, 2), 2, seed=2, refinements=refinements).tokens[:, 0]
        found = np.array([[((tokens == (a, b)).all(1)).mean() for b in range(2)] for a in range(2)])
        return float(np.abs(found - joint).max())

    noise = 4 * 0.5 / np.sqrt(4000)
    assert error(0) > 2 * noise
    assert error(16) < noise


def test_progress_reaches_the_end() -> None:
    told: list[tuple[int, int]] = []
    sample(predict, 9, (2, 2), CODES, batch=4, report=lambda done, count: told.append((done, count)))
    assert told[-1] == (9, 9)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_nothing_is_sampled_where_nothing_is_asked_for() -> None:
    assert sample(predict, 0, (2, 2), CODES).tokens.shape == (0, 2, 2)


def test_a_temperature_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="temperature is 0"):
        sample(predict, 1, (2, 2), CODES, temperature=0)


def test_temperature_sharpens() -> None:
    logits = np.array([0.0, 1.0, 2.0, 0.5, -1.0, 0.0])

    def fixed(tokens: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.broadcast_to(logits[:, None, None], (len(tokens), CODES, 3, 3))

    for temperature in (0.5, 1.0, 2.0):
        tokens = sample(fixed, 2000, (3, 3), CODES, temperature=temperature).tokens
        share = np.bincount(tokens.ravel(), minlength=CODES) / tokens.size
        wanted = np.exp(logits / temperature) / np.exp(logits / temperature).sum()
        assert share == pytest.approx(wanted, abs=0.015)
    cold = sample(fixed, 20, (3, 3), CODES, temperature=1e-3).tokens
    assert (cold == 2).all()


def test_integer_logits_are_taken_as_they_are() -> None:
    def integers(tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.rint(predict(tokens) * 100).astype(np.int64)

    def floats(tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        return integers(tokens).astype(np.float32)

    made = [sample(f, 10, (3, 3), CODES, temperature=100.0).tokens for f in (integers, floats)]
    assert (made[0] == made[1]).all()


def test_a_categorical_draw_inverts_the_distribution_function() -> None:
    logits = np.log(np.array([[0.2, 0.5, 0.3]]).repeat(6, 0))
    chance = np.array([0.0, 0.19, 0.21, 0.69, 0.71, 1 - 2**-53])
    assert categorical(logits, chance).tolist() == [0, 0, 1, 1, 2, 2]
    assert categorical(np.array([[0.0, -2000.0]]), np.array([1 - 2**-53])).tolist() == [0]


def test_draws_depend_on_seed_purpose_image_and_position_alone() -> None:
    whole = uniforms(5, Purpose.TOKEN, range(20), 49)
    assert (uniforms(5, Purpose.TOKEN, [7, 3], 10) == whole[[7, 3], :10]).all()
    for other in (uniforms(6, Purpose.TOKEN, range(20), 49), uniforms(5, Purpose.MASK, range(20), 49)):
        assert abs(np.corrcoef(whole.ravel(), other.ravel())[0, 1]) < 0.1
        assert not np.isin(whole, other).any()
    many = uniforms(0, Purpose.REVEAL, range(2000), 20)
    assert many.min() >= 0
    assert many.max() < 1
    assert np.histogram(many, 10, (0, 1))[0] / many.size == pytest.approx(0.1, abs=0.01)
    assert uniforms(0, Purpose.REVEAL, [], 4).shape == (0, 4)
