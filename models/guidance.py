"""Threshold guidance: a trained spiking network sampled with other thresholds (Cao et al., arXiv 2306.17046)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from .neurons import Leaky


@contextmanager
def firing_threshold(network: nn.Module, threshold: float) -> Iterator[None]:
    """All neurons of a network fire above ``threshold`` instead of their own; afterwards above their own again.

    Below the one that it was trained with they fire more, which the paper calls inhibitory guidance; above, less. It
    counts for whole sequences, single steps and whatever is traced meanwhile.

    Raises
    ------
    ValueError
        It is not above zero.
    """
    if not threshold > 0:
        raise ValueError(f"threshold is {threshold}; give a number above 0")
    neurons = [module for module in network.modules() if isinstance(module, Leaky)]
    own = [neuron.fires_above for neuron in neurons]
    for neuron in neurons:
        neuron.fires_above = threshold
    try:
        yield
    finally:
        for neuron, value in zip(neurons, own, strict=True):
            neuron.fires_above = value


def scale_thresholds(network: nn.Module, factor: float) -> None:
    """Multiply the threshold of every neuron of a network, for good."""
    for module in network.modules():
        if isinstance(module, Leaky):
            module.fires_above *= factor
