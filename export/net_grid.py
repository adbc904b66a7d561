"""Integer graphs rounded to what netx can hold: weights without exponents, biases in steps of 64 membrane units.

Our quantiser uses the whole membrane: exponents that scale weights up, and biases to the unit. netx has neither. Scaling
a population down by a power of two brings its weights into range unchanged, and rounds thresholds and biases.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from . import formats
from .graph import Graph, IntegerNeuron, Synapses
from .levels import require
from .linear import with_weight
from .net_layers import UNIT

_TOP = (1 << (formats.WEIGHT_BITS - 1)) - 1


def to_net_grid(graph: Graph) -> Graph:
    """The nearest graph without weight exponents above 0, finer weights beside the 8-bit ones, or bias fractions.

    Spikes may change where a threshold or bias was rounded: run both. What netx cannot hold for other reasons is left.

    Parameters
    ----------
    graph : Graph
        At the integer level; static populations stay as they are.

    Raises
    ------
    ExportError
        The graph is not legal.
    """
    require(graph, "integer")
    out = graph
    for name in graph.select(IntegerNeuron):
        node = graph.nodes[name]
        assert isinstance(node, IntegerNeuron)
        if node.static:
            continue
        for s in graph.sources(name):
            if getattr(
                graph.nodes[s], "refines", ""
            ):  # rounding to 8 bits is leaving out what goes beyond them
                nodes = {n: other for n, other in out.nodes.items() if n != s}
                out = replace(out, nodes=nodes, edges=tuple(e for e in out.edges if s not in e))
        groups = {s: g for s in out.sources(name) if isinstance(g := out.nodes[s], Synapses)}
        shift = max(0, *(_too_high(group) for group in groups.values()))
        for s, group in groups.items():
            out = out.with_node(s, _lowered(group, shift))
        out = out.with_node(name, _rounded(node, shift))
    require(out, "integer")
    return out


def _too_high(group: Synapses) -> int:
    """Powers of two by which the largest weight exceeds a synapse."""
    assert group.exponent is not None
    largest = int(np.abs(group.map.weight.astype(np.int64)).max(initial=0))
    room = (_TOP // max(largest, 1)).bit_length() - 1
    return group.exponent - room


def _lowered(group: Synapses, shift: int) -> Synapses:
    """The weights divided by a power of two, through the exponent as far as it goes."""
    assert group.exponent is not None
    exponent = max(group.exponent - shift, formats.WEIGHT_EXPONENT_MIN)
    lost = exponent - (group.exponent - shift)
    weight = np.rint(np.ldexp(group.map.weight.astype(np.float64), -lost)).astype(np.int8)
    return replace(group, map=with_weight(group.map, weight), exponent=exponent)


def _rounded(node: IntegerNeuron, shift: int) -> IntegerNeuron:
    bias = formats.bias_value(node.bias_mantissa, node.bias_exponent)
    whole = np.rint(bias / (UNIT << shift)).astype(np.int64) * UNIT
    mantissa, exponent = formats.split_bias(whole)
    threshold = np.rint(node.threshold / (1 << shift)).astype(np.int64)
    line = np.rint(node.line / (1 << shift)).astype(np.int64)
    return replace(
        node,
        threshold=np.full_like(threshold, formats.THRESHOLD_MAX) if node.readout else threshold,
        bias_mantissa=mantissa,
        bias_exponent=exponent,
        scale=node.scale / (1 << shift),
        line=line if line.any() else np.zeros(0, np.int64),
    )
