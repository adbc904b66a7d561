"""Biases that make the mean current of every layer what it is in the float network, whatever was rounded before it.

Quantising takes off the bias what rounding adds at the rates of the float network. Spikes of rounded layers come at other
rates, and the layers behind them see those: here samples run through the rounded network once, and layer by layer, in
order of data flow, the mean current of each channel is brought back (Nagel et al., "Data-free quantization through weight
equalization and bias correction", ICCV 2019, empirical correction).
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .calibration import Calibration
from .float_run import Numbers, outputs
from .formats import PAYLOAD_BITS
from .graph import Graph, Relay, Synapses
from .learned import Learned
from .population import MAX_BITS
from .quantise import quantise


def quantise_corrected(
    graph: Graph,
    samples: NDArray[np.float32],
    calibration: Calibration,
    *,
    bits: int,
    per_channel: bool = True,
    wide: Collection[str] | None = (),
    strict: bool = False,
    payload_bits: int = PAYLOAD_BITS,
) -> Graph:
    """Quantise a float graph, and with fewer than eight bits correct its biases.

    Parameters
    ----------
    samples : ndarray
        As for :func:`~spikewright.export.float_run.run_float`.
    calibration, bits, per_channel, wide, strict, payload_bits
        As in :func:`~spikewright.export.quantise.quantise`; biases of a strict graph stay as they were proven, and so do
        those of a graph with relays.
    """
    if bits >= MAX_BITS or wide or strict or graph.select(Relay):
        return quantise(
            graph,
            calibration,
            bits=bits,
            per_channel=per_channel,
            wide=wide,
            strict=strict,
            payload_bits=payload_bits,
        )
    learned = Learned(graph, calibration, bits, per_channel)
    correct_biases(learned, samples)
    return learned.quantised()


def correct_biases(learned: Learned, samples: NDArray[np.float32]) -> None:
    """Correct the biases of a quantised graph, in place.

    Parameters
    ----------
    samples : ndarray
        As for :func:`~spikewright.export.float_run.run_float`.
    """
    with torch.no_grad():
        seen = _Means()
        outputs(learned.origin, samples, seen)
        learned.begin(None)
        outputs(learned.origin, samples, _Corrected(learned, seen.means))


class _Means(Numbers):
    """Remembers the mean current of each channel of each layer."""

    def __init__(self) -> None:
        self.means: dict[str, Tensor] = {}

    def arrived(self, name: str, node: Synapses, current: Tensor) -> Tensor:
        self.means[name] = _by_channel(node, current)
        return current


class _Corrected(Numbers):
    """Rounded weights; biases move as currents arrive."""

    def __init__(self, learned: Learned, wanted: dict[str, Tensor]) -> None:
        self.learned, self.wanted = learned, wanted

    def weight(self, name: str, node: Synapses) -> Tensor:
        return self.learned.weight(name, node)

    def bias(self, name: str, node: Synapses) -> Tensor | None:
        return self.learned.bias(name, node)

    def arrived(self, name: str, node: Synapses, current: Tensor) -> Tensor:
        if name not in self.learned.biases:
            return current
        missing = self.wanted[name] - _by_channel(node, current)
        bias = self.learned.biases[name]
        bias += missing.repeat_interleave(len(bias) // len(missing)) / self.learned.bias_steps[name]
        return current + missing.repeat_interleave(current.shape[-1] // len(missing))


def _by_channel(node: Synapses, current: Tensor) -> Tensor:
    """Mean over samples, steps and places of currents (samples, steps, outputs)."""
    return current.unflatten(-1, (node.map.channels, -1)).mean((0, 1, 3))
