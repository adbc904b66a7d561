"""Sampling from a Gaussian diffusion: analytic cases, draws by name, work split and taken up again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spikewright.models.denoising_samplers import Denoising, denoise
from spikewright.models.draws import Purpose, normals, uniforms
from spikewright.models.noise_schedule import NoiseSchedule

SCHEDULE, SHAPE = NoiseSchedule(), (3, 8, 12)
MEAN, WIDTH = 0.3, 0.5  # of the Gaussian that the analytic predictor knows


def optimal(seen: NDArray[np.float64], time: int) -> NDArray[np.float64]:
    """The noise that independent Gaussian pixels are expected to hold: linear in what is seen."""
    left = SCHEDULE.alpha_bar[time]
    return np.sqrt(1 - left) * (seen - np.sqrt(left) * MEAN) / (left * WIDTH**2 + 1 - left)


def test_the_schedule_is_the_published_one() -> None:
    assert SCHEDULE.beta[[0, -1]].tolist() == [1e-4, 0.02]
    assert np.diff(SCHEDULE.beta) == pytest.approx((0.02 - 1e-4) / 999)
    assert SCHEDULE.alpha_bar[0] == 1 - 1e-4
    assert SCHEDULE.alpha_bar[-1] == pytest.approx(4.0358e-5, rel=1e-3)
    image, seen = SCHEDULE.posterior
    assert (image[0], seen[0]) == (pytest.approx(1, abs=1e-12), 0)
    # The mean of the step before, of an image that is seen without noise, is that image with less taken off.
    assert image + seen * np.sqrt(SCHEDULE.alpha_bar) == pytest.approx(np.sqrt(SCHEDULE.before))
    assert SCHEDULE.spread[1:] == pytest.approx(np.sqrt(SCHEDULE.beta[1:]))
    assert 0 < SCHEDULE.spread[0] < SCHEDULE.spread[1]
    assert SCHEDULE.strided(1).tolist() == [999]
    assert SCHEDULE.strided(3).tolist() == [999, 500, 0]
    assert SCHEDULE.strided(1000).tolist() == [*range(999, -1, -1)]
    for count in (0, 1001):
        with pytest.raises(ValueError, match=f"{count} steps of a diffusion of 1000"):
            SCHEDULE.strided(count)


@pytest.mark.parametrize("steps", [1, 2, 7, 50])
def test_ddim_of_a_gaussian_is_the_product_of_its_steps(steps: int) -> None:
    """Each step multiplies the distance from the mean: both parts of an image, and of its noise, are known shares of it."""
    start = normals(5, Purpose.START, range(4), 288).reshape(4, *SHAPE)
    left = SCHEDULE.alpha_bar[SCHEDULE.strided(steps)]
    variance = left * WIDTH**2 + 1 - left
    then = np.append(left[1:], 1.0)
    factor = np.prod((np.sqrt(left * then) * WIDTH**2 + np.sqrt((1 - left) * (1 - then))) / variance)
    wanted = MEAN + factor * (start - np.sqrt(left[0]) * MEAN)
    made = denoise(optimal, 4, SHAPE, SCHEDULE, steps=steps, seed=5, clamp=None)
    assert made == pytest.approx(wanted, abs=1e-10)


def test_ddim_of_all_steps_carries_the_gaussian_over() -> None:
    """In the limit, quantiles go to quantiles: a pixel keeps its number of standard deviations."""
    start = normals(5, Purpose.START, range(4), 288).reshape(4, *SHAPE)
    made = denoise(optimal, 4, SHAPE, SCHEDULE, steps=1000, seed=5, clamp=None)
    assert made == pytest.approx(MEAN + WIDTH * start, abs=0.03)


def test_ddpm_of_a_gaussian_has_its_statistics() -> None:
    mean, variance = 0.0, 1.0
    of_image, of_seen = SCHEDULE.posterior
    for time in range(999, -1, -1):
        left = SCHEDULE.alpha_bar[time]
        gain = (
            np.sqrt(left) * WIDTH**2 / (left * WIDTH**2 + 1 - left)
        )  # of the image expected from what is seen
        factor = of_image[time] * gain + of_seen[time]
        mean = factor * mean + of_image[time] * MEAN * (1 - gain * np.sqrt(left))
        variance = factor**2 * variance + (SCHEDULE.beta[time] if time else 0)
    assert mean == pytest.approx(MEAN, abs=1e-3)
    made = denoise(optimal, 20, SHAPE, SCHEDULE, steps=None, seed=1, clamp=None)
    assert made.mean() == pytest.approx(mean, abs=4 * WIDTH / np.sqrt(made.size))
    assert made.var() == pytest.approx(variance, rel=4 * np.sqrt(2 / made.size))
    assert made.var() == pytest.approx(WIDTH**2, rel=0.06)
    flat = made.reshape(-1, 2)
    assert abs(np.corrcoef(flat[:, 0], flat[:, 1])[0, 1]) < 4 / np.sqrt(len(flat))


@pytest.mark.parametrize("steps", [None, 10])
def test_images_are_held_within_their_range_ahead_of_the_mean(steps: int | None) -> None:
    """A predictor that says an image far outside leads to its edge, and straight there."""
    schedule = NoiseSchedule(30)

    def far(seen: NDArray[np.float64], time: int) -> NDArray[np.float64]:
        left = schedule.alpha_bar[time]
        return (seen - np.sqrt(left) * 9.0) / np.sqrt(1 - left)

    assert denoise(far, 2, SHAPE, schedule, steps=steps) == pytest.approx(1.0)
    free = denoise(far, 2, SHAPE, schedule, steps=steps, clamp=None)
    assert free == pytest.approx(9.0)
    under_way = Denoising(2, SHAPE, schedule, steps=steps)
    seen, time = under_way.noisy, under_way.time
    under_way.step(far(seen, time))
    image, of_seen = schedule.posterior
    if steps is None:
        noise = normals(0, Purpose.NOISE, range(2), 288, time).reshape(seen.shape)
        assert under_way.noisy == pytest.approx(
            image[time] + of_seen[time] * seen + np.sqrt(schedule.beta[time]) * noise
        )


def nonlinear(seen: NDArray[np.float64], time: int) -> NDArray[np.float64]:
    return np.sin(3 * seen) + 0.1 * time * np.roll(seen, 1, 2)


@pytest.mark.parametrize("steps", [None, 6])
@pytest.mark.parametrize("batch", [1, 3, 20])
def test_images_depend_on_their_number_alone(steps: int | None, batch: int) -> None:
    settings: dict[str, Any] = {"steps": steps, "seed": 8}
    schedule = NoiseSchedule(12)
    whole = denoise(nonlinear, 7, SHAPE, schedule, **settings)
    assert (denoise(nonlinear, 7, SHAPE, schedule, batch=batch, **settings) == whole).all()
    later = denoise(nonlinear, 4, SHAPE, schedule, first=3, batch=batch, **settings)
    assert (later == whole[3:]).all()
    assert (denoise(nonlinear, 7, SHAPE, schedule, steps=steps, seed=9) != whole).any()


@pytest.mark.parametrize("steps", [None, 6])
@pytest.mark.parametrize("stop", [1, 5, 6, 9])
def test_work_taken_up_again_ends_in_the_same_images(steps: int | None, stop: int) -> None:
    schedule = NoiseSchedule(6)
    settings: dict[str, Any] = {"steps": steps, "seed": 8, "batch": 3}
    whole = denoise(nonlinear, 7, SHAPE, schedule, **settings)
    first, second = (Denoising(7, SHAPE, schedule, **settings) for _ in range(2))
    for _ in range(stop):
        first.step(nonlinear(first.noisy, first.time))
    second.restore(first.state())
    while len(second.active):
        assert second.finished == second.active[0]
        second.step(nonlinear(second.noisy, second.time))
    assert (second.images == whole).all()
    third = Denoising(7, SHAPE, schedule, **settings)
    third.restore(second.state())
    assert not len(third.active)
    assert (third.images == whole).all()


def test_a_state_of_something_else_is_refused() -> None:
    state = Denoising(7, SHAPE, SCHEDULE, batch=3).state()
    for other in (Denoising(7, (1, 8, 12), SCHEDULE, batch=3), Denoising(7, SHAPE, SCHEDULE, batch=4)):
        with pytest.raises(ValueError, match="belongs to other parameters"):
            other.restore(state)


@pytest.mark.parametrize(
    ("bad", "said"),
    [(np.zeros((2, 3, 8, 11)), r"noise of shape \(2, 3, 8, 11\)"), (np.full((2, *SHAPE), np.nan), "not finite at index")],
)  # fmt: skip
def test_noise_that_does_not_fit_is_refused(bad: NDArray[np.float64], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Denoising(2, SHAPE, SCHEDULE).step(bad)


def test_progress_is_told_and_nothing_is_made_where_nothing_is_asked_for() -> None:
    told: list[tuple[int, int]] = []
    schedule = NoiseSchedule(4)
    denoise(nonlinear, 5, SHAPE, schedule, steps=2, batch=2, report=lambda *at: told.append(at))
    assert told == [(0, 5), (2, 5), (2, 5), (4, 5), (4, 5), (5, 5)]
    assert denoise(nonlinear, 0, SHAPE, schedule, steps=2).shape == (0, *SHAPE)
    with pytest.raises(ValueError, match="batch is 0"):
        Denoising(1, SHAPE, schedule, steps=2, batch=0)


def test_normal_numbers_are_those_of_the_uniform_ones() -> None:
    made = normals(3, Purpose.NOISE, range(300), 50, 7)
    assert made.mean() == pytest.approx(0, abs=0.03)
    assert made.std() == pytest.approx(1, abs=0.02)
    assert (made**4).mean() == pytest.approx(3, abs=0.2)
    assert ((made < 0) == (uniforms(3, Purpose.NOISE, range(300), 50, 7) < 0.5)).all()
    assert (normals(3, Purpose.NOISE, [9, 2], 20, 7) == made[[9, 2], :20]).all()
    for other in (normals(3, Purpose.NOISE, range(300), 50, 8), normals(3, Purpose.START, range(300), 50, 7)):
        assert abs(np.corrcoef(made.ravel(), other.ravel())[0, 1]) < 0.04
    assert (uniforms(3, Purpose.NOISE, range(3), 5) == uniforms(3, Purpose.NOISE, range(3), 5, 0)).all()


def test_the_ends_of_the_uniform_numbers_are_finite_and_mirror_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends = np.array([[0.0, 1 - 2.0**-53, 0.25, 0.75 - 2.0**-53, 0.5]])
    monkeypatch.setattr("spikewright.models.draws.uniforms", lambda *of: ends)
    low, high, quarter, other, middle = normals(0, Purpose.NOISE, [0], 5)[0]
    assert np.isfinite(low)
    assert low == -high
    assert low < -8
    assert quarter == -other
    assert 0 < middle < 1e-15
