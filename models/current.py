"""Current-based neurons: snnTorch's ``Synaptic``, with a fast path over a whole sequence and recurrence.

As in :mod:`.neurons`, the sequence path computes the floats of the stepped module inside one autograd function with
a hand-written backward pass.
"""

from __future__ import annotations

from typing import Any

import snntorch as snn
import torch
from torch import Tensor, nn


def fast_sigmoid(x: Tensor, slope: float) -> Tensor:
    """Surrogate derivative ``1 / (1 + slope |x|)^2`` at ``x``, the membrane minus the threshold."""
    return (1 + slope * x.abs()).square().reciprocal()


class FastSigmoid(torch.autograd.Function):
    """Heaviside step forward; :func:`fast_sigmoid` backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: float) -> Tensor:
        """Return 1 where ``x > 0``."""
        ctx.save_for_backward(x)
        ctx.slope = slope
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """Scale the gradient by the surrogate derivative."""
        (x,) = ctx.saved_tensors
        return grads[0] * fast_sigmoid(x, ctx.slope), None


class _SynapticSequence(torch.autograd.Function):
    """Whole-sequence current-based LIF with reset to zero; the gradient flows through the reset as well.

    ``s[t] = alpha s[t-1] + I[t] + W o[t-1] + b``, ``u[t] = beta u[t-1] (1 - o[t-1]) + s[t]``,
    ``o[t] = [u[t] > threshold]``.
    """

    @staticmethod
    def forward(
        ctx: Any,
        current: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        alpha: float,
        beta: float,
        threshold: float,
        slope: float,
    ) -> tuple[Tensor, Tensor]:
        membranes = torch.empty_like(current)
        spikes = torch.empty_like(current)
        syn = torch.zeros_like(current[0])
        mem = torch.zeros_like(current[0])
        spike = torch.zeros_like(current[0])
        for t in range(current.shape[0]):
            drive = current[t]
            if weight is not None:
                drive = drive + nn.functional.linear(spike, weight, bias)
            syn = alpha * syn + drive
            mem = torch.add(beta * mem, syn, out=membranes[t])
            spike = torch.gt(mem - threshold, 0, out=spikes[t])
            mem = mem - spike * mem
        ctx.save_for_backward(membranes, spikes, weight)
        ctx.has_bias = bias is not None
        ctx.constants = (alpha, beta, threshold, slope)
        ctx.mark_non_differentiable(membranes)
        return spikes, membranes

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        membranes, spikes, weight = ctx.saved_tensors
        alpha, beta, threshold, slope = ctx.constants
        surrogate = fast_sigmoid(membranes - threshold, slope)
        passed = surrogate * grads[0]
        # du[t+1]/du[t] through the membrane is beta times this: kept where there was no spike, and through the reset.
        kept = beta * (1 - spikes - membranes * surrogate)
        back = None if weight is None else surrogate
        to_current = torch.empty_like(membranes)
        grad_syn = torch.zeros_like(membranes[0])  # dL/ds[t+1]
        grad_mem = torch.zeros_like(membranes[0])  # dL/du[t+1]
        for t in range(membranes.shape[0] - 1, -1, -1):
            grad_mem = torch.addcmul(passed[t], grad_mem, kept[t])
            if back is not None:
                grad_mem = torch.addcmul(grad_mem, grad_syn @ weight, back[t])
            grad_syn = torch.add(grad_mem, grad_syn, alpha=alpha, out=to_current[t])
        grad_weight = grad_bias = None
        if weight is not None:
            flat = to_current.reshape(-1, weight.shape[0])
            grad_weight = to_current[1:].reshape(-1, weight.shape[0]).T @ spikes[:-1].reshape(
                -1, weight.shape[1]
            )
            grad_bias = flat.sum(0) if ctx.has_bias else None
        return to_current, grad_weight, grad_bias, None, None, None, None


class Synaptic(snn.Synaptic):
    """``snn.Synaptic`` with immediate reset to zero, hidden state, and a fast :meth:`sequence`.

    Parameters
    ----------
    alpha, beta : float
        Decays of current and membrane a step, 0 to 1.
    threshold : float
        Firing threshold (strict: a spike needs ``u > threshold``).
    slope : float
        Of the surrogate gradient, see :func:`fast_sigmoid`.
    """

    def __init__(self, alpha: float, beta: float, threshold: float = 1.0, slope: float = 10.0) -> None:
        super().__init__(
            alpha=alpha,
            beta=beta,
            threshold=threshold,
            spike_grad=lambda x: FastSigmoid.apply(x, slope),
            init_hidden=True,
            reset_mechanism="zero",
            reset_delay=False,
        )
        self._constants = (float(alpha), float(beta), float(threshold), float(slope))

    def sequence(self, current: Tensor, recurrent: nn.Linear | None = None) -> tuple[Tensor, Tensor]:
        """Spikes of a whole sequence from zero state.

        Parameters
        ----------
        current : Tensor
            Input current, shape (T, N, n).
        recurrent : nn.Linear, optional
            Applied to the spikes of the step before (zeros at the first) and added to the current.

        Returns
        -------
        spikes, membranes : Tensor
            Spikes 0/1 and membranes before the reset, same shape; no gradient flows through the membranes.
        """
        weight, bias = (None, None) if recurrent is None else (recurrent.weight, recurrent.bias)
        spikes, membranes = _SynapticSequence.apply(current, weight, bias, *self._constants)
        return spikes, membranes
