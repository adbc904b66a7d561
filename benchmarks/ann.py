"""The ANN that a user would otherwise ship: its ONNX file, and its operations counted from that file."""

from __future__ import annotations

import copy
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import onnx
import torch
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, inliner, shape_inference
from torch import nn

from ..export.whole_file import whole_file
from .errors import AnnError
from .onnx_macs import CHEAP, COUNTED, Shape

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)
#: Inputs that are no parameters, by operator: running statistics, and the geometry of a resampling.
NO_PARAMETERS = {"BatchNormalization": (3, 4), "Resize": (1, 2, 3)}


@dataclass(frozen=True)
class NodeMacs:
    """One counted node.

    Attributes
    ----------
    macs : int
        Multiply-accumulates, taps that fall on the operator's own padding excluded.
    """

    name: str
    operator: str
    macs: int


@dataclass(frozen=True)
class MacCount:
    """Operations of one run of an ONNX graph, for one sample where the file leaves the batch open.

    Attributes
    ----------
    name : str
        The file's name without its ending.
    macs : int
        Multiply-accumulates of all counted nodes; additions of a bias are not among them.
    parameters : int
        Elements of the float tensors that the graph uses, each once; running statistics of batch
        normalisation and single numbers excluded.
    activations : int
        Values that the counted nodes write.
    nodes : tuple of NodeMacs
        In the order of the graph.
    not_counted : dict of str to int
        Operators that multiply and accumulate nothing, and how many nodes of each there are.
    """

    name: str
    macs: int
    parameters: int
    activations: int
    nodes: tuple[NodeMacs, ...]
    not_counted: dict[str, int]


def export_onnx(module: nn.Module, sample_shape: tuple[int, ...], path: Path) -> None:
    """Write a network in evaluation mode as one ONNX file that takes one sample, whole or not at all.

    Parameters
    ----------
    module : Module
        Takes one tensor; left as it is.
    sample_shape : tuple of int
        Shape of a sample without the batch axis.

    Raises
    ------
    AnnError
        The network has no ONNX form.
    """
    network = copy.deepcopy(module).eval().cpu()
    # The exporter warns about its own dependencies, which the user can do nothing about.
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                network, (torch.zeros(1, *sample_shape),), input_names=["input"], dynamo=True, verbose=False
            )
        except Exception as error:
            reason = str(error).strip().splitlines()
            raise AnnError(
                f"{type(module).__name__}: has no ONNX form for samples of shape {sample_shape} "
                f"({reason[0] if reason else type(error).__name__}); its forward must be traceable"
            ) from error
    assert program is not None
    with whole_file(path) as temporary:
        onnx.save(program.model_proto, temporary)


def count_macs(path: Path) -> MacCount:
    """Count an ONNX graph's multiply-accumulates and parameters.

    Raises
    ------
    AnnError
        The file cannot be read, a shape is unknown, or an operator may multiply but has no formula here.
    """
    model = _load(path)
    _refuse_unknown_operators(path, model.graph)
    graph = _with_shapes(path, model)
    shapes = dict(_shapes(graph))
    nodes, activations, cheap = [], 0, Counter[str]()
    for index, node in enumerate(graph.node):
        if node.op_type in CHEAP:
            cheap[node.op_type] += 1
            continue
        for tensor in (*node.input[:2], node.output[0]):
            if tensor not in shapes:
                raise AnnError(
                    f"{path}: node {_name(index, node)}: the shape of {tensor} is unknown; "
                    "export with fixed shapes"
                )
        inputs, output = [shapes[tensor] for tensor in node.input[:2]], shapes[node.output[0]]
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        macs = COUNTED[node.op_type](attributes, inputs, output)
        nodes.append(NodeMacs(_name(index, node), node.op_type, macs))
        activations += prod(output)
    return MacCount(
        name=path.stem,
        macs=sum(node.macs for node in nodes),
        parameters=_parameters(graph),
        activations=activations,
        nodes=tuple(nodes),
        not_counted=dict(sorted(cheap.items())),
    )


def _load(path: Path) -> onnx.ModelProto:
    """The file's model, functions inlined."""
    try:
        model = inliner.inline_local_functions(onnx.load(path))
    except FileNotFoundError:
        raise AnnError(f"{path}: no such file; export_onnx writes one") from None
    except (OSError, DecodeError, ValueError, RuntimeError) as error:
        raise AnnError(f"{path}: not a readable ONNX file ({_line(error)})") from None
    if not model.graph.node:
        raise AnnError(f"{path}: not a readable ONNX file (it holds no node)")
    return model


def _refuse_unknown_operators(path: Path, graph: onnx.GraphProto) -> None:
    for index, node in enumerate(graph.node):
        if node.domain not in ("", "ai.onnx") or node.op_type not in COUNTED.keys() | CHEAP:
            operator = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
            raise AnnError(
                f"{path}: node {_name(index, node)}: {operator} may multiply and accumulate, and is not counted; "
                f"export it as {', '.join(COUNTED)} or leave it out of the baseline"
            )


def _with_shapes(path: Path, model: onnx.ModelProto) -> onnx.GraphProto:
    """The model's graph with shapes inferred, for a batch of one."""
    _fix_batch(model.graph)
    try:
        return shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    except (shape_inference.InferenceError, RuntimeError, ValueError) as error:
        raise AnnError(f"{path}: its shapes do not agree ({_line(error)}); export it again") from None


def _name(index: int, node: onnx.NodeProto) -> str:
    return node.name or f"{node.op_type}_{index}"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _fix_batch(graph: onnx.GraphProto) -> None:
    """Set an open batch axis to one, and forget what was inferred from it."""
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    open_axes = {
        _first(value).dim_param for value in inputs if _has_axes(value) and not _fixed(_first(value))
    }
    for value in (*graph.input, *graph.output):
        for index, axis in enumerate(value.type.tensor_type.shape.dim):
            if not _fixed(axis) and (axis.dim_param in open_axes or index == 0):
                axis.dim_value = 1
    kept = [v for v in graph.value_info if all(_fixed(a) for a in v.type.tensor_type.shape.dim)]
    del graph.value_info[:]
    graph.value_info.extend(kept)


def _has_axes(value: onnx.ValueInfoProto) -> bool:
    return len(value.type.tensor_type.shape.dim) > 0


def _first(value: onnx.ValueInfoProto) -> Any:
    return value.type.tensor_type.shape.dim[0]


def _fixed(axis: Any) -> bool:
    return bool(axis.HasField("dim_value"))


def _shapes(graph: onnx.GraphProto) -> Iterator[tuple[str, Shape]]:
    """Tensors whose shape is fully known."""
    for value in (*graph.input, *graph.value_info, *graph.output):
        axes = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(_fixed(axis) for axis in axes):
            yield value.name, tuple(axis.dim_value for axis in axes)
    for tensor in graph.initializer:
        yield tensor.name, tuple(tensor.dims)


def _parameters(graph: onnx.GraphProto) -> int:
    """Elements of the float initializers that a node uses as parameters."""
    used = {
        tensor
        for node in graph.node
        for index, tensor in enumerate(node.input)
        if index not in NO_PARAMETERS.get(node.op_type, ())
    }
    return sum(prod(t.dims) for t in graph.initializer if t.name in used and t.dims and t.data_type in FLOATS)
