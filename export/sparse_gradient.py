"""The product of a sparse map with spikes, for learning: gradients of both, for the entries that exist alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from .linear import Sparse

#: Products that the gradient of the weights holds at a time.
CHUNK = 1 << 23


class SparseProduct(torch.autograd.Function):
    """``forward(map, x, weight)``: outputs (N, outputs) of inputs (N, inputs)."""

    @staticmethod
    def forward(ctx: Any, map_: Sparse, x: Tensor, weight: Tensor) -> Tensor:
        """Apply the map."""
        ctx.map = map_
        ctx.save_for_backward(x, weight)
        return map_.forward(x.detach(), weight.detach())

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[None, Tensor | None, Tensor | None]:
        """Gradients of inputs and weights."""
        (y,) = upstream
        x, weight = ctx.saved_tensors
        map_: Sparse = ctx.map
        of_x = map_.adjoint(y, weight) if ctx.needs_input_grad[1] else None
        if not ctx.needs_input_grad[2]:
            return None, of_x, None
        rows = torch.from_numpy(np.repeat(np.arange(map_.channels), np.diff(map_.row_pointer)))
        columns = torch.from_numpy(map_.columns.astype(np.int64))
        # Whole rows of memory are gathered, not single numbers.
        inputs, outputs = x.T.contiguous(), y.T.contiguous()
        size = max(1, CHUNK // max(1, len(x)))
        parts = [
            (inputs[columns[a : a + size]] * outputs[rows[a : a + size]]).sum(1)
            for a in range(0, len(columns), size)
        ]
        return None, of_x, torch.cat(parts) if parts else torch.zeros_like(weight)
