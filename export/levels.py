"""What is legal at each level of the graph: one table a level, checked after every pass in tests and on request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite, prod
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

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
    findings = [*_edges(graph), *_settings(graph, level)]
    if any(f.rule == "edges" for f in findings):
        return findings
    findings += _ends(graph)
    for name, node in graph.nodes.items():
        if not isinstance(node, NODES[level]):
            detail = f"{type(node).__name__} does not belong to the {level} level"
            findings.append(Finding("error", name, "node type", detail, "a pass must lower it first"))
        findings += _finite(name, node)
        findings += _sizes(graph, name, node)
        findings += _values(name, node)
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


def _edges(graph: Graph) -> Iterator[Finding]:
    for a, b in graph.edges:
        for name in (a, b):
            if name not in graph.nodes:
                yield Finding(
                    "error", name, "edges", f"edge {a} -> {b} names no node", "export the graph again"
                )
    for step in graph.host_steps:
        if step.node not in graph.nodes:
            detail = f"the host step {step.kind} stands at no node"
            yield Finding("error", step.node, "edges", detail, "export the graph again")
    for (a, b), count in Counter(graph.edges).items():
        if count > 1:
            detail = f"is fed {count} times by {a}"
            yield Finding(
                "error", b, "edges", detail, "scale the weights instead of adding a value to itself"
            )
    try:
        graph.order()
    except ExportError as error:
        detail = str(error).removeprefix(f"{graph.name}: ")
        yield Finding("error", graph.name, "edges", detail, "unroll the recurrence")


def _settings(graph: Graph, level: Level) -> Iterator[Finding]:
    settings = graph.settings

    def wrong(detail: str, remedy: str) -> Finding:
        return Finding("error", graph.name, "settings", detail, remedy)

    if not (isinstance(settings.timesteps, int) and settings.timesteps >= 1):
        yield wrong(f"timesteps is {settings.timesteps!r}", "a sample takes at least one step")
    if not (isinstance(settings.dt, float) and isfinite(settings.dt) and settings.dt > 0):
        yield wrong(f"dt is {settings.dt!r}", "state the seconds of a step")
    if settings.reset != "zero":
        yield wrong(f"reset is {settings.reset!r}", "the chip's neuron resets to zero: train with that")
    if level == "integer" and settings.weight_bits not in range(2, formats.WEIGHT_BITS + 1):
        yield wrong(f"weight_bits is {settings.weight_bits!r}", f"quantise to 2..{formats.WEIGHT_BITS} bits")
    if level != "integer" and settings.weight_bits is not None:
        yield wrong(f"weight_bits is {settings.weight_bits!r}", f"a graph at the {level} level has none")


def _ends(graph: Graph) -> Iterator[Finding]:
    """One input and one output: what the host writes and reads must be beyond doubt."""
    for kind in (Input, Output):
        names = [name for name, node in graph.nodes.items() if isinstance(node, kind)]
        if len(names) != 1:
            label = kind.__name__.lower()
            detail = f"has {len(names)} {label}s ({', '.join(names) or 'none'})"
            yield Finding("error", graph.name, "ends", detail, f"give the network one {label}")
    for name, node in graph.nodes.items():
        sources = graph.sources(name)
        if isinstance(node, Output) and len(sources) > 1:
            detail = f"adds {' and '.join(sources)}"
            yield Finding("error", name, "ends", detail, "add in front of the last neurons")
        if isinstance(node, Input) and sources:
            yield Finding("error", name, "ends", f"is fed by {sources[0]}", "start the network at its input")


def _arrays(node: Node) -> dict[str, NDArray[Any]]:
    """The float numbers of a node."""
    arrays: dict[str, Any] = {}
    if isinstance(node, Synapses):
        arrays = {"weight": node.map.weight, "bias": node.bias}
    elif isinstance(node, BatchNorm):
        arrays = {"weight": node.weight, "bias": node.bias, "mean": node.mean, "variance": node.variance}
    elif isinstance(node, LIF):
        arrays = {"threshold": node.threshold, "beta": node.beta}
    elif isinstance(node, LI):
        arrays = {"beta": node.beta}
    elif isinstance(node, IntegerNeuron):
        arrays = {"scale": node.scale, **_arrays(node.origin)}
    return {label: np.asarray(array) for label, array in arrays.items() if array is not None}


def _finite(name: str, node: Node) -> Iterator[Finding]:
    for label, array in _arrays(node).items():
        bad = int((~np.isfinite(array)).sum())
        if bad:
            detail = f"{label} holds {bad} NaN or infinite values"
            yield Finding("error", name, "finite", detail, "train again with a lower rate")


def _values(name: str, node: Node) -> Iterator[Finding]:
    """Numbers that no level allows, whatever the network."""

    def wrong(detail: str, remedy: str) -> Finding:
        return Finding("error", name, "values", detail, remedy)

    neuron = node.origin if isinstance(node, IntegerNeuron) else node
    if isinstance(neuron, LIF | LI) and not 0 <= neuron.beta <= 1:
        yield wrong(f"beta is {neuron.beta}", "a membrane keeps between 0 and 1 of itself")
    if isinstance(neuron, LIF):
        if neuron.threshold.shape not in ((1,), (size(neuron),)):
            detail = f"holds thresholds of shape {neuron.threshold.shape} for {size(neuron)} neurons"
            yield wrong(detail, "give one, or one a neuron")
        if (neuron.threshold <= 0).any():
            yield wrong(f"threshold {neuron.threshold.min()} is not above zero", "train with a positive one")
    if isinstance(node, Input) and node.coding not in ("direct", "spikes"):
        yield wrong(f"coding is {node.coding!r}", "state 'direct' or 'spikes'")
    if isinstance(node, Synapses) and node.bias is not None and node.bias.shape != (node.map.channels,):
        yield wrong(
            f"bias has shape {node.bias.shape} for {node.map.channels} channels", "give one a channel"
        )
    float_arrays = (
        (node.map.weight, node.bias) if isinstance(node, Synapses) and node.exponent is None else ()
    )
    for array in float_arrays:
        if array is not None and array.dtype not in (np.float32, np.int8):
            yield wrong(f"holds {array.dtype}", "convert the network to float32")


def _sizes(graph: Graph, name: str, node: Node) -> Iterator[Finding]:
    for source in graph.sources(name):
        wanted = prod(node.map.input_shape) if isinstance(node, Synapses) else size(node)
        given = size(graph.nodes[source])
        if wanted != given:
            yield Finding(
                "error",
                name,
                "size",
                f"takes {wanted} values, {source} gives {given}",
                "check the layer's shape",
            )


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
            yield wrong(
                f"is fed by {source}, which gives no spikes", "put a spiking layer between two linear layers"
            )
        if isinstance(node, NEURONS) and not isinstance(before, Synapses):
            yield wrong(f"is fed by {source} without synapses", "put a linear layer before the neurons")
        if isinstance(node, Output) and not isinstance(before, NEURONS):
            yield wrong(
                f"comes from {source}, which is no neuron", "end the network with neurons or a leaky read-out"
            )
        if _direct(before) and isinstance(node, Synapses):
            fed = [graph.nodes[t] for t in graph.targets(name)]
            if not all(isinstance(t, LIF | IntegerNeuron) and t.static for t in fed):
                yield wrong(
                    f"sees real values of {source}", "follow the first linear layer by spiking neurons"
                )
    if isinstance(node, LIF | IntegerNeuron) and node.static:
        for source, _ in sources:
            if not all(_direct(graph.nodes[s]) for s in graph.sources(source)):
                yield wrong(f"is static, but {source} carries spikes", "mark only what a direct input feeds")
    if isinstance(node, Synapses) and len(sources) > 1:
        yield wrong(
            "adds spike trains before its weights",
            "give each branch a linear layer of its own and add the results",
        )
    if not isinstance(node, Output) and not graph.targets(name):
        yield wrong("feeds nothing", "remove the layer or connect it")
    if isinstance(node, Synapses) and len(graph.targets(name)) > 1:
        both = " and ".join(graph.targets(name))
        yield wrong(
            f"feeds {both}, which have scales of their own", "give each population a linear layer of its own"
        )


def _fires(node: Node) -> bool:
    return isinstance(node, LIF) or (isinstance(node, IntegerNeuron) and not node.readout)


def _ranges(graph: Graph, name: str, node: Node) -> Iterator[Finding]:
    def outside(label: str, low: int, high: int, array: object) -> Iterator[Finding]:
        values = np.asarray(array)
        if values.dtype.kind not in "iu" or values.size == 0:
            yield Finding("error", name, "range", f"{label} holds no integers", "quantise the graph again")
        elif values.min() < low or values.max() > high:
            worst = values.min() if values.min() < low else values.max()
            detail = f"{label} {worst} is outside {low}..{high}"
            yield Finding("error", name, "range", detail, "quantise the graph again")

    if isinstance(node, IntegerNeuron):
        mantissa = formats.BIAS_MANTISSA_MAX
        for label, array, low, high in (
            ("threshold", node.threshold, 0, formats.THRESHOLD_MAX),
            ("bias mantissa", node.bias_mantissa, -mantissa, mantissa),
            ("bias exponent", node.bias_exponent, 0, formats.BIAS_EXPONENT_MAX),
            ("current decay", node.current_decay, 0, formats.DECAY_ONE - 1),
            ("membrane decay", node.membrane_decay, 0, formats.DECAY_ONE),
        ):
            yield from outside(label, low, high, array)
        for label, array in (*_registers(node).items(), ("scale", node.scale)):
            if array.shape != (size(node),):
                detail = f"{label} has shape {array.shape} for {size(node)} neurons"
                yield Finding("error", name, "range", detail, "quantise the graph again")
        if not (node.scale > 0).all():
            yield Finding(
                "error", name, "range", f"scale {node.scale.min()} is not above zero", "quantise again"
            )
    if isinstance(node, Synapses) and not all(_direct(graph.nodes[s]) for s in graph.sources(name)):
        if node.map.weight.dtype != np.int8:
            detail = f"weights are {node.map.weight.dtype}"
            yield Finding("error", name, "integer weights", detail, "quantise the graph")
        else:
            top = (1 << ((graph.settings.weight_bits or formats.WEIGHT_BITS) - 1)) - 1
            yield from outside("weight", -top, top, node.map.weight)
        if node.exponent is None:
            yield Finding("error", name, "integer weights", "has no weight exponent", "quantise the graph")
        else:
            low, high = formats.WEIGHT_EXPONENT_MIN, formats.WEIGHT_EXPONENT_MAX
            yield from outside("weight exponent", low, high, node.exponent)


def _registers(node: IntegerNeuron) -> dict[str, NDArray[Any]]:
    return {
        "threshold": node.threshold,
        "bias mantissa": node.bias_mantissa,
        "bias exponent": node.bias_exponent,
    }


def _direct(node: Node) -> bool:
    return isinstance(node, Input) and node.coding == "direct"
