"""Turns products of spikes into AND neurons: a spike where all factors spike, one step later on the chip.

Unit synapses, a threshold between the number of factors and one less, and a membrane that forgets everything.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..compose import unit_map
from ..errors import ExportError
from ..graph import LIF, Graph, Product, Synapses
from .spikes import fires


def lower_products(graph: Graph) -> Graph:
    """Return the graph with a population of AND neurons for each product.

    Raises
    ------
    ExportError
        A factor that is not made of single spikes.
    """
    for name in graph.select(Product):
        node = graph.nodes[name]
        factors = graph.sources(name)
        for factor in factors:
            if not fires(graph, factor):
                raise ExportError(
                    f"{name}: multiplies {factor}, which is no spike train; multiply the outputs of spiking neurons"
                )
        edges = [edge for edge in graph.edges if edge[1] != name]
        nodes = dict(graph.nodes)
        nodes[name] = LIF(node.shape, 0.0, np.array([len(factors) - 0.5], np.float32))  # type: ignore[arg-type]
        for factor in factors:
            synapses = f"{factor}_to_{name}"
            nodes[synapses] = Synapses(unit_map(node.shape))
            edges += [(factor, synapses), (synapses, name)]
        graph = replace(graph, nodes=nodes, edges=tuple(edges))
    return graph
