"""Spike trains filtered in time: postsynaptic potentials, and the last membrane of a leaky integrator."""

from __future__ import annotations

import torch
from torch import Tensor


def leaky_weights(timesteps: int, decay: float) -> Tensor:
    """Weight of each step in the last membrane of a leaky integrator: ``decay^(T - 1 - t)``, shape (T,)."""
    return decay ** torch.arange(timesteps - 1, -1, -1, dtype=torch.get_default_dtype())


def postsynaptic_potential(spikes: Tensor, tau: float) -> Tensor:
    """Exponentially filtered spikes of unit area: ``p[t] = (1 - 1/tau) p[t-1] + s[t] / tau``, ``p[-1] = 0``.

    Parameters
    ----------
    spikes : Tensor
        Shape (T, ...).
    tau : float
        Time constant in steps.

    Returns
    -------
    Tensor
        Same shape.
    """
    steps = torch.arange(spikes.shape[0], device=spikes.device)
    lag = steps[:, None] - steps
    response = torch.where(lag < 0, 0.0, (1 - 1 / tau) ** lag.clamp_min(0) / tau).to(spikes.dtype)
    return torch.einsum("ts,s...->t...", response, spikes)
