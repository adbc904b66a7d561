"""Graph passes: one idea a file, each a pure function from graph to graph."""

from __future__ import annotations

from ..graph import Graph, Pass
from ..levels import require
from .fold_batch_norm import fold_batch_norm
from .join_maps import join_maps
from .lift_host_functions import lift_host_functions
from .lower_max_pool import lower_max_pool
from .lower_products import lower_products
from .mark_relays import mark_relays
from .mark_static_inputs import mark_static_inputs
from .remove_identity import remove_identity
from .remove_unseen import remove_unseen

#: From the traced graph to the float level, in order.
TO_FLOAT: tuple[Pass, ...] = (
    remove_unseen,
    lower_products,
    lower_max_pool,
    remove_identity,
    fold_batch_norm,
    mark_relays,
    lift_host_functions,
    join_maps,
    mark_static_inputs,
)


def to_float(traced: Graph) -> Graph:
    """Lower a traced graph to the float level.

    Raises
    ------
    ExportError
        A pass cannot lower a node, or the result is not legal at the float level.
    """
    graph = traced
    for lower in TO_FLOAT:
        graph = lower(graph)
    require(graph, "float")
    return graph
