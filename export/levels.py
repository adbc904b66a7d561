"""What is legal at each level of the graph: one table a level, checked after every pass in tests and on request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Literal, TypeAlias

import numpy as np

from . import formats
from .errors import ExportError
from .graph import (
    LI,
    LIF,
    BatchNorm,
    Graph,
    HostFunction,
    Identity,
    Input,
    IntegerNeuron,
    Node,
    Output,
    Reshape,
    Synapses,
    size,
)

Level: TypeAlias = Literal["traced", "float", "integer"]

#: Node types of each level.
NODES: dict[Level, tuple[type, ...]] = {
    "traced": (Input, Output, Synapses, BatchNorm, Reshape, Identity, HostFunction, LIF, LI),
    "float": (Input, Output, Synapses, LIF, LI),
    "integer": (Input, Output, Synapses, IntegerNeuron),
}
NEURONS = (LIF, LI, IntegerNeuron)


@dataclass(frozen=True)
class Finding:
    """Something a check found.

    Attributes
    ----------
    severity : str
        ``error``, ``warning`` or ``note``.
    node, rule, detail, remedy : str
        Where, which rule, the numbers, and what to do.
    """

    severity: Literal["error", "warning", "note"]
    node: str
    rule: str
    detail: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.node}: {self.detail}; {self.remedy}"


def check(graph: Graph, level: Level) -> list[Finding]:
    """Every breach of a level's rules; never raises for an illegal graph."""
    findings = list(_dangling(graph))
    if findings:
        return findings
    for name, node in graph.nodes.items():
        if not isinstance(node, NODES[level]):
            detail = f"{type(node).__name__} does not belong to the {level} level"
            findings.append(Finding("error", name, "node type", detail, "a pass must lower it first"))
        findings += _finite(name, node)
        findings += _sizes(graph, name, node)
        if level != "traced":
            findings += _neighbours(graph, name, node)
        if level == "integer":
            findings += _ranges(graph, name, node)
    return findings


def require(graph: Graph, level: Level) -> None:
    """Raise the first error that :func:`check` finds, and say how many there are.

    Raises
    ------
    ExportError
        The graph is not legal at this level.
    """
    errors = [f for f in check(graph, level) if f.severity == "error"]
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise ExportError(f"{errors[0]}{more}")


def _dangling(graph: Graph) -> Iterator[Finding]:
    for a, b in graph.edges:
        for name in (a, b):
            if name not in graph.nodes:
                yield Finding("error", name, "edges", f"edge {a} -> {b} names no node", "export the graph again")


def _finite(name: str, node: Node) -> Iterator[Finding]:
    arrays = {
        "weight": node.map.weight if isinstance(node, Synapses) else None,
        "bias": node.bias if isinstance(node, Synapses) else None,
        "threshold": node.threshold if isinstance(node, LIF) else None,
    }
    for label, array in arrays.items():
        if array is not None and not np.isfinite(array).all():
            bad = int((~np.isfinite(array)).sum())
            yield Finding(
                "error", name, "finite", f"{label} holds {bad} NaN or infinite values", "train again with a lower rate"
            )


def _sizes(graph: Graph, name: str, node: Node) -> Iterator[Finding]:
    for source in graph.sources(name):
        wanted = prod(node.map.input_shape) if isinstance(node, Synapses) else size(node)
        given = size(graph.nodes[source])
        if wanted != given:
            yield Finding("error", name, "size", f"takes {wanted} values, {source} gives {given}", "check the layer's shape")


def _neighbours(graph: Graph, name: str, node: Node) -> Iterator[Finding]:
    """Who may feed whom once a graph is lowered."""
    sources = [(s, graph.nodes[s]) for s in graph.sources(name)]

    def wrong(detail: str, remedy: str) -> Finding:
        return Finding("error", name, "neighbours", detail, remedy)

    if isinstance(node, Input):
        return
    if not sources:
        yield wrong("nothing feeds it", "remove the layer or connect it")
    for source, before in sources:
        if isinstance(node, Synapses) and not (isinstance(before, Input) or _fires(before)):
            yield wrong(f"is fed by {source}, which gives no spikes", "put a spiking layer between two linear layers")
        if isinstance(node, NEURONS) and not isinstance(before, Synapses):
            yield wrong(f"is fed by {source} without synapses", "put a linear layer before the neurons")
        if isinstance(node, Output) and not isinstance(before, NEURONS):
            yield wrong(f"comes from {source}, which is no neuron", "end the network with neurons or a leaky read-out")
        if isinstance(before, Input) and before.coding == "direct" and isinstance(node, Synapses):
            fed = [graph.nodes[t] for t in graph.targets(name)]
            if not all(isinstance(t, LIF | IntegerNeuron) and t.static for t in fed):
                yield wrong(f"sees real values of {source}", "follow the first linear layer by spiking neurons")
    if isinstance(node, Synapses) and len(sources) > 1:
        yield wrong("adds spike trains before its weights", "give each branch a linear layer of its own and add the results")
    if not isinstance(node, Output) and not graph.targets(name):
        yield wrong("feeds nothing", "remove the layer or connect it")


def _fires(node: Node) -> bool:
    return isinstance(node, LIF) or (isinstance(node, IntegerNeuron) and not node.readout)


def _ranges(graph: Graph, name: str, node: Node) -> Iterator[Finding]:
    def outside(label: str, low: int, high: int, array: object) -> Iterator[Finding]:
        values = np.asarray(array)
        if values.min(initial=low) < low or values.max(initial=high) > high:
            worst = values.min() if values.min() < low else values.max()
            yield Finding("error", name, "range", f"{label} {worst} is outside {low}..{high}", "quantise the graph again")

    if isinstance(node, IntegerNeuron):
        yield from outside("threshold", 0, formats.THRESHOLD_MAX, node.threshold)
        yield from outside("bias mantissa", -formats.BIAS_MANTISSA_MAX, formats.BIAS_MANTISSA_MAX, node.bias_mantissa)
        yield from outside("bias exponent", 0, formats.BIAS_EXPONENT_MAX, node.bias_exponent)
        yield from outside("membrane decay", 0, formats.DECAY_ONE, node.membrane_decay)
    if isinstance(node, Synapses) and not all(isinstance(graph.nodes[s], Input) for s in graph.sources(name)):
        if node.map.weight.dtype != np.int8:
            detail = f"weights are {node.map.weight.dtype}"
            yield Finding("error", name, "integer weights", detail, "quantise the graph")
        if node.exponent is None:
            yield Finding("error", name, "integer weights", "has no weight exponent", "quantise the graph")
        else:
            low, high = formats.WEIGHT_EXPONENT_MIN, formats.WEIGHT_EXPONENT_MAX
            yield from outside("weight exponent", low, high, node.exponent)
