"""Takes out views that nobody looks at: an unused half of a chunk, a concatenation that goes nowhere.

They hold no weights, so nothing is lost. A layer or population that feeds nothing was meant to, and is refused.
"""

from __future__ import annotations

from ..errors import ExportError
from ..graph import Graph, Identity, Output, Reshape, Select

VIEWS = (Identity, Reshape, Select)


def remove_unseen(graph: Graph) -> Graph:
    """Return the graph in which every node leads on.

    Raises
    ------
    ExportError
        A layer or population feeds nothing.
    """
    while unseen := [
        n for n, node in graph.nodes.items() if not (isinstance(node, Output) or graph.targets(n))
    ]:
        for name in unseen:
            if not isinstance(graph.nodes[name], VIEWS):
                raise ExportError(f"{name}: feeds nothing; remove the layer or connect it")
            graph = graph.without(name)
    return graph
