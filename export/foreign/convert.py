"""From any NIR 1.0 graph to the traced level, and through the passes to the float level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from ..compose import unit_map
from ..errors import ExportError
from ..graph import (
    FloatArray,
    Floats,
    Graph,
    Identity,
    Input,
    Node,
    Output,
    Reshape,
    Select,
    Settings,
    Synapses,
)
from ..linear import Conv2d, Dense, Shape, Sparse, with_weight
from ..passes import to_float
from .choices import Choices
from .loops import back_edges
from .neurons import NEURONS, neuron, spread
from .raw import PASSAGE, RawGraph, RawNode, read_raw
from .shapes import alike, numbers, output_shapes, padding, picture

DEFAULT_STEPS = 100
#: Steps that a delay may hold spikes back: beyond, no chain of relays brings them.
MAX_DELAY = 1 << 10


@dataclass(frozen=True, eq=False)
class Foreign:
    """A file that has been read.

    Attributes
    ----------
    graph : Graph
        At the float level.
    choices : Choices
        What was stated, by the caller or by the file; None where nobody did and the default holds.
    origins : dict of str to str
        Who stated each choice.
    """

    graph: Graph
    choices: Choices
    origins: dict[str, str]


def read_foreign(path: Path, choices: Choices | None = None) -> Graph:
    """Read a NIR file of any tool as a float graph.

    Parameters
    ----------
    choices : Choices, optional
        What the file leaves open.

    Raises
    ------
    ExportError
        The file is damaged, a choice is missing, or the graph holds something no chip computes; the message names the
        file, the node and the field.
    """
    return open_foreign(path, choices).graph


def open_foreign(path: Path, choices: Choices | None = None) -> Foreign:
    """As :func:`read_foreign`, with the choices that were made."""
    choices = choices or Choices()
    raw = read_raw(path)
    found = choices.with_metadata(raw.metadata)
    try:
        # A number too large for float32 becomes infinite, which the level check names.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            graph = to_float(convert(raw, path.stem, choices))
        _check_lags(graph)
    except ExportError as error:
        raise ExportError(f"{path}: {error}") from None
    except (ValueError, MemoryError) as error:
        raise ExportError(f"{path}: its numbers make no network ({error}); export it again") from None
    origins = {
        f.name: "stated" if getattr(choices, f.name) is not None else "the file's metadata"
        for f in fields(Choices)
        if getattr(found, f.name) is not None
    }
    return Foreign(graph, found, origins)


def _check_lags(graph: Graph) -> None:
    """Real values that do not change have no step before."""
    for name, node in graph.nodes.items():
        late = isinstance(node, Synapses) and node.lag
        before = [graph.nodes[s] for s in graph.sources(name)] if late else []
        if any(isinstance(b, Input) and b.coding == "direct" for b in before):
            raise ExportError(
                f"{name}: delays a directly coded input; delay the spikes of its neurons instead"
            )


def convert(raw: RawGraph, name: str, stated: Choices) -> Graph:
    """The traced graph of a raw one.

    Before the first step nothing has fired: what a delay or a loop holds back is what silent neurons give, biases
    included.
    """
    choices = stated.with_metadata(raw.metadata)
    choices.check()
    sources: dict[str, list[str]] = {n: [a for a, b in raw.edges if b == n] for n in raw.nodes}
    for key, node in raw.nodes.items():
        if node.kind != "Input" and not sources[key]:
            raise ExportError(f"{key}: nothing feeds it; connect it, or give the graph an Input there")
    late = back_edges(raw)
    ahead = {n: [a for a in before if (a, n) not in late] for n, before in sources.items()}
    for key, feeds in ahead.items():
        if raw.nodes[key].kind != "Input" and not feeds:
            raise ExportError(f"{key}: only its own loop feeds it; connect it to the input")
    shapes = output_shapes(raw, ahead)
    taken = set(raw.nodes)
    nodes: dict[str, Node] = {}
    edges: list[tuple[str, str]] = []
    for key, node in raw.nodes.items():
        own = stated.with_metadata(node.metadata).with_metadata(raw.metadata) if node.metadata else choices
        own.check()
        # Where its inputs go; parts that it falls into take names that nobody has.
        part = partial(_unused, key, taken)
        given = max((shapes[s] for s in ahead[key]), key=len, default=())
        first = _built(key, node, given, shapes[key], own, nodes, edges, part)
        for source in sources[key]:
            if not alike(shapes[source], given):
                raise ExportError(
                    f"{key}: is fed {shapes[source]} by {source} and {given} by others; sums need equal shapes"
                )
            if (source, key) in late:
                before = part(f"after_{source}")
                nodes[before] = Select(shapes[source], np.arange(prod(shapes[source])), lag=1)
                edges += [(source, before), (before, first)]
            else:
                edges.append((source, first))
    timesteps = DEFAULT_STEPS if choices.timesteps is None else choices.timesteps
    dt = 1e-4 if choices.dt is None else float(choices.dt)  # no time constant asked for it
    return Graph(name, nodes, tuple(edges), Settings(timesteps, dt))


def _unused(key: str, taken: set[str], part: str) -> str:
    name = f"{key}_{part}"
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _built(
    key: str,
    node: RawNode,
    source: Shape,
    target: Shape,
    choices: Choices,
    nodes: dict[str, Node],
    edges: list[tuple[str, str]],
    part: Callable[[str], str],
) -> str:
    """Add what a node becomes; returns where its inputs go."""
    if node.kind in NEURONS:
        built, factor = neuron(key, node, target, choices)
        nodes[key] = built
        if factor is None:
            return key
        gain = part("gain")
        nodes[gain] = _scaled(target, factor)
        edges.append((gain, key))
        return gain
    if node.kind == "Delay":
        return _delays(key, node, source, choices, nodes, edges, part)
    nodes[key] = _simple(key, node, source, target, choices)
    return key


def _simple(key: str, node: RawNode, source: Shape, target: Shape, choices: Choices) -> Node:
    fields = node.fields
    if node.kind == "Input":
        return Input(target, choices.coding or "spikes", choices.peak or 1)
    if node.kind == "Output":
        return Output(target)
    if node.kind == "Flatten":
        return Reshape(target)
    if node.kind == PASSAGE:
        return Identity(target)
    if node.kind == "Scale":
        return _scaled(source, spread(key, "scale", fields["scale"], source))
    if node.kind in ("Affine", "Linear"):
        return _matrix(key, fields, source)
    if node.kind in ("SumPool2d", "AvgPool2d"):
        shape = picture(key, source, 2)
        kernel = numbers(key, "kernel_size", fields["kernel_size"], 2)
        value = 1.0 if node.kind == "SumPool2d" else 1 / prod(kernel)
        weight = np.full((shape[0], 1, *kernel), value, np.float32)
        return Synapses(
            Conv2d(
                weight,
                shape,
                numbers(key, "stride", fields["stride"], 2),
                padding(key, node, 2),
                groups=shape[0],
            )
        )
    return _convolution(key, node, source)


def _matrix(key: str, fields: dict[str, Any], source: Shape) -> Synapses:
    weight = fields["weight"].astype(np.float32)
    outputs, inputs = weight.shape
    bias = None if fields.get("bias") is None else _bias(key, fields["bias"], outputs)
    if prod(source) == inputs:
        return Synapses(Dense(weight, source, (outputs,)), bias)
    # Over the last axis only: the same matrix for each row.
    rows = prod(source[:-1])
    blocks = sparse.csr_matrix(sparse.kron(sparse.eye(rows), sparse.csr_matrix(weight)), dtype=np.float32)
    map_ = Sparse.of(blocks, source, (*source[:-1], outputs))
    return Synapses(map_, None if bias is None else np.tile(bias, rows))


def _bias(key: str, value: Any, outputs: int) -> FloatArray:
    if value.ndim > 1 or value.size not in (1, outputs):
        raise ExportError(f"{key}: field 'bias' has shape {value.shape} for {outputs} outputs")
    return np.broadcast_to(value.astype(np.float32), (outputs,)).copy()


def _convolution(key: str, node: RawNode, source: Shape) -> Synapses:
    axes = 1 if node.kind == "Conv1d" else 2
    shape, values = picture(key, source, axes), node.fields
    weight = values["weight"].astype(np.float32)
    stride, dilation = (numbers(key, f, values[f], axes) for f in ("stride", "dilation"))
    pads, groups = padding(key, node, axes), numbers(key, "groups", values["groups"], 1)[0]
    if axes == 1:  # a picture of height 1
        shape, weight = (shape[0], 1, shape[1]), weight[:, :, None]
        stride, dilation, pads = (1, *stride), (1, *dilation), (0, *pads)
    try:
        map_ = Conv2d(weight, shape, stride, pads, dilation, groups)
    except ValueError as error:
        raise ExportError(f"{key}: {error}") from None
    bias = _bias(key, values["bias"], map_.channels)
    return Synapses(map_, bias if bias.any() else None)


def _scaled(shape: Shape, factor: Floats) -> Synapses:
    """A factor for each value; one weight where they share it."""
    if factor.size == 1:
        unit = unit_map(shape)
    else:
        by_channel = factor.reshape(shape[0], -1)
        if np.ptp(by_channel, axis=1).max() == 0:
            unit, factor = unit_map(shape), by_channel[:, 0]
        else:
            unit = unit_map((prod(shape), 1))
    weight = np.broadcast_to(factor.astype(np.float32), (len(unit.weight),)).reshape(unit.weight.shape)
    return Synapses(with_weight(unit, weight.copy()))


def _delays(
    key: str,
    node: RawNode,
    source: Shape,
    choices: Choices,
    nodes: dict[str, Node],
    edges: list[tuple[str, str]],
    part: Callable[[str], str],
) -> str:
    """One selection for each delay; together they pass every value once. Returns where inputs go."""
    seconds = spread(key, "delay", np.asarray(node.fields["delay"]), source)
    if (seconds < 0).any():
        raise ExportError(
            f"{key}: field 'delay' is {seconds.min():g} s; spikes cannot arrive before they are sent"
        )
    steps = seconds / choices.step(key, "delay") if seconds.any() else seconds
    if steps.max() > MAX_DELAY:
        raise ExportError(
            f"{key}: field 'delay' is {seconds.max():g} s or {steps.max():g} steps; at most {MAX_DELAY} can be held back"
        )
    whole = np.rint(steps)
    if (np.abs(steps - whole) > 1e-3 * np.maximum(whole, 1)).any():
        worst = float(seconds[np.argmax(np.abs(steps - whole))])
        raise ExportError(
            f"{key}: field 'delay' is {worst:g} s, no whole number of steps; round it, or state another dt"
        )
    whole = np.broadcast_to(whole, (prod(source),)).astype(int)
    entry = part("in")
    nodes[entry], nodes[key] = Identity(source), Identity(source)
    for lag in np.unique(whole):
        index = np.where(whole == lag, np.arange(len(whole)), -1)
        held = part(f"{lag}")
        nodes[held] = Select(source, index, lag=int(lag))
        edges += [(entry, held), (held, key)]
    return entry
