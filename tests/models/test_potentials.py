"""Filters in time against their recursions and closed forms."""

from __future__ import annotations

import pytest
import snntorch as snn
import torch

from spikewright.models.potentials import leaky_weights, postsynaptic_potential


@pytest.mark.parametrize("steps", [1, 2, 8, 16])
def test_a_leaky_sum_is_the_last_membrane_of_an_integrator(steps: int) -> None:
    spikes = (torch.rand(steps, 3, 5, generator=torch.Generator().manual_seed(steps)) < 0.4).float()
    readout = snn.Leaky(beta=0.8, reset_mechanism="none", init_hidden=True, output=True)
    for step in spikes:
        _, membrane = readout(step)
    assert torch.allclose(torch.einsum("t,tnd->nd", leaky_weights(steps, 0.8), spikes), membrane, atol=1e-6)
    assert float(leaky_weights(steps, 0.8).sum()) == pytest.approx((1 - 0.8**steps) / 0.2, rel=1e-6)


@pytest.mark.parametrize("tau", [1.0, 2.0, 5.0])
def test_a_postsynaptic_potential_follows_its_recursion_and_closed_form(tau: float) -> None:
    spikes = (torch.rand(12, 4, 3, generator=torch.Generator().manual_seed(1)) < 0.3).double()
    potential = torch.zeros_like(spikes[0])
    made = postsynaptic_potential(spikes, tau)
    for t in range(12):
        potential = (1 - 1 / tau) * potential + spikes[t] / tau
        assert torch.allclose(made[t], potential)
    always = postsynaptic_potential(torch.ones(12, 1, dtype=torch.float64), tau)[:, 0]
    assert torch.allclose(always, 1 - (1 - 1 / tau) ** torch.arange(1, 13, dtype=torch.float64))
