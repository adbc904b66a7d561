"""Joins all that lies between two populations into one linear map for each way from the one to the other.

A synapse group takes a step and passes single spikes, so pools, upsampling, permutations, concatenations, scalings, sums
and layers without neurons between them must not be nodes of their own. Every way through them is linear, so each becomes
one map, and a sum becomes several groups into one population: one a source, where their maps have one form.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from ..compose import Linear, Selection, as_map, compose, matrix, parallel
from ..errors import ExportError
from ..graph import LI, LIF, FloatArray, Floats, Graph, Identity, Node, Reshape, Select, Synapses, size
from ..linear import expand_channels

LINEAR = (Synapses, Select, Identity, Reshape)
Way: TypeAlias = tuple[str, ...]


def join_maps(graph: Graph) -> Graph:
    """Return the graph in which exactly one linear map lies between a population and what feeds it.

    Raises
    ------
    ExportError
        A map too irregular and large to hold.
    """
    joined = [name for name in graph.select(LIF, LI) if not _plain(graph, name)]
    if not joined:
        return graph
    nodes: dict[str, Node] = {n: node for n, node in graph.nodes.items() if not isinstance(node, LINEAR)}
    edges = [
        (a, b) for a, b in graph.edges if a in nodes and b in nodes and not isinstance(nodes[b], LIF | LI)
    ]
    used: set[str] = set()
    for name in graph.select(LIF, LI):
        claimed: set[Way] = set()
        groups: dict[tuple[str, int], list[str]] = {}  # by source and lag
        for way in _ways(graph, name):
            used |= set(way[1:-1])
            if name in joined:
                label, synapses = _label(graph, way, nodes), _join(graph, way, claimed)
                same = groups.setdefault((way[0], synapses.lag), [])
                if _merge(nodes, same, synapses):
                    continue
                same.append(label)
            else:
                label, only = way[1], graph.nodes[way[1]]
                assert isinstance(only, Synapses)
                synapses = only
            nodes[label] = synapses
            edges += [(way[0], label), (label, name)]
    # What reaches no population stays, so that the check of the level can name it.
    for name, node in graph.nodes.items():
        if isinstance(node, LINEAR) and name not in used and name not in nodes:
            nodes[name] = node
            edges += [(a, b) for a, b in graph.edges if name in (a, b)]
    known = set(nodes)
    return replace(graph, nodes=nodes, edges=tuple(dict.fromkeys(e for e in edges if known.issuperset(e))))


def _plain(graph: Graph, population: str) -> bool:
    """Whether every edge into a population is one layer of its own already."""
    return all(
        isinstance(graph.nodes[s], Synapses)
        and graph.targets(s) == [population]
        and len(graph.sources(s)) == 1
        and not isinstance(graph.nodes[graph.sources(s)[0]], LINEAR)
        for s in graph.sources(population)
    )


def _ways(graph: Graph, name: str, behind: Way = ()) -> Iterator[Way]:
    """Names from each population or input through linear nodes to ``name``."""
    way = (name, *behind)
    if behind and not isinstance(graph.nodes[name], LINEAR):
        yield way
        return
    for source in graph.sources(name):
        if source in way[:-1]:
            raise ExportError(
                f"{source}: is fed by itself without neurons between; put neurons into the loop"
            )
        yield from _ways(graph, source, way)


def _label(graph: Graph, way: Way, taken: dict[str, Node]) -> str:
    """The last layer's name, or who feeds whom where there is none or the name is in use."""
    layers = [n for n in way[1:-1] if isinstance(graph.nodes[n], Synapses)]
    label = layers[-1] if layers else f"{way[0]}_to_{way[-1]}"
    if label in taken:
        label = f"{label}_from_{way[0]}"
    while label in taken:
        label += "_"
    return label


def _join(graph: Graph, way: Way, claimed: set[Way]) -> Synapses:
    """One map for a way; a bias on it counts once for each way on from where it is added."""
    shape = graph.nodes[way[0]].shape
    total: Linear = Selection(np.arange(prod(shape)), shape, shape)
    bias: Floats = np.zeros(1)
    lag = 0
    for index, name in enumerate(way[1:-1], 1):
        node, onwards = graph.nodes[name], way[index:]
        if isinstance(node, Synapses):
            bias = _through(node.map, bias)
            if node.bias is not None and onwards not in claimed:
                bias = bias + expand_channels(node.bias.astype(np.float64), node.shape)
            total = compose(node.map, total, name)
        elif isinstance(node, Select):
            selection = Selection(node.index, graph.nodes[graph.sources(name)[0]].shape, node.shape)
            bias = _through(selection, bias)
            total = compose(selection, total, name)
        lag += getattr(node, "lag", 0)
        claimed.add(onwards)
    made = as_map(total)
    if not bias.any():
        return Synapses(made, lag=lag)
    full = np.broadcast_to(bias, (size(graph.nodes[way[-1]]),))
    return Synapses(made, _by_channel(full, made.channels), lag=lag)


def _by_channel(values: NDArray[Any], channels: int) -> FloatArray:
    """One bias an output as one a channel, where all of a channel are the same.

    In single precision: in double they differ by the order in which a convolution added them up.
    """
    single = values.astype(np.float32)
    by_channel = single.reshape(channels, -1)
    return by_channel[:, 0].copy() if (by_channel == by_channel[:, :1]).all() else single


def _merge(nodes: dict[str, Node], labels: list[str], synapses: Synapses) -> bool:
    """Add a group to one of the same form between the same populations; tell whether there is one."""
    for label in labels:
        before = nodes[label]
        assert isinstance(before, Synapses)
        total = parallel(before.map, synapses.map)
        if total is None:
            continue
        bias = before.bias if synapses.bias is None else synapses.bias
        if before.bias is not None and synapses.bias is not None:
            finer = max(len(before.bias), len(synapses.bias))  # one value a channel, or one an output
            added = [np.repeat(b.astype(np.float64), finer // len(b)) for b in (before.bias, synapses.bias)]
            bias = _by_channel(added[0] + added[1], total.channels)
        nodes[label] = Synapses(total, bias, lag=before.lag)
        return True
    return False


def _through(map_: Linear, bias: NDArray[np.float64]) -> Floats:
    """A constant input passed through a map."""
    if not bias.any():
        return np.zeros(1)
    full = np.broadcast_to(bias, (prod(map_.input_shape),))
    if isinstance(map_, Selection):
        return np.asarray(matrix(map_) @ full)
    weight = torch.from_numpy(map_.weight.astype(np.float64))
    return np.asarray(map_.forward(torch.from_numpy(full.copy())[None], weight)[0].numpy())
