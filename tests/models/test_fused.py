"""The loops on a processor against the same operations one after the other in torch: equal floats, both ways."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spikewright.models import neurons
from spikewright.models.neurons import Leaky
from spikewright.models.surrogates import ATan

SURROGATES = [(-0.7, 0.3), ATan(), ATan(3.0)]


def both_ways(neuron: Leaky, current: Tensor, weights: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Spikes, and the gradient of their weighted sum, by the loops and by torch."""
    found = []
    for loops in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            if not loops:
                patch.setattr(neurons, "runs_in_loops", lambda tensor: False)
            given = current.detach().clone().requires_grad_()
            spikes = neuron.sequence(given)
            (spikes * weights).sum().backward()
            assert given.grad is not None
            found.append((spikes.detach(), given.grad))
    return found


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31), steps=st.integers(1, 17), neurons=st.sampled_from([1, 7, 2047, 2048, 2049, 20_001]),
    beta=st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]), threshold=st.sampled_from([0.05, 1.0]),
    surrogate=st.sampled_from(SURROGATES), threads=st.integers(1, 3),
)  # fmt: skip
def test_loops_and_torch_agree_to_the_last_bit(
    seed: int, steps: int, neurons: int, beta: float, threshold: float, surrogate: ATan, threads: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    current, weights = torch.randn(2, steps, neurons, generator=generator)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        (spikes, gradient), (expected, wanted) = both_ways(
            Leaky(beta, threshold, surrogate), current + threshold / 2, weights
        )
    finally:
        torch.set_num_threads(before)
    assert torch.equal(spikes, expected)
    assert torch.equal(gradient, wanted)


def test_one_current_for_all_steps_and_layouts_that_are_not_contiguous() -> None:
    generator = torch.Generator().manual_seed(5)
    neuron = Leaky(0.5, 1.0, ATan())
    image = torch.randn(3, 5, 7, generator=generator)
    weights = torch.randn(3, 7, 5, 6, generator=generator).permute(3, 0, 2, 1)
    turned = torch.randn(3, 7, 5, 6, generator=generator).permute(3, 0, 2, 1)
    for current in (image.expand(6, 3, 5, 7) * 1.0, turned, image.expand(6, 3, 5, 7)):
        (spikes, gradient), (expected, wanted) = both_ways(neuron, current, weights)
        assert torch.equal(spikes, expected)
        assert torch.equal(gradient, wanted)
    assert 0 < spikes.mean() < 1

    static = image.clone().requires_grad_()
    (neuron.sequence(static.expand(6, 3, 5, 7)) * weights).sum().backward()
    assert static.grad is not None
    torch.testing.assert_close(static.grad, wanted.sum(0))


def test_not_a_number_stays_one() -> None:
    """A network with a broken weight must not train on as if nothing was wrong."""
    current = torch.zeros(3, 4)
    current[0, 1] = torch.nan
    (spikes, gradient), (expected, wanted) = both_ways(Leaky(0.5, 1.0, ATan()), current, torch.ones(3, 4))
    assert torch.equal(spikes, expected)
    assert torch.equal(gradient.isnan(), wanted.isnan())
    assert gradient[:, 1].isnan().all()


def test_double_precision_is_left_to_torch() -> None:
    assert not neurons.runs_in_loops(torch.zeros(2, 3, dtype=torch.float64))
    spikes = Leaky(0.5, 1.0, ATan()).sequence(torch.full((4, 3), 0.8, dtype=torch.float64))
    assert spikes.dtype == torch.float64
    assert spikes[:, 0].tolist() == [0, 1, 0, 1]
