"""Turns the largest of a window of spikes into an OR neuron: unit synapses, a threshold below 1, no memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..errors import ExportError
from ..graph import LIF, Graph, MaxPool, Synapses
from ..linear import Conv2d
from .spikes import fires


def lower_max_pool(graph: Graph) -> Graph:
    """Return the graph with a population of OR neurons for each maximum.

    Raises
    ------
    ExportError
        A maximum of something else than single spikes.
    """
    for name in graph.select(MaxPool):
        node = graph.nodes[name]
        assert isinstance(node, MaxPool)
        for source in graph.sources(name):
            if len(graph.sources(name)) > 1 or not fires(graph, source):
                raise ExportError(
                    f"{name}: takes the largest of {source}, which is no spike train; pool the outputs of spiking neurons"
                )
        channels = node.input_shape[0]
        weight = np.ones((channels, 1, *node.kernel), np.float32)
        pool = Conv2d(weight, node.input_shape, node.stride, node.padding, node.dilation, channels)
        synapses = f"{name}_window"
        edges = [(a, synapses if b == name else b) for a, b in graph.edges] + [(synapses, name)]
        neurons = LIF(node.shape, 0.0, np.array([0.5], np.float32))  # type: ignore[arg-type]
        nodes = {**graph.nodes, synapses: Synapses(pool), name: neurons}
        graph = replace(graph, nodes=nodes, edges=tuple(edges))
    return graph
