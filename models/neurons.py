"""Leaky integrate-and-fire neurons: snnTorch's, with a fast path over a whole sequence.

Stepping ``snn.Leaky`` through time builds one autograd node an operation and step. The sequence path here computes
the same floats in the same order inside one autograd function with a hand-written backward pass; a test holds the two
to zero differing spikes.
"""

from __future__ import annotations

from typing import Any

import snntorch as snn
import torch
from torch import Tensor

from .surrogates import ATan, Rectangle


def runs_in_loops(tensor: Tensor) -> bool:
    """Whether :mod:`~spikewright.models.fused` takes a tensor: 32-bit floats on the processor."""
    return tensor.device.type == "cpu" and tensor.dtype == torch.float32


class _LeakySequence(torch.autograd.Function):
    """Whole-sequence LIF with reset to zero; the gradient flows through the reset as well.

    ``u[t] = beta u[t-1] (1 - o[t-1]) + I[t]``, ``o[t] = [u[t] > threshold]``.
    """

    @staticmethod
    def forward(
        ctx: Any, current: Tensor, beta: float, threshold: float, surrogate: Rectangle | ATan
    ) -> Tensor:
        ctx.constants = (beta, threshold, surrogate)
        if runs_in_loops(current):
            from .fused import leaky_forward  # loads a compiler

            membranes, spikes = leaky_forward(current, beta, threshold)
            ctx.save_for_backward(membranes, spikes)
            return spikes
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
        return spikes

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        membranes, spikes = ctx.saved_tensors
        beta, threshold, surrogate = ctx.constants
        grad_spikes = grads[0]
        if runs_in_loops(grad_spikes):
            from .fused import leaky_backward

            found = leaky_backward(grad_spikes, membranes, spikes, beta, threshold, surrogate)
            return found, None, None, None
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
        self.threshold: Tensor
        self._constants = (float(beta), float(threshold), shape)

    @property
    def fires_above(self) -> float:
        """The threshold, of single steps and of whole sequences; may be set."""
        return self._constants[1]

    @fires_above.setter
    def fires_above(self, threshold: float) -> None:
        beta, _, shape = self._constants
        self._constants = (beta, float(threshold), shape)
        self.threshold = torch.full_like(self.threshold, threshold)

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
