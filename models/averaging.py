"""A running average of a network's weights, which is less noisy than the weights that the last batches left."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of everything that a network saves.

    ``average += (1 - d) (weights - average)`` with ``d = min(decay, (1 + i) / (10 + i))`` after step i: at first the
    average follows fast, or it would long remember the initial weights. Statistics of normalisations are averaged too;
    whole numbers, such as how many batches they saw, are copied.

    Parameters
    ----------
    network : nn.Module
        Whose weights as they are now are the first average.
    decay : float
        What is kept at most of the average at a step, 0 to 1.

    Attributes
    ----------
    tensors : dict of str to Tensor
        The average, by the names of ``state_dict``.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.tensors = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}

    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after step ``step``, counted from 1."""
        taken = 1 - min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, tensor in network.state_dict().items():
                average = self.tensors[name]
                if tensor.is_floating_point():
                    average.lerp_(tensor, taken)
                else:
                    average.copy_(tensor)

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over a saved average.

        Raises
        ------
        KeyError
            One of its tensors is missing.
        """
        for name, average in self.tensors.items():
            average.copy_(tensors[name])
