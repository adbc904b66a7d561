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
    MaxPool,
    Node,
    Output,
    Product,
    Relay,
    Reshape,
    Select,
    Synapses,
    size,
)

Level: TypeAlias = Literal["traced", "float", "integer"]

#: Node types of each level.
NODES: dict[Level, tuple[type, ...]] = {
    "traced": (
        Input, Output, Synapses, BatchNorm, Reshape, Identity, Select, MaxPool, Product, HostFunction, LIF, LI
    ),
    "float": (Input, Output, Synapses, LIF, LI),
    "integer": (Input, Output, Synapses, IntegerNeuron),
}  # fmt: skip
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
        yield Finding(
            "error", graph.name, "edges", detail, "hand the spikes of the step before in as an argument"
        )


def _settings(graph: Graph, level: Level) -> Iterator[Finding]:
    settings = graph.settings

    def wrong(detail: str, remedy: str) -> Finding:
        return Finding("error", graph.name, "settings", detail, remedy)

    if not (isinstance(settings.timesteps, int) and settings.timesteps >= 1):
        yield wrong(f"timesteps is {settings.timesteps!r}", "a sample takes at least one step")
    if not (isinstance(settings.dt, float) and isfinite(settings.dt) and settings.dt > 0):
        yield wrong(f"dt is {settings.dt!r}", "state the seconds of a step")
    if level == "integer" and settings.weight_bits not in (*range(2, formats.WEIGHT_BITS + 1), 15):
        yield wrong(
            f"weight_bits is {settings.weight_bits!r}", f"quantise to 2..{formats.WEIGHT_BITS} or 15 bits"
        )
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
        arrays = {"threshold": node.threshold, "beta": node.beta, "alpha": node.alpha, "unit": node.unit}
    elif isinstance(node, LI):
        arrays = {"beta": node.beta, "alpha": node.alpha, "unit": node.unit}
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
    if isinstance(neuron, LIF | LI):
        for label, values, low, high in (("beta", neuron.beta, 0, 1), ("alpha", neuron.alpha, 0, 1)):
            outside = values[~((values >= low) & (values <= high))]
            if outside.size:
                yield wrong(f"{label} is {outside[0]}", "a state keeps between 0 and 1 of itself")
        for label, values in (("beta", neuron.beta), ("alpha", neuron.alpha), ("unit", neuron.unit)):
            if values.shape not in ((1,), (size(neuron),)):
                detail = f"holds {label} of shape {values.shape} for {size(neuron)} neurons"
                yield wrong(detail, "give one, or one a neuron")
        if not (neuron.unit > 0).all():
            yield wrong(f"unit is {neuron.unit.min()}", "a unit is a positive factor")
    if isinstance(neuron, Relay) and (neuron.alpha.any() or neuron.beta.any()):
        yield wrong("hands values on and keeps some", "a relay has no memory: alpha and beta are 0")
    if isinstance(neuron, LIF) and neuron.reset not in formats.RESETS:
        yield wrong(f"reset is {neuron.reset!r}", f"state one of {', '.join(formats.RESETS)}")
    if isinstance(node, Input) and not (isinstance(node.peak, int) and 1 <= node.peak <= 255):
        yield wrong(f"peak is {node.peak!r}", "a spike carries 1..255")
    if isinstance(node, Synapses) and not (isinstance(node.lag, int) and node.lag >= 0):
        yield wrong(f"lag is {node.lag!r}", "spikes arrive a whole number of steps late")
    if isinstance(neuron, LIF):
        if neuron.threshold.shape not in ((1,), (size(neuron),)):
            detail = f"holds thresholds of shape {neuron.threshold.shape} for {size(neuron)} neurons"
            yield wrong(detail, "give one, or one a neuron")
        if (neuron.threshold <= 0).any():
            yield wrong(f"threshold {neuron.threshold.min()} is not above zero", "train with a positive one")
    if isinstance(node, Input) and node.coding not in ("direct", "spikes"):
        yield wrong(f"coding is {node.coding!r}", "state 'direct' or 'spikes'")
    if (
        isinstance(node, Synapses)
        and node.bias is not None
        and node.bias.shape not in ((node.map.channels,), (size(node),))
    ):
        detail = f"bias has shape {node.bias.shape} for {node.map.channels} channels"
        yield wrong(detail, "give one a channel, or one an output")
    float_arrays = (
        (node.map.weight, node.bias) if isinstance(node, Synapses) and node.exponent is None else ()
    )
    for array in float_arrays:
        if array is not None and array.dtype not in (np.float32, np.int8):
            yield wrong(f"holds {array.dtype}", "convert the network to float32")


