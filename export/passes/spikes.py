"""Where values are single spikes, 0 or 1."""

from __future__ import annotations

from ..graph import LIF, Graph, HostFunction, Identity, Input, MaxPool, Product, Reshape, Select


def fires(graph: Graph, name: str) -> bool:
    """Whether every value of a node is 0 or 1, at every step."""
    node = graph.nodes[name]
    if isinstance(node, Input):
        return node.coding == "spikes" and node.peak == 1
    if isinstance(node, LIF | MaxPool | Product):
        return True
    if isinstance(node, HostFunction):
        return node.kind == "resample"
    sources = graph.sources(name)
    if isinstance(node, Reshape | Select) or (isinstance(node, Identity) and len(sources) == 1):
        return all(fires(graph, source) for source in sources)
    if isinstance(node, Identity):  # the meeting point of a concatenation: parts that do not overlap
        parts = [graph.nodes[s] for s in sources]
        taken = sum((p.index >= 0).astype(int) for p in parts if isinstance(p, Select))
        apart = all(isinstance(p, Select) for p in parts) and bool((taken <= 1).all())  # type: ignore[union-attr]
        return apart and all(fires(graph, source) for source in sources)
    return False
