"""NIR files as they lie on disk: nodes with their fields, edges, nested graphs spliced into one.

The reference reader of NIR 1.0.8 cannot open some files of other tools (grouped convolutions, subgraphs, parameters
without axes), and it invents inputs for nodes that nothing feeds. The file format is plain HDF5, so it is read as such,
and every field is checked before it is used.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..errors import ExportError
from .choices import Choices
from .heaps import check_heaps
from .links import member, members, numbers_of, text, values

CHOICES = {f.name for f in fields(Choices)}

#: Fields that each primitive must have, and those it may have, beside type and metadata.
FIELDS: dict[str, tuple[set[str], set[str]]] = {
    "Input": ({"shape"}, set()),
    "Output": ({"shape"}, set()),
    "Affine": ({"weight", "bias"}, set()),
    "Linear": ({"weight"}, set()),
    "Scale": ({"scale"}, set()),
    "Conv1d": ({"weight", "stride", "padding", "dilation", "groups", "bias"}, {"input_shape"}),
    "Conv2d": ({"weight", "stride", "padding", "dilation", "groups", "bias"}, {"input_shape"}),
    "SumPool2d": ({"kernel_size", "stride", "padding"}, set()),
    "AvgPool2d": ({"kernel_size", "stride", "padding"}, set()),
    "Flatten": ({"start_dim", "end_dim"}, {"input_type"}),
    "Delay": ({"delay"}, set()),
    "Threshold": ({"threshold"}, set()),
    "I": ({"r"}, set()),
    "IF": ({"r", "v_threshold"}, {"v_reset"}),
    "LI": ({"tau", "r", "v_leak"}, set()),
    "LIF": ({"tau", "r", "v_leak", "v_threshold"}, {"v_reset"}),
    "CubaLI": ({"tau_syn", "tau_mem", "r", "v_leak"}, {"w_in"}),
    "CubaLIF": ({"tau_syn", "tau_mem", "r", "v_leak", "v_threshold"}, {"v_reset", "w_in"}),
    "NIRGraph": ({"nodes", "edges"}, {"input_type", "output_type", "version"}),
}
#: Shapes are recomputed, whatever a file says of them.
IGNORED = {"type", "metadata", "input_type", "output_type", "version"}
#: Kind of what is left of a subgraph's input or output: values pass through.
PASSAGE = "Passage"
MAX_DEPTH, MAX_NODES = 16, 1 << 14
#: Metadata that may belong to a node or subgraph alone; the others hold for the whole network.
LOCAL = ("reset", "integrate")


@dataclass(frozen=True)
class RawNode:
    """A primitive with its fields, and what the file says of it beside NIR."""

    kind: str
    fields: dict[str, Any]
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RawGraph:
    """Nodes of one flat graph, with what the file says beside NIR."""

    nodes: dict[str, RawNode]
    edges: tuple[tuple[str, str], ...]
    metadata: dict[str, Any] = field(default_factory=dict)


def read_raw(path: Path) -> RawGraph:
    """Read a file.

    Raises
    ------
    ExportError
        The file is missing, damaged or no NIR, or a node lacks a field or holds something else than numbers.
    """
    if not path.is_file():
        raise ExportError(f"{path}: no such file")
    try:
        check_heaps(path)
        with h5py.File(path, "r") as file:
            root = member("the file", file, "node")
            if not isinstance(root, h5py.Group):
                raise ExportError("no NIR file (it has no group 'node')")
            _check_version(file)
            graph = _graph("the graph", root, 0, [MAX_NODES])
    except ExportError as error:
        raise ExportError(f"{path}: {error}") from None
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, MemoryError) as error:
        # h5py raises whatever a damaged byte leads it to: the boundary to foreign files.
        line = (str(error).strip().splitlines() or ["no detail"])[0][:200]
        raise ExportError(
            f"{path}: truncated or damaged ({type(error).__name__}: {line}); export it again"
        ) from None
    return graph


def _check_version(file: h5py.File) -> None:
    item = member("the file", file, "version")
    said = text(values("the file", "version", item)) if item is not None else "1.0"
    if said is None or said.split(".")[0] not in ("0", "1"):
        raise ExportError(f"is of NIR version {said!r}; this release reads 1.0 and before")


def _graph(name: str, group: h5py.Group, depth: int, left: list[int]) -> RawGraph:
    if depth > MAX_DEPTH:
        raise ExportError(f"{name}: graphs are nested deeper than {MAX_DEPTH}; write it flat")
    if _kind(name, group) != "NIRGraph":
        raise ExportError(
            f"{name}: is a {_kind(name, group)}, not a NIRGraph; write the whole network as one graph"
        )
    unknown = set(group) - FIELDS["NIRGraph"][0] - IGNORED
    if unknown:
        raise ExportError(f"{name}: a NIRGraph has no field {sorted(unknown)[0]!r}; lower it to NIR 1.0")
    listed = member(name, group, "nodes")
    if not isinstance(listed, h5py.Group) or not len(listed):
        raise ExportError(f"{name}: field 'nodes' is missing or empty; export it again")
    left[0] -= len(listed)  # a file whose links lead back to themselves has more graphs than any memory holds
    if left[0] < 0:
        raise ExportError(f"{name}: has more than {MAX_NODES} nodes; join them")
    nodes: dict[str, RawNode] = {}
    inner: dict[str, RawGraph] = {}
    for key, item in members(name, listed):
        if not isinstance(item, h5py.Group):
            raise ExportError(f"{key}: is no node but a {type(item).__name__}; export it again")
        kind = _kind(key, item)
        if kind == "NIRGraph":
            inner[key] = _graph(key, item, depth + 1, left)
        else:
            nodes[key] = RawNode(kind, _fields(key, kind, item), _metadata(key, item))
    edges = _edges(name, group)
    metadata = _metadata(name, group)
    for key, graph in inner.items():
        nodes, edges = _splice(key, graph, nodes, edges)
        for label, value in graph.metadata.items():
            if label not in LOCAL and metadata.setdefault(label, value) != value:
                raise ExportError(
                    f"{key}: its metadata state {label} {value!r}, the graph's {metadata[label]!r}; make them one"
                )
    for pair in edges:
        for end in pair:
            if end not in nodes:
                raise ExportError(
                    f"{name}: edge {pair[0]} -> {pair[1]} names no node {end!r}; export it again"
                )
    twice = [edge for edge, count in Counter(edges).items() if count > 1]
    if twice:
        raise ExportError(f"{twice[0][1]}: is fed twice by {twice[0][0]}; scale its weights instead")
    return RawGraph(nodes, tuple(edges), metadata)


def _kind(name: str, group: h5py.Group) -> str:
    item = member(name, group, "type")
    value = values(name, "type", item) if isinstance(item, h5py.Dataset) and item.shape == () else None
    kind = text(value)
    if kind not in FIELDS:
        known = ", ".join(FIELDS)
        raise ExportError(f"{name}: type is {kind!r}, no NIR 1.0 primitive; lower it to {known}")
    return str(kind)


def _fields(name: str, kind: str, group: h5py.Group) -> dict[str, Any]:
    needed, optional = FIELDS[kind]
    missing = needed - set(group)
    if missing:
        raise ExportError(f"{name}: a {kind} without field {sorted(missing)[0]!r}; export it again")
    unknown = set(group) - needed - optional - IGNORED
    if unknown:
        raise ExportError(f"{name}: a {kind} has no field {sorted(unknown)[0]!r}; lower it to NIR 1.0")
    return {
        key: _value(name, kind, key, member(name, group, key))
        for key in sorted((needed | optional) & set(group) - IGNORED)
    }


def _value(name: str, kind: str, key: str, item: Any) -> Any:
    value = values(name, key, item)
    said = text(value)
    if said is None:
        return numbers_of(name, key, value)
    if key == "padding" and kind.startswith("Conv") and said in ("same", "valid"):
        return said
    raise ExportError(f"{name}: field {key!r} is {said!r}, not a number")


def _edges(name: str, group: h5py.Group) -> list[tuple[str, str]]:
    item = member(name, group, "edges")
    if item is None:
        raise ExportError(f"{name}: field 'edges' is missing; export it again")
    array = np.asarray(values(name, "edges", item))
    if array.size == 0:
        return []
    if array.ndim != 2 or array.shape[1] != 2:
        raise ExportError(f"{name}: field 'edges' has shape {array.shape}, wanted (edges, 2)")
    edges = []
    for a, b in array:
        ends = text(a), text(b)
        if ends[0] is None or ends[1] is None:
            raise ExportError(f"{name}: field 'edges' holds {array.dtype}, not names; export it again")
        edges.append((ends[0], ends[1]))
    return edges


def _splice(
    key: str, graph: RawGraph, nodes: dict[str, RawNode], edges: list[tuple[str, str]]
) -> tuple[dict[str, RawNode], list[tuple[str, str]]]:
    """Put a subgraph in the place of its node; what its input and output were, values pass through."""
    local = {k: v for k, v in graph.metadata.items() if k in LOCAL}
    entries = [n for n, node in graph.nodes.items() if node.kind == "Input"]
    exits = [n for n, node in graph.nodes.items() if node.kind == "Output"]
    if len(entries) != 1 or len(exits) != 1:
        raise ExportError(
            f"{key}: a subgraph with {len(entries)} inputs and {len(exits)} outputs; give it one of each"
        )
    inside = {
        f"{key}.{n}": replace(
            node,
            kind=PASSAGE if n in (entries[0], exits[0]) else node.kind,
            metadata={**local, **node.metadata},
        )
        for n, node in graph.nodes.items()
    }
    both = nodes.keys() & inside.keys()
    if both:
        raise ExportError(f"{key}: its node and another of the graph are both called {sorted(both)[0]!r}")
    entry, leave = f"{key}.{entries[0]}", f"{key}.{exits[0]}"
    joined = [(leave if a == key else a, entry if b == key else b) for a, b in edges]
    return {**nodes, **inside}, joined + [(f"{key}.{a}", f"{key}.{b}") for a, b in graph.edges]


def _metadata(name: str, group: h5py.Group) -> dict[str, Any]:
    """What a file states of the choices that NIR leaves open."""
    item = member(name, group, "metadata")
    found: dict[str, Any] = {}
    if isinstance(item, h5py.Group):
        for key in CHOICES & set(item):
            value = values(name, key, member(name, item, key))
            said = text(value)
            array = np.asarray(value)
            found[key] = said if said is not None else array.item() if array.size == 1 else array.tolist()
    return found
