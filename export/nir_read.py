"""NIR files that Spikewright wrote, back to graphs.

Anything the file does not say is an error that names the node and the field; nothing is inferred.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import nir
import numpy as np

from . import nir_extension
from .errors import ExportError
from .graph import LI, LIF, Graph, HostStep, Input, IntegerNeuron, Node, Output, Settings, Synapses
from .levels import require
from .linear import Conv2d, Dense, LinearMap
from .nir_build import METADATA, VERSION, build
from .nir_maps import map_from_kernel


def read_graph(path: Path) -> Graph:
    """Read a float or integer graph.

    Raises
    ------
    ExportError
        The file is missing, truncated, no NIR, or holds a node or value that cannot be used; the message names the
        file, the node and the remedy.
    """
    nir_extension.register()
    try:
        file = nir.read(str(path))
    except FileNotFoundError:
        raise ExportError(f"{path}: no such file; `spikewright export` writes one") from None
    except OSError as error:
        raise ExportError(f"{path}: truncated or no HDF5 file ({_line(error)}); export it again") from None
    except AssertionError:
        raise ExportError(f"{path}: holds a node type that is not NIR 1.0; {_unknown_types(path)}") from None
    except Exception as error:
        # nir raises whatever its dataclasses raise: the boundary to a foreign parser of foreign files.
        raise ExportError(
            f"{path}: not a valid NIR graph ({type(error).__name__}: {_line(error)}); export it again"
        ) from None
    if not isinstance(file, nir.NIRGraph) or METADATA not in file.metadata:
        raise ExportError(
            f"{path}: the graph states no time steps, reset kind or input coding (metadata field {METADATA!r}); "
            "this release reads the NIR files that it wrote"
        )
    try:
        graph = _graph(file)
        require(graph, "float" if graph.settings.weight_bits is None else "integer")
        _consistent(file, graph)
    except ExportError as error:
        raise ExportError(f"{path}: {error}") from None
    except Exception as error:
        # Metadata of another hand may hold anything: the boundary once more.
        raise ExportError(
            f"{path}: unusable metadata ({type(error).__name__}: {_line(error)}); export it again"
        ) from None
    return graph


def _consistent(file: nir.NIRGraph, graph: Graph) -> None:
    """Refuse a file whose NIR fields say something else than its metadata: one of them was edited."""
    # Whatever was written with an extension node stays one; the rest was small enough for a matrix.
    extended = {name for name, node in file.nodes.items() if isinstance(node, nir_extension.ConvolutionMap)}
    expected = build(graph, extended=extended)
    for name, wanted in expected.nodes.items():
        given = file.nodes.get(name)
        if type(given) is not type(wanted):
            raise ExportError(
                f"{name}: is a {type(given).__name__}, its metadata describes a {type(wanted).__name__}"
            )
        for key, value in vars(wanted).items():
            if key not in ("metadata", "input_type", "output_type", "input_shape") and not np.array_equal(
                np.asarray(value), np.asarray(getattr(given, key))
            ):
                raise ExportError(
                    f"{name}: field {key!r} contradicts the node's metadata; export the network again"
                )


def _line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else "no detail"


def _unknown_types(path: Path) -> str:
    import h5py

    known = set(getattr(nir.ir, "__all_ir"))
    unknown: list[str] = []

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and name.endswith("/type"):
            kind = item[()]
            kind = kind.decode(errors="replace") if isinstance(kind, bytes) else str(kind)
            if kind not in known:
                unknown.append(f"{name.split('/')[-2]} is a {kind}")

    with suppress(Exception), h5py.File(path, "r") as file:  # a damaged file may not even list its nodes
        file.visititems(visit)
    return (", ".join(unknown) or "a node without type") + "; lower it to NIR primitives first"


def _graph(file: nir.NIRGraph) -> Graph:
    header = _header("graph", file.metadata)
    if header["version"] != VERSION:
        raise ExportError(
            f"written in format version {header['version']}, this release reads {VERSION}; export it again"
        )
    inserted = {
        name
        for name, node in file.nodes.items()
        if isinstance(node, nir.Flatten) and "inserted" in _header(name, node.metadata)
    }
    nodes = {name: _node(name, node) for name, node in file.nodes.items() if name not in inserted}
    origin = {b: a for a, b in file.edges if b in inserted}
    edges = tuple((origin.get(a, a), b) for a, b in file.edges if b not in inserted)
    steps = tuple(
        HostStep(
            step["kind"],
            step["node"],
            {key: np.asarray(file.metadata[f"host_{i}_{key}"]) for key in step["arrays"]},
        )
        for i, step in enumerate(header["host_steps"])
    )
    settings = Settings(header["timesteps"], header["dt"], header["reset"], header["weight_bits"])
    return Graph(header["name"], nodes, edges, settings, steps)


def _header(name: str, metadata: dict[str, Any]) -> dict[str, Any]:
    if METADATA not in metadata:
        raise ExportError(f"{name}: metadata field {METADATA!r} is missing")
    loaded = json.loads(metadata[METADATA])
    if not isinstance(loaded, dict):
        raise ExportError(f"{name}: metadata field {METADATA!r} is no table")
    return loaded


def _node(name: str, node: nir.NIRNode) -> Node:
    header = _header(name, node.metadata)
    if isinstance(node, nir.Input):
        return Input(tuple(header["shape"]), header["coding"])
    if isinstance(node, nir.Output):
        return Output(tuple(header["shape"]))
    if isinstance(node, nir.Linear | nir.Affine | nir.Conv2d | nir_extension.ConvolutionMap):
        return _synapses(name, node, header)
    if isinstance(node, nir.LIF | nir.LI | nir.IF | nir.I):
        return _neuron(node, header)
    raise ExportError(
        f"{name}: {type(node).__name__} is not read by this release; Linear, Affine, Conv2d, LIF, LI, IF and I are"
    )


def _synapses(name: str, node: Any, header: dict[str, Any]) -> Synapses:
    shapes = (tuple(header["input_shape"]), tuple(header["output_shape"]))
    if isinstance(node, nir.Conv2d):
        stride, padding, dilation = _pair(node.stride), _pair(node.padding), _pair(node.dilation)
        map_: LinearMap = Conv2d(node.weight, shapes[0], stride, padding, dilation, int(node.groups))
        return Synapses(map_, node.bias if header["own_bias"] else None, header["exponent"])
    if isinstance(node, nir_extension.ConvolutionMap):
        return Synapses(node.map, node.bias if header["own_bias"] else None, header["exponent"])
    bias = node.bias if header["own_bias"] else None
    if "kernel" not in node.metadata:
        return Synapses(Dense(node.weight, *shapes), bias, header["exponent"])
    map_ = map_from_kernel(node.metadata["kernel"], node.metadata["structure"])
    if bias is not None:
        bias = np.ascontiguousarray(bias.reshape(map_.channels, -1)[:, 0])
    return Synapses(map_, bias, header["exponent"])


def _pair(value: Any) -> tuple[int, int]:
    numbers = np.broadcast_to(np.asarray(value), (2,))
    return int(numbers[0]), int(numbers[1])


def _neuron(node: Any, header: dict[str, Any]) -> LIF | LI | IntegerNeuron:
    shape = tuple(header["shape"])
    if "membrane_decay" not in header:
        if isinstance(node, nir.LI | nir.I):
            return LI(shape, header["beta"])
        return LIF(shape, header["beta"], np.atleast_1d(node.metadata["threshold"]), header["static"])
    arrays = {key: np.atleast_1d(node.metadata[key]) for key in ("bias_mantissa", "bias_exponent", "scale")}
    if header["readout"]:
        origin: LIF | LI = LI(shape, header["beta"])
    else:
        origin = LIF(
            shape, header["beta"], np.atleast_1d(node.metadata["origin_threshold"]), header["static"]
        )
    return IntegerNeuron(
        shape=shape,
        current_decay=header["current_decay"],
        membrane_decay=header["membrane_decay"],
        threshold=np.atleast_1d(node.metadata["threshold_mantissa"]),
        static=header["static"],
        readout=header["readout"],
        origin=origin,
        **arrays,
    )
