"""The latent of spikes: its gate, its prior, and the distance between the two, by brute force."""

from __future__ import annotations

from math import exp

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewright.models.latent import PoissonLatent, RatePrior, SpikeRelay, _Bernoulli, squared_mmd


def test_a_spike_is_drawn_where_the_noise_is_below_the_rate() -> None:
    rates, noise = (
        torch.tensor([[[0.0, 0.25, 0.5, 1.0]]]),
        torch.tensor([0.0, 0.25, 0.499, 0.999]).view(4, 1, 1),
    )
    drawn = _Bernoulli.apply(rates, noise.expand(4, 1, 4))
    assert drawn[:, 0].T.tolist() == [[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]


def test_the_gradient_passes_where_rate_and_noise_are_less_than_half_apart() -> None:
    rates = torch.tensor([[[0.0, 0.25, 1.0]]], requires_grad=True)
    noise = torch.tensor([[0.0, 0.74, 0.51], [0.49, 0.75, 0.50], [0.5, 0.76, 0.49]]).view(3, 1, 3)
    weight = torch.tensor([1.0, 10.0, 100.0]).view(3, 1, 1)
    (_Bernoulli.apply(rates, noise) * weight).sum().backward()
    assert rates.grad is not None
    assert rates.grad.flatten().tolist() == [11.0, 1.0, 1.0]


def test_each_input_spike_gets_its_share_of_the_gated_gradient() -> None:
    torch.manual_seed(0)
    spikes = torch.randint(0, 2, (6, 3, 4)).float().requires_grad_()
    noise = torch.rand(6, 3, 4)
    state = torch.get_rng_state()
    torch.manual_seed(5)
    out = PoissonLatent()(spikes)
    torch.manual_seed(5)
    noise = torch.rand_like(spikes)
    torch.set_rng_state(state)
    rates = spikes.detach().mean(0)
    assert torch.equal(out.detach(), (noise < rates).float())
    grad = torch.randn(6, 3, 4)
    out.backward(grad)
    wanted = (grad * ((rates - noise).abs() < 0.5)).sum(0) / 6
    assert spikes.grad is not None
    assert torch.allclose(spikes.grad, wanted.expand(6, 3, 4), atol=1e-7)


def test_resampling_keeps_the_rate_and_forgets_the_order() -> None:
    torch.manual_seed(0)
    spikes = torch.zeros(2000, 1, 3)
    spikes[:500, :, 1], spikes[:, :, 2] = 1, 1
    drawn = PoissonLatent()(spikes)
    assert drawn[:, 0, 0].sum() == 0
    assert drawn[:, 0, 2].sum() == 2000
    assert drawn[:, 0, 1].mean() == pytest.approx(0.25, abs=0.04)
    assert drawn[500:, 0, 1].mean() == pytest.approx(0.25, abs=0.04)


def test_the_relay_hands_spikes_on_and_says_what_it_is() -> None:
    spikes = torch.randint(0, 2, (3, 4)).float()
    assert SpikeRelay()(spikes) is spikes
    assert SpikeRelay.spikewright_host_step == "resample"


def test_the_prior_is_a_sigmoid_of_a_linear_map_of_normal_noise() -> None:
    prior = RatePrior(4)
    rates = prior(6, torch.Generator().manual_seed(3))
    noise = torch.randn(6, 4, generator=torch.Generator().manual_seed(3))
    assert torch.allclose(rates, torch.sigmoid(noise @ prior.linear.weight.T + prior.linear.bias))
    assert ((rates > 0) & (rates < 1)).all()


def brute_force(x: list[list[float]], y: list[list[float]], unbiased: bool) -> float:
    """The published formula, pair by pair."""
    joined = x + y

    def distance(a: list[float], b: list[float]) -> float:
        return sum((i - j) ** 2 for i, j in zip(a, b, strict=True))

    size = len(joined)
    mean = sum(distance(a, b) for i, a in enumerate(joined) for j, b in enumerate(joined) if i != j) / (
        size * (size - 1)
    )

    def kernel(a: list[float], b: list[float]) -> float:
        return sum(exp(-distance(a, b) / (mean * factor)) for factor in (0.25, 0.5, 1, 2, 4))

    n = len(x)
    within = sum(
        kernel(s[i], s[j]) for s in (x, y) for i in range(n) for j in range(n) if i != j or not unbiased
    ) / (n * (n - 1) if unbiased else n * n)
    return within - 2 * sum(kernel(a, b) for a in x for b in y) / (n * n)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 7), st.integers(1, 5), st.booleans())
def test_the_distance_is_the_formula_pair_by_pair(seed: int, count: int, size: int, unbiased: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(count, size, generator=generator, dtype=torch.float64)
    y = torch.rand(count, size, generator=generator, dtype=torch.float64) ** 2
    wanted = brute_force(x.tolist(), y.tolist(), unbiased)
    assert float(squared_mmd(x, y, unbiased=unbiased)) == pytest.approx(wanted, abs=1e-10)


def test_equal_samples_have_no_distance_not_even_without_a_bandwidth() -> None:
    x = torch.rand(8, 3)
    assert float(squared_mmd(x, x)) == pytest.approx(0, abs=1e-6)
    same = torch.full((8, 3), 0.5, requires_grad=True)
    distance = squared_mmd(same, torch.full((8, 3), 0.5))
    distance.backward()
    assert float(distance.detach()) == 0
    assert same.grad is not None
    assert torch.isfinite(same.grad).all()


def test_the_bandwidth_has_no_gradient() -> None:
    x = torch.rand(5, 3, dtype=torch.float64).requires_grad_()
    y = torch.rand(5, 3, dtype=torch.float64)
    squared_mmd(x, y).backward()
    assert x.grad is not None
    joined = torch.cat([x, y]).detach()
    mean = (joined[:, None] - joined[None]).square().sum(-1).sum() / 90

    def fixed(value: torch.Tensor) -> torch.Tensor:
        both = torch.cat([value, y])
        d = (both[:, None] - both[None]).square().sum(-1)
        k = sum(torch.exp(-d / (mean * f)) for f in (0.25, 0.5, 1, 2, 4))
        assert isinstance(k, torch.Tensor)
        return k[:5, :5].mean() + k[5:, 5:].mean() - 2 * k[:5, 5:].mean()

    again = x.detach().clone().requires_grad_()
    fixed(again).backward()
    assert torch.allclose(x.grad, again.grad, atol=1e-12)  # type: ignore[arg-type]


def test_the_unbiased_distance_of_one_distribution_is_about_zero_the_biased_is_not() -> None:
    torch.manual_seed(0)
    draws = [(torch.rand(64, 4), torch.rand(64, 4)) for _ in range(12)]
    unbiased = torch.stack([squared_mmd(x, y, unbiased=True) for x, y in draws]).mean()
    biased = torch.stack([squared_mmd(x, y) for x, y in draws]).mean()
    assert abs(float(unbiased)) < 0.01
    assert float(biased) > 0.02
