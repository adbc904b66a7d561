"""Leaky integrate-and-fire neurons: snnTorch's, with a fast path over a whole sequence.

Stepping ``snn.Leaky`` through time builds one autograd node an operation and step. The sequence path here computes
the same floats in the same order inside one autograd function with a hand-written backward pass; a test holds the two
to zero differing spikes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import snntorch as snn
import torch
from snntorch import surrogate as snn_surrogate
from torch import Tensor


@dataclass(frozen=True)
class Rectangle:
    """Derivative 1 on ``low < x < high``, 0 elsewhere; ``x`` is the membrane minus the threshold."""

    low: float
    high: float

    def derivative(self, x: Tensor) -> Tensor:
        """Surrogate of ``ds/dx``, same shape."""
        return (x > self.low) & (x < self.high)

    def spike(self, x: Tensor) -> Tensor:
        """Heaviside step with this derivative, for stepping."""
        spikes: Tensor = RectangularSurrogate.apply(x, self.low, self.high)
        return spikes


@dataclass(frozen=True)
class ATan:
    """Derivative ``(alpha / 2) / (1 + (pi alpha x / 2)^2)``; with alpha 2, ``1 / (1 + (pi x)^2)`` (Fang et al. 2021)."""

    alpha: float = 2.0

    def derivative(self, x: Tensor) -> Tensor:
        """Surrogate of ``ds/dx``, same shape."""
        scaled = x * (math.pi / 2 * self.alpha)
        return scaled.square_().add_(1).reciprocal_().mul_(self.alpha / 2)

    def spike(self, x: Tensor) -> Tensor:
        """Heaviside step with this derivative, for stepping: snnTorch's own."""
        step: Callable[[Tensor], Tensor] = snn_surrogate.atan(alpha=self.alpha)
        return step(x)


class RectangularSurrogate(torch.autograd.Function):
    """Heaviside step forward; a rectangle of height 1 on ``low < x < high`` backward.

    ``x`` is the membrane minus the threshold, as snnTorch hands it over.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: float, high: float) -> Tensor:
        """Return 1 where ``x > 0``."""
        ctx.save_for_backward(x)
        ctx.window = (low, high)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        """Pass the gradient inside the window."""
        (x,) = ctx.saved_tensors
        low, high = ctx.window
        return grads[0] * ((x > low) & (x < high)), None, None


class _LeakySequence(torch.autograd.Function):
    """Whole-sequence LIF with reset to zero; the gradient flows through the reset as well.

    ``u[t] = beta u[t-1] (1 - o[t-1]) + I[t]``, ``o[t] = [u[t] > threshold]``.
    """

    @staticmethod
    def forward(
        ctx: Any, current: Tensor, beta: float, threshold: float, surrogate: Rectangle | ATan
    ) -> Tensor:
        membranes = torch.empty_like(current)
        spikes = torch.empty_like(current)
        membrane = torch.zeros_like(current[0])
        reset = torch.zeros_like(current[0])
        for t in range(current.shape[0]):
            # The order of operations is snnTorch's, so that the rounding is too.
            membrane = torch.add(
                torch.mul(torch.mul(1 - reset, membrane), beta), current[t], out=membranes[t]
            )
            reset = torch.gt(membrane - threshold, 0, out=spikes[t])
        ctx.save_for_backward(membranes, spikes)
        ctx.constants = (beta, threshold, surrogate)
        return spikes

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        membranes, spikes = ctx.saved_tensors
        beta, threshold, surrogate = ctx.constants
        grad_spikes = grads[0]
        out = torch.empty_like(membranes)
        later = torch.zeros_like(membranes[0])  # dL/du[t+1]
        for t in range(membranes.shape[0] - 1, -1, -1):
            u = membranes[t]
            gate = surrogate.derivative(u - threshold)
            carried = beta * later
            grad_o = grad_spikes[t] - carried * u
            later = torch.add(grad_o * gate, carried * (1 - spikes[t]), out=out[t])
        return out, None, None, None


class Leaky(snn.Leaky):
    """``snn.Leaky`` with reset to zero, hidden state, and a fast :meth:`sequence`.

    Parameters
    ----------
    beta : float
        Membrane decay a step, 0 to 1.
    threshold : float
        Firing threshold (strict: a spike needs ``u > threshold``).
    surrogate : tuple of float, or ATan
        Gradient of a spike over ``u - threshold``; two numbers are the window of a :class:`Rectangle`.
    """

    def __init__(self, beta: float, threshold: float, surrogate: tuple[float, float] | ATan) -> None:
        shape = surrogate if isinstance(surrogate, ATan) else Rectangle(*surrogate)
        super().__init__(
            beta=beta,
            threshold=threshold,
            spike_grad=shape.spike,
            init_hidden=True,
            reset_mechanism="zero",
        )
        self._constants = (float(beta), float(threshold), shape)

    def sequence(self, current: Tensor) -> Tensor:
        """Spikes of a whole sequence from zero state.

        Parameters
        ----------
        current : Tensor
            Input current, shape (T, N, ...).

        Returns
        -------
        Tensor
            Spikes 0/1, same shape.
        """
        spikes: Tensor = _LeakySequence.apply(current, *self._constants)
        return spikes
