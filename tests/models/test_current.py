"""The fast sequence of current-based neurons against snnTorch's own steps: the same spikes and gradients."""

from __future__ import annotations

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from spikewright.models.current import FastSigmoid, Synaptic


def inputs(steps: int = 40, batch: int = 3, size: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(steps, batch, size, generator=generator) * 0.4 + 0.05


def recurrent(size: int = 5) -> nn.Linear:
    torch.manual_seed(4)
    return nn.Linear(size, size)


def stepped(current: Tensor, linear: nn.Linear | None, alpha: float, beta: float, threshold: float) -> Tensor:
    neuron = snn.Synaptic(
        alpha, beta, threshold, spike_grad=lambda x: FastSigmoid.apply(x, 10.0), reset_mechanism="zero",
        reset_delay=False, init_hidden=True,
    )  # fmt: skip
    spikes, rows = torch.zeros_like(current[0]), []
    for x in current:
        spikes = neuron(x if linear is None else x + linear(spikes))
        rows.append(spikes)
    return torch.stack(rows)


@pytest.mark.parametrize("with_recurrence", [False, True])
@pytest.mark.parametrize(("alpha", "beta", "threshold"), [(0.8, 0.9, 1.0), (0.0, 0.5, 0.3), (0.95, 1.0, 2.0)])
def test_sequence_equals_snntorch_step_by_step(
    with_recurrence: bool, alpha: float, beta: float, threshold: float
) -> None:
    linear = recurrent() if with_recurrence else None
    weights = torch.randn(40, 3, 5, generator=torch.Generator().manual_seed(9))
    results = []
    for fast in (True, False):
        current = inputs().requires_grad_()
        if linear is not None:
            linear.zero_grad()
        if fast:
            spikes, _ = Synaptic(alpha, beta, threshold).sequence(current, linear)
        else:
            spikes = stepped(current, linear, alpha, beta, threshold)
        (spikes * weights).sum().backward()
        gradients = [current.grad] if linear is None else [current.grad, linear.weight.grad, linear.bias.grad]
        results.append((spikes.detach(), [gradient.clone() for gradient in gradients]))
    (ours, our_gradients), (theirs, their_gradients) = results
    assert torch.equal(ours, theirs)
    assert 0 < ours.mean() < 1
    for one, other in zip(our_gradients, their_gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_steps_with_hidden_state_give_the_same_as_the_sequence() -> None:
    neuron, current, linear = Synaptic(0.8, 0.9), inputs(), recurrent()
    spikes, rows = torch.zeros_like(current[0]), []
    with torch.no_grad():
        for x in current:
            spikes = neuron(x + linear(spikes))
            rows.append(spikes)
        assert torch.equal(torch.stack(rows), neuron.sequence(current, linear)[0])


def test_membranes_are_those_before_the_reset() -> None:
    neuron = Synaptic(0.0, 1.0, 1.0)
    current = torch.tensor([0.75, 0.75, 0.75]).reshape(3, 1, 1)
    spikes, membranes = neuron.sequence(current)
    assert spikes.flatten().tolist() == [0, 1, 0]
    assert membranes.flatten().tolist() == [0.75, 1.5, 0.75]


def test_a_recurrent_map_without_bias() -> None:
    linear = nn.Linear(5, 5, bias=False)
    current = inputs().requires_grad_()
    spikes, _ = Synaptic(0.8, 0.9).sequence(current, linear)
    spikes.sum().backward()
    assert torch.equal(spikes.detach(), stepped(inputs(), linear, 0.8, 0.9, 1.0).detach())
    assert linear.weight.grad is not None
