"""NIR files as they lie on disk: nodes with their fields, edges, nested graphs spliced into one.

The reference reader of NIR 1.0.8 cannot open some files of other tools (grouped convolutions, subgraphs, parameters
without axes), and it invents inputs for nodes that nothing feeds. The file format is plain HDF5, so it is read as such,
and every field is checked before it is used.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import ExportError

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
MAX_DEPTH = 16
#: Numbers that a field may hold: nothing on such a chip is larger, and a damaged file may claim terabytes.
MAX_VALUES = 1 << 29


@dataclass(frozen=True)
class RawNode:
    """A primitive with its fields."""

    kind: str
    fields: dict[str, Any]


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
        with h5py.File(path, "r") as file:
            root = file.get("node")
            if not isinstance(root, h5py.Group):
                raise ExportError(f"{path}: no NIR file (it has no group 'node')")
            return _graph("the graph", root, 0)
    except ExportError as error:
        message = str(error)
        raise ExportError(message if message.startswith(str(path)) else f"{path}: {message}") from None
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, MemoryError) as error:
        # h5py raises whatever a damaged byte leads it to: the boundary to foreign files.
        line = (str(error).strip().splitlines() or ["no detail"])[0][:200]
        raise ExportError(
            f"{path}: truncated or damaged ({type(error).__name__}: {line}); export it again"
        ) from None


def _graph(name: str, group: h5py.Group, depth: int) -> RawGraph:
    if depth > MAX_DEPTH:
        raise ExportError(f"{name}: graphs are nested deeper than {MAX_DEPTH}; write it flat")
    if _kind(name, group) != "NIRGraph":
        raise ExportError(
            f"{name}: is a {_kind(name, group)}, not a NIRGraph; write the whole network as one graph"
        )
    listed = group.get("nodes")
    if not isinstance(listed, h5py.Group) or not len(listed):
        raise ExportError(f"{name}: field 'nodes' is missing or empty; export it again")
    nodes: dict[str, RawNode] = {}
    inner: dict[str, RawGraph] = {}
    for key, item in listed.items():
        if not isinstance(item, h5py.Group):
            raise ExportError(f"{key}: is no node but a {type(item).__name__}; export it again")
        if _kind(key, item) == "NIRGraph":
            inner[key] = _graph(key, item, depth + 1)
        else:
            nodes[key] = RawNode(_kind(key, item), _fields(key, _kind(key, item), item))
    edges = _edges(name, group, {*nodes, *inner})
    for key, graph in inner.items():
        nodes, edges = _splice(key, graph, nodes, edges)
    twice = [edge for edge, count in Counter(edges).items() if count > 1]
    if twice:
        raise ExportError(f"{twice[0][1]}: is fed twice by {twice[0][0]}; scale its weights instead")
    return RawGraph(nodes, tuple(edges), _metadata(group))


def _kind(name: str, group: h5py.Group) -> str:
    item = group.get("type")
    value = item[()] if isinstance(item, h5py.Dataset) and item.shape == () else None
    kind = value.decode(errors="replace") if isinstance(value, bytes) else value
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
        key: _value(name, key, group[key]) for key in (needed | optional) & set(group) if key not in IGNORED
    }


def _value(name: str, key: str, item: Any) -> Any:
    if not isinstance(item, h5py.Dataset):
        raise ExportError(f"{name}: field {key!r} is no array; export it again")
    if item.shape is None or int(np.prod(item.shape, dtype=object)) > MAX_VALUES:
        raise ExportError(f"{name}: field {key!r} claims shape {item.shape}, more than any chip holds")
    value = item[()]
    if isinstance(value, bytes | str):
        text = value.decode(errors="replace") if isinstance(value, bytes) else value
        if key == "padding" and text in ("same", "valid"):
            return text
        raise ExportError(f"{name}: field {key!r} is {text!r}, not a number")
    array: NDArray[Any] = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise ExportError(f"{name}: field {key!r} holds {array.dtype}, not numbers; export it again")
    if not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).sum())
        raise ExportError(
            f"{name}: field {key!r} holds {bad} NaN or infinite values; train again, or state a leak"
        )
    return array


def _edges(name: str, group: h5py.Group, known: set[str]) -> list[tuple[str, str]]:
    item = group.get("edges")
    if not isinstance(item, h5py.Dataset):
        raise ExportError(f"{name}: field 'edges' is missing; export it again")
    array = np.asarray(item[()])
    if array.size == 0:
        return []
    if array.ndim != 2 or array.shape[1] != 2:
        raise ExportError(f"{name}: field 'edges' has shape {array.shape}, wanted (edges, 2)")
    edges = []
    for a, b in array:
        pair = tuple(v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in (a, b))
        for end in pair:
            # An edge may point into a subgraph: outer.inner
            if end not in known and end.split(".")[0] not in known:
                raise ExportError(
                    f"{name}: edge {pair[0]} -> {pair[1]} names no node {end!r}; export it again"
                )
        edges.append((pair[0], pair[1]))
    return edges


def _splice(
    key: str, graph: RawGraph, nodes: dict[str, RawNode], edges: list[tuple[str, str]]
) -> tuple[dict[str, RawNode], list[tuple[str, str]]]:
    """Put a subgraph in the place of its node; its inputs and outputs become the edges through it."""
    inside = {f"{key}.{n}": node for n, node in graph.nodes.items()}
    inner = [(f"{key}.{a}", f"{key}.{b}") for a, b in graph.edges]
    entries = [n for n, node in inside.items() if node.kind == "Input"]
    exits = [n for n, node in inside.items() if node.kind == "Output"]
    if len(entries) != 1 or len(exits) != 1:
        raise ExportError(
            f"{key}: a subgraph with {len(entries)} inputs and {len(exits)} outputs; give it one of each"
        )
    joined = [(exits[0] if a == key else a, entries[0] if b == key else b) for a, b in edges] + inner
    for passage in (entries[0], exits[0]):
        before = [a for a, b in joined if b == passage]
        after = [b for a, b in joined if a == passage]
        joined = [e for e in joined if passage not in e] + [(a, b) for a in before for b in after]
        del inside[passage]
    return {**nodes, **inside}, joined


def _metadata(group: h5py.Group) -> dict[str, Any]:
    item = group.get("metadata")
    found: dict[str, Any] = {}
    if isinstance(item, h5py.Group):
        for key, value in item.items():
            if isinstance(value, h5py.Dataset) and value.size is not None and value.size <= 1:
                content = value[()]
                content = content.decode(errors="replace") if isinstance(content, bytes) else content
                found[key] = (
                    content.item()
                    if hasattr(content, "item") and getattr(content, "size", 0) == 1
                    else content
                )
    return found
