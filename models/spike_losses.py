"""Losses on spike counts and firing rates; a sample's class is the output neuron that spikes most often."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def count_loss(counts: Tensor, labels: Tensor, steps: int) -> Tensor:
    """Cross-entropy on spike counts (N, classes) over ``steps`` time steps.

    The counts are scaled by ``20 / steps``: the softmax then saturates at the same share of steps with a spike,
    however long a sample is.
    """
    return nn.functional.cross_entropy(counts * (20.0 / steps), labels)


def rate_loss(spikes: list[Tensor], low: float, high: float) -> Tensor:
    """Squared excess of each neuron's mean rate over ``high`` and deficit under ``low``, mean over neurons.

    Rates are spikes a step and neuron, averaged over batch and time, shape (T, N, ...) each.
    """
    rates = torch.cat([s.mean((0, 1)).flatten() for s in spikes])
    return ((rates - high).clamp_min(0).square() + (low - rates).clamp_min(0).square()).mean()


def classification(
    counts: Tensor,
    labels: Tensor,
    hidden: list[Tensor],
    steps: int,
    rate_penalty: float,
    bounds: tuple[float, float],
) -> dict[str, Tensor]:
    """Losses of a batch; ``total`` is what is minimised.

    Parameters
    ----------
    counts : Tensor
        Output spikes, shape (N, classes).
    labels : Tensor
        Classes (N,).
    hidden : list of Tensor
        Spikes (T, N, ...) of the populations whose rates are held within ``bounds``.
    steps : int
        Time steps of a sample.
    """
    entropy = count_loss(counts, labels, steps)
    return {
        "total": entropy + rate_penalty * rate_loss(hidden, *bounds),
        "entropy": entropy,
        "accuracy": (counts.argmax(1) == labels).float().mean(),
        "rate": mean_rate(hidden),
    }


def mean_rate(spikes: list[Tensor]) -> Tensor:
    """Spikes a neuron and step, over all neurons of tensors (T, N, ...)."""
    return torch.stack([s.sum() for s in spikes]).sum() / sum(s.numel() for s in spikes)
