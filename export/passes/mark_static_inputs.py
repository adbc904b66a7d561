"""Marks populations with an input current that stays the same for a whole sample: the host computes it once.

With direct coding the first linear map sees the same real-valued sample at every step; its result enters the chip as a
bias a neuron instead of analogue values at every step. Spikes may feed such a population as well, as where a diffusion's
time shifts the thresholds of a hidden layer.
"""

from __future__ import annotations

from dataclasses import replace

from ..graph import LIF, Graph


def mark_static_inputs(graph: Graph) -> Graph:
    """Return the graph with every population that a directly coded input feeds marked ``static``."""
    for name in graph.select(LIF):
        node = graph.nodes[name]
        assert isinstance(node, LIF)
        if graph.direct(name):
            graph = graph.with_node(name, replace(node, static=True))
    return graph