def _sizes(graph: Graph, name: str, node: Node) -> Iterator[Finding]:
    for source in graph.sources(name):
        given = size(graph.nodes[source])
        if isinstance(node, Select):
            if node.index.size and node.index.max() >= given:
                detail = f"picks value {node.index.max()} of the {given} that {source} gives"
                yield Finding("error", name, "size", detail, "check the layer's shape")
            continue
        shape = (
            node.map.input_shape if isinstance(node, Synapses) else getattr(node, "input_shape", node.shape)
        )
        if prod(shape) != given:
            detail = f"takes {prod(shape)} values, {source} gives {given}"
            yield Finding("error", name, "size", detail, "check the layer's shape")


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
        if isinstance(node, Output) and _relays(before):
            yield wrong(f"comes from {source}, which hands values on", "read from a population of its own")
        if _direct(before) and isinstance(node, Synapses):
            fed = [graph.nodes[t] for t in graph.targets(name)]
            if not all(isinstance(t, LIF | IntegerNeuron) and t.static for t in fed):
                yield wrong(
                    f"sees real values of {source}", "follow the first linear layer by spiking neurons"
                )
    if isinstance(node, LIF | IntegerNeuron) and node.static:
        origin = node.origin if isinstance(node, IntegerNeuron) else node
        if origin.alpha.any():
            yield wrong(
                "has a synaptic current, and real values drive it",
                "encode the input in neurons without alpha",
            )
        if not graph.direct(name):
            yield wrong(
                "is static, but all that feeds it carries spikes", "mark only what a direct input feeds"
            )
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
    return isinstance(node, LIF | Relay) or (isinstance(node, IntegerNeuron) and not node.readout)


def _relays(node: Node) -> bool:
    return isinstance(node.origin if isinstance(node, IntegerNeuron) else node, Relay)


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
            ("current decay", node.current_decay, -1, formats.DECAY_ONE - 1),
            ("membrane decay", node.membrane_decay, 0, formats.DECAY_ONE),
        ):
            yield from outside(label, low, high, array)
        if node.line.shape not in ((0,), (size(node),)) or node.line.dtype.kind not in "iu":
            detail = f"line has shape {node.line.shape} for {size(node)} neurons"
            yield Finding("error", name, "range", detail, "quantise the graph again")
        for label, array in (*_registers(node).items(), ("scale", node.scale)):
            if array.shape != (size(node),):
                detail = f"{label} has shape {array.shape} for {size(node)} neurons"
                yield Finding("error", name, "range", detail, "quantise the graph again")
        if _relays(node):
            yield from outside(
                "payload bits", formats.PAYLOAD_BITS_MIN, formats.PAYLOAD_BITS_MAX, node.payload_bits
            )
            yield from outside("payload shift", 0, formats.PAYLOAD_SHIFT_MAX, node.payload_shift)
        elif node.payload_bits or node.payload_shift:
            detail = f"sends values of {node.payload_bits} bits and is no relay"
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
            top = (1 << (min(graph.settings.weight_bits or 8, formats.WEIGHT_BITS) - 1)) - 1
            if node.map.weight.size:  # an irregular map may pass nothing
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
        "current decay": node.current_decay,
        "membrane decay": node.membrane_decay,
    }


def _direct(node: Node) -> bool:
    return isinstance(node, Input) and node.coding == "direct"
