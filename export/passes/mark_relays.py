"""Marks populations that hand their membranes on: on a chip they are graded relays.

An integrator without memory holds the sum of one step's currents and no more. Where that is not read out but weighed by
further synapses, maps do not join across it: it stays a population, and what it hands on is a value.
"""

from __future__ import annotations

from ..graph import LI, Graph, HostFunction, Identity, Output, Relay, Reshape


def mark_relays(graph: Graph) -> Graph:
    """Return the graph with every memoryless integrator that feeds more than the output as a relay."""
    for name in graph.select(LI):
        node = graph.nodes[name]
        assert isinstance(node, LI)
        if not (node.alpha.any() or node.beta.any()) and _hands_on(graph, name):
            graph = graph.with_node(name, Relay(node.shape, unit=node.unit))
    return graph


def _hands_on(graph: Graph, name: str) -> bool:
    targets = [(t, graph.nodes[t]) for t in graph.targets(name)]
    return any(
        _hands_on(graph, t)
        if isinstance(node, Identity | Reshape)
        else not isinstance(node, Output | HostFunction)
        for t, node in targets
    )
