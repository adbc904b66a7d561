"""From each float to its integer and back: the constants of a layer, with the error that rounding made."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from .formats import ALIGNMENT_SHIFT, CURRENT_DECAY_OFFSET, DECAY_ONE, bias_value, weight_unit
from .graph import LIF, Graph, IntegerNeuron, Node, Synapses
from .linear import expand_channels, per_channel


@dataclass(frozen=True)
class Link:
    """One constant: its float, the integer that stands for it, and that integer back in float units.

    Where a layer has many (thresholds, weights, biases) it is the one that rounding moved most.
    """

    quantity: str
    float_value: float
    integer_value: int
    back: float

    @property
    def error_percent(self) -> float:
        """Deviation of the integer from the float, in per cent of the float."""
        if self.float_value == 0:
            return 0.0 if self.back == 0 else float("inf")
        return 100 * (self.back / self.float_value - 1)


def scale_chain(integer: Graph, original: Graph | None = None) -> dict[str, list[Link]]:
    """Constants of each population.

    Parameters
    ----------
    integer : Graph
        At the integer level.
    original : Graph, optional
        The float graph it came from; without it weights and biases are left out.
    """
    chains: dict[str, list[Link]] = {}
    for name in integer.select(IntegerNeuron):
        node = integer.nodes[name]
        assert isinstance(node, IntegerNeuron)
        decay = np.broadcast_to(1 - node.origin.beta, node.membrane_decay.shape)
        links = [_worst("membrane decay", decay, node.membrane_decay, node.membrane_decay / DECAY_ONE)]
        if node.origin.alpha.any():
            decay = np.broadcast_to(1 - node.origin.alpha, node.current_decay.shape)
            register = node.current_decay + CURRENT_DECAY_OFFSET
            links.append(_worst("current decay", decay, node.current_decay, register / DECAY_ONE))
        if isinstance(node.origin, LIF):
            theta = np.broadcast_to(node.origin.threshold.astype(np.float64), (prod(node.shape),))
            back = (node.threshold << ALIGNMENT_SHIFT) / graph_scale(node)
            links.append(_worst("threshold", theta, node.threshold, back))
        for s in integer.sources(name):
            before = integer.nodes[s]
            source = None if original is None else original.nodes.get(s)
            if isinstance(before, Synapses) and before.exponent is not None and isinstance(source, Synapses):
                finer = next((n for n in integer.nodes.values() if getattr(n, "refines", "") == s), None)
                sender = integer.nodes[integer.sources(s)[0]]
                unit = sender.payload_unit if isinstance(sender, IntegerNeuron) else 1.0
                links += _synapses(node, before, finer, source, unit)
        chains[name] = links
    return chains


def graph_scale(node: IntegerNeuron) -> NDArray[np.float64]:
    """Membrane units per unit of the float graph (``node.scale`` leads back to the network behind it)."""
    return np.asarray(node.scale / node.origin.unit)


def _synapses(
    node: IntegerNeuron, quantised: Synapses, finer: Node | None, source: Synapses, unit: float
) -> list[Link]:
    """Links of synapses behind what sends so many units a float unit."""
    assert quantised.exponent is not None
    map_, exponent = quantised.map, quantised.exponent
    weight = map_.weight.astype(np.int64)
    if isinstance(finer, Synapses) and finer.exponent is not None:
        weight = (weight << (exponent - finer.exponent)) + finer.map.weight
        exponent = finer.exponent
    scale = graph_scale(node)
    by_channel = scale.reshape(map_.channels, -1)[:, 0] / weight_unit(exponent)
    back = weight * unit / per_channel(map_, by_channel)
    links = [_worst("weight", source.map.weight.astype(np.float64), weight, back)]
    if source.bias is not None:
        value = bias_value(node.bias_mantissa, node.bias_exponent)
        if node.line.size:
            value = node.line << ALIGNMENT_SHIFT
        bias = expand_channels(source.bias.astype(np.float64), node.shape)
        links.append(_worst("bias, corrected for rounded weights", bias, value, value / scale))
    return links


def _worst(
    quantity: str, floats: NDArray[np.floating], integers: NDArray[np.integer], back: NDArray[np.floating]
) -> Link:
    at = np.unravel_index(int(np.argmax(np.abs(back - floats))), floats.shape)
    return Link(quantity, float(floats[at]), int(integers[at]), float(back[at]))
