"""The fast neuron against snnTorch's, against the published equation, and its gradient against autograd."""

from __future__ import annotations

import numpy as np
import pytest
import snntorch as snn
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spikewright.models.neurons import Leaky
from spikewright.models.surrogates import ATan, RectangularSurrogate

WINDOW = (-0.7, 0.3)


def currents(seed: int, steps: int, *shape: int, scale: float = 0.4) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(steps, *shape, generator=generator) * scale


def stepped(neuron: snn.Leaky, current: Tensor) -> Tensor:
    neuron.reset_mem()
    return torch.stack([neuron(step) for step in current])


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**31), steps=st.integers(1, 20), beta=st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]),
    threshold=st.sampled_from([0.05, 0.2, 1.0]),
)  # fmt: skip
def test_a_sequence_is_bit_for_bit_what_stepping_gives(
    seed: int, steps: int, beta: float, threshold: float
) -> None:
    current = currents(seed, steps, 3, 2, 5, 7)
    neuron = Leaky(beta, threshold, WINDOW)
    sequence = neuron.sequence(current)
    assert torch.equal(sequence, stepped(neuron, current))
    for delayed in (True, False):
        plain = snn.Leaky(beta, threshold, init_hidden=True, reset_mechanism="zero", reset_delay=delayed)
        assert torch.equal(sequence, stepped(plain, current))


def test_a_sequence_is_the_published_equation() -> None:
    """u[t] = 0.25 u[t-1] (1 - o[t-1]) + I[t], o[t] = [u[t] > 0.2], in float32 one operation at a time."""
    current = currents(0, 30, 4, 11).numpy()
    spikes = Leaky(0.25, 0.2, WINDOW).sequence(torch.from_numpy(current)).numpy()
    u = o = np.zeros((4, 11), np.float32)
    for t in range(30):
        u = np.float32(0.25) * u * (1 - o) + current[t]
        o = (u > np.float32(0.2)).astype(np.float32)
        assert (spikes[t] == o).all()
    assert 0.1 < spikes.mean() < 0.9


def test_at_the_threshold_a_neuron_keeps_still() -> None:
    spikes = Leaky(0.5, 0.25, WINDOW).sequence(torch.tensor([[0.25], [0.125], [0.5]]))
    assert spikes.flatten().tolist() == [0.0, 0.0, 1.0]  # 0.25, then 0.125 + 0.125, then above


def test_each_sequence_starts_from_rest() -> None:
    neuron = Leaky(0.9, 0.5, WINDOW)
    current = currents(3, 6, 5)
    first = neuron.sequence(current)
    stepped(neuron, currents(4, 6, 5))  # the hidden state of stepping plays no part
    assert torch.equal(neuron.sequence(current), first)


