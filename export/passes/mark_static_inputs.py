"""Marks populations whose input current stays the same for a whole sample: the host computes it once.

With direct coding the first linear map sees the same real-valued sample at every step; its result enters the chip as a
bias a neuron instead of analogue values at every step.
"""

from __future__ import annotations

from dataclasses import replace

from ..errors import ExportError
from ..graph import LIF, Graph, Input, Synapses


def mark_static_inputs(graph: Graph) -> Graph:
    """Return the graph with every population that a directly coded input feeds marked ``static``.

    Raises
    ------
    ExportError
        A population fed by a direct input and by spikes as well.
    """

    def direct(synapses: str) -> bool:
        sources = [graph.nodes[s] for s in graph.sources(synapses)]
        return all(isinstance(s, Input) and s.coding == "direct" for s in sources)

    for name in graph.select(LIF):
        incoming = [s for s in graph.sources(name) if isinstance(graph.nodes[s], Synapses)]
        fed = [direct(s) for s in incoming]
        if any(fed) and not all(fed):
            raise ExportError(
                f"{name}: fed by the directly coded input and by spikes; encode the input in a layer of its own"
            )
        node = graph.nodes[name]
        assert isinstance(node, LIF)
        if fed and all(fed):
            graph = graph.with_node(name, replace(node, static=True))
    return graph
