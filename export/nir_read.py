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
from .foreign.links import check
from .graph import LI, LIF, Graph, HostStep, Input, IntegerNeuron, Node, Output, Relay, Settings, Synapses
from .levels import require
from .linear import Conv2d, Dense, LinearMap, with_weight
from .nir_build import METADATA, VERSION, build, delay_name
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
        check(path)
        file = nir.read(str(path))
    except ExportError as error:
        raise ExportError(f"{path}: {error}") from None
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
    other = set(expected.edges) ^ set(file.edges) or {
        (name, "") for name in file.nodes.keys() - expected.nodes
    }
    if other:
        a, b = min(other)
        raise ExportError(f"{a}: its edge to {b!r} contradicts the nodes' metadata; export the network again")
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
        if isinstance(node, nir.Flatten | nir.Scale) and "inserted" in _header(name, node.metadata)
    }
    # NIR drops the metadata of delays, so the synapses behind them say that they are there.
    inserted |= {
        delay_name(name)
        for name, node in file.nodes.items()
        if delay_name(name) in file.nodes and _header(name, node.metadata).get("delayed")
    }
    nodes = {name: _node(name, node) for name, node in file.nodes.items() if name not in inserted}
    origin = {b: a for a, b in file.edges if b in inserted}
    while any(a in inserted for a in origin.values()):
        origin = {b: origin.get(a, a) for b, a in origin.items()}
    edges = tuple((origin.get(a, a), b) for a, b in file.edges if b not in inserted)
    steps = tuple(
        HostStep(
            step["kind"],
            step["node"],
            {key: np.asarray(file.metadata[f"host_{i}_{key}"]) for key in step["arrays"]},
        )
        for i, step in enumerate(header["host_steps"])
    )
    settings = Settings(header["timesteps"], header["dt"], header["weight_bits"])
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
        return Input(tuple(header["shape"]), header["coding"], header["peak"])
    if isinstance(node, nir.Output):
        return Output(tuple(header["shape"]))
    if isinstance(node, nir.Linear | nir.Affine | nir.Conv2d | nir_extension.ConvolutionMap):
        return _synapses(name, node, header)
    if isinstance(node, nir.LIF | nir.LI | nir.IF | nir.I | nir.CubaLIF | nir.CubaLI):
        return _neuron(node, header)
    raise ExportError(
        f"{name}: {type(node).__name__} is not read by this release; Linear, Affine, Conv2d, LIF, LI, IF and I are"
    )


def _synapses(name: str, node: Any, header: dict[str, Any]) -> Synapses:
    shapes = (tuple(header["input_shape"]), tuple(header["output_shape"]))
    bias = getattr(node, "bias", None) if header["own_bias"] else None
    if isinstance(node, nir.Conv2d):
        stride, padding, dilation = _pair(node.stride), _pair(node.padding), _pair(node.dilation)
        map_: LinearMap = Conv2d(node.weight, shapes[0], stride, padding, dilation, int(node.groups))
    elif isinstance(node, nir_extension.ConvolutionMap):
        map_ = node.map
    elif "kernel" not in node.metadata:
        map_ = Dense(node.weight, *shapes)
    else:
        kept = (node.metadata[key] for key in ("kernel", "structure", "columns", "row_pointer"))
        map_ = map_from_kernel(*kept)
    if bias is not None and len(bias) > map_.channels:
        by_channel = bias.reshape(map_.channels, -1)
        if (by_channel == by_channel[:, :1]).all():
            bias = np.ascontiguousarray(by_channel[:, 0])
    if header["above"]:  # weights of a finer group, in units of the coarser one
        map_ = with_weight(map_, np.ldexp(map_.weight, header["above"]).astype(np.int8))
    return Synapses(map_, bias, header["exponent"], header["lag"], header["refines"])


def _pair(value: Any) -> tuple[int, int]:
    numbers = np.broadcast_to(np.asarray(value), (2,))
    return int(numbers[0]), int(numbers[1])


def _neuron(node: Any, header: dict[str, Any]) -> LIF | LI | IntegerNeuron:
    shape = tuple(header["shape"])
    arrays = {key: np.atleast_1d(value) for key, value in node.metadata.items() if key != METADATA}
    beta, alpha, unit = (arrays[key] for key in ("beta", "alpha", "unit"))
    if "threshold" in arrays:
        settings = {"static": header["static"], "reset": header["reset"]}
        origin: LIF | LI = LIF(shape, beta, arrays["threshold"], alpha=alpha, unit=unit, **settings)
    else:
        kind = Relay if header.get("relay") else LI
        origin = kind(shape, beta, alpha, unit)
    if "integer" not in header:
        return origin
    registers = ("current_decay", "membrane_decay", "bias_mantissa", "bias_exponent", "scale")
    return IntegerNeuron(
        shape=shape,
        threshold=arrays["threshold_mantissa"],
        static=header["static"],
        readout=header["readout"],
        origin=origin,
        line=arrays["line"] if header["lined"] else np.zeros(0, np.int64),
        payload_bits=header.get("payload_bits", 0),
        payload_shift=header.get("payload_shift", 0),
        **{key: arrays[key] for key in registers},
    )
