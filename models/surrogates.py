"""Surrogate gradients: what stands in for the derivative of a spike."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from snntorch import surrogate as snn_surrogate
from torch import Tensor


@dataclass(frozen=True)
class Rectangle:
    """Derivative 1 on ``low < x < high``, 0 elsewhere; ``x`` is the membrane minus the threshold."""

    low: float
    high: float

    @property
    def constants(self) -> tuple[float, float]:
        """The two numbers that the derivative is computed from."""
        return self.low, self.high

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

    @property
    def constants(self) -> tuple[float, float]:
        """Factor of ``x`` and height: the two numbers that the derivative is computed from."""
        return math.pi / 2 * self.alpha, self.alpha / 2

    def derivative(self, x: Tensor) -> Tensor:
        """Surrogate of ``ds/dx``, same shape."""
        factor, height = self.constants
        return (x * factor).square_().add_(1).reciprocal_().mul_(height)

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
