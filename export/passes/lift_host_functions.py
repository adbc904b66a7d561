"""Moves what the host computes out of the graph and into its list of host steps.

A function of the read-out is applied by the host after the run. A resampling point lets spikes pass through on the
chip; the host may cut there and inject spikes of its own.
"""

from __future__ import annotations

from ..errors import ExportError
from ..graph import LI, LIF, Graph, HostFunction, HostStep, Output, Relay


def lift_host_functions(graph: Graph) -> Graph:
    """Return the graph without host functions, and with a host step for each.

    Raises
    ------
    ExportError
        A function elsewhere than between a read-out and the output, or a resampling point not fed by spikes.
    """
    for name in graph.select(HostFunction):
        node = graph.nodes[name]
        assert isinstance(node, HostFunction)
        sources = graph.sources(name)
        before = graph.nodes[sources[0]]
        if node.kind == "resample":
            if not isinstance(before, LIF):
                raise ExportError(
                    f"{name}: resamples the output of {sources[0]}, which is not a spiking layer"
                )
        elif (
            not isinstance(before, LI)
            or isinstance(before, Relay)
            or not all(isinstance(graph.nodes[t], Output) for t in graph.targets(name))
        ):
            raise ExportError(
                f"{name}: {node.kind} is the host's and may stand only between a membrane read-out and the output"
            )
        graph = graph.without(name).with_host_step(HostStep(node.kind, sources[0]))
    return graph