class _Reference(torch.autograd.Function):
    """Heaviside forward, the documented rectangle backward."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)  # type: ignore[attr-defined]
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: object, *grads: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return torch.where((x > WINDOW[0]) & (x < WINDOW[1]), grads[0], torch.zeros_like(x))


def unrolled(current: Tensor, beta: float, threshold: float, detach: bool) -> Tensor:
    """The equation, differentiated by autograd through the reset as well."""
    membrane = spikes = torch.zeros_like(current[0])
    out = []
    for step in current:
        reset = spikes.detach() if detach else spikes
        membrane = beta * membrane * (1 - reset) + step
        spikes = _Reference.apply(membrane - threshold)
        out.append(spikes)
    return torch.stack(out)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31), steps=st.integers(1, 12), beta=st.sampled_from([0.0, 0.25, 0.9, 1.0]),
    threshold=st.sampled_from([0.2, 1.0]),
)  # fmt: skip
def test_the_gradient_is_autograds_with_a_reset_that_is_not_detached(
    seed: int, steps: int, beta: float, threshold: float
) -> None:
    current = currents(seed, steps, 3, 6).double()
    weight = torch.randn(steps, 3, 6, generator=torch.Generator().manual_seed(seed + 1)).double()
    grads = []
    for run in (
        lambda x: Leaky(beta, threshold, WINDOW).sequence(x),
        lambda x: unrolled(x, beta, threshold, detach=False),
    ):
        x = current.clone().requires_grad_()
        (run(x) * weight).sum().backward()
        grads.append(x.grad)
    assert torch.allclose(grads[0], grads[1], rtol=1e-9, atol=1e-12)  # type: ignore[arg-type]


def test_a_detached_reset_would_give_another_gradient() -> None:
    grads = []
    for detach in (False, True):
        x = currents(0, 12, 3, 6).double().requires_grad_()
        unrolled(x, 0.9, 0.2, detach).sum().backward()
        grads.append(x.grad)
    assert not torch.allclose(grads[0], grads[1])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("x", "passes"), [(-0.71, 0), (-0.7, 0), (-0.69, 1), (0.0, 1), (0.29, 1), (0.3, 0), (0.31, 0)]
)
def test_the_surrogate_window_is_open_at_both_ends(x: float, passes: int) -> None:
    at = torch.tensor([x], dtype=torch.float64, requires_grad=True)
    RectangularSurrogate.apply(at, *WINDOW).backward()
    assert at.grad is not None
    assert at.grad.item() == passes


def test_the_surrogate_fires_above_the_threshold_and_not_at_it() -> None:
    assert RectangularSurrogate.apply(torch.tensor([-1e-6, 0.0, 1e-6]), *WINDOW).tolist() == [0, 0, 1]


def test_stepping_uses_the_same_window() -> None:
    x = torch.linspace(-1, 1, 40, dtype=torch.float64).requires_grad_()
    Leaky(0.25, 0.2, WINDOW)(x[None]).sum().backward()
    inside = (x.detach() - 0.2 > WINDOW[0]) & (x.detach() - 0.2 < WINDOW[1])
    assert x.grad is not None
    assert torch.equal(x.grad != 0, inside)


def spikingjelly(current: Tensor) -> Tensor:
    """Its LIF as the authors of Spiking-Diffusion use it: tau 2, half the current taken in, hard reset to 0."""
    v = torch.zeros_like(current[0])
    out = []
    for x in current:
        v = v + (x - v) / 2
        spike = (v >= 1).to(v.dtype)
        v = torch.where(spike > 0, torch.zeros_like(v), v)
        out.append(spike)
    return torch.stack(out)


@pytest.mark.parametrize("seed", range(4))
def test_the_neuron_of_spiking_diffusion_fires_as_spikingjellys(seed: int) -> None:
    current = currents(seed, 16, 8, 16, 14, 14, scale=2.0)
    neuron = Leaky(0.5, 1.0, ATan())
    sequence = neuron.sequence(0.5 * current)
    assert int((sequence != spikingjelly(current)).sum()) == 0
    assert torch.equal(sequence, stepped(neuron, 0.5 * current))
    assert 0.05 < sequence.mean() < 0.5


def test_the_arctangents_derivative_is_the_published_one() -> None:
    x = torch.linspace(-3, 3, 61, dtype=torch.float64)
    assert torch.allclose(ATan().derivative(x), 1 / (1 + (np.pi * x) ** 2))
    assert torch.allclose(ATan(4.0).derivative(x), 2 / (1 + (2 * np.pi * x) ** 2))
    at = x.clone().requires_grad_()
    ATan(4.0).spike(at).sum().backward()
    assert torch.allclose(ATan(4.0).derivative(x), at.grad)  # type: ignore[arg-type]


class _ATanReference(torch.autograd.Function):
    """Heaviside forward, the documented arctangent backward."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)  # type: ignore[attr-defined]
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: object, *grads: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return grads[0] / (1 + (np.pi * x) ** 2)


def test_the_arctangent_passes_back_through_time_and_reset() -> None:
    current = currents(5, 9, 3, 6, scale=1.0).double()
    weight = torch.randn(9, 3, 6, generator=torch.Generator().manual_seed(6)).double()
    x = current.clone().requires_grad_()
    (Leaky(0.5, 1.0, ATan()).sequence(x) * weight).sum().backward()
    y = current.clone().requires_grad_()
    membrane = spikes = torch.zeros_like(y[0])
    out = []
    for step in y:
        membrane = 0.5 * membrane * (1 - spikes) + step
        spikes = _ATanReference.apply(membrane - 1.0)
        out.append(spikes)
    (torch.stack(out) * weight).sum().backward()
    assert torch.allclose(x.grad, y.grad, rtol=1e-9, atol=1e-12)  # type: ignore[arg-type]
