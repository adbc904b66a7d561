"""torch's own layers as graph nodes: weights taken over, every setting that has no counterpart refused."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .errors import ExportError
from .graph import BatchNorm, FloatArray, HostFunction, Identity, Node, Reshape, Synapses
from .linear import Conv2d, Conv3d, ConvTranspose2d, Dense, Shape
from .trace_functions import pool


def layer(path: str, module: nn.Module, source: Shape, target: Shape) -> Node:
    """The node of a layer between two shapes (without batch axis).

    Raises
    ------
    ExportError
        A layer or setting without counterpart.
    """
    build = _LAYERS.get(type(module))
    if build is None:
        raise ExportError(f"{path}: {type(module).__name__} has no counterpart on the chip; {SUPPORTED}")
    node = build(path, module, source, target)
    if prod(node.shape) != prod(target):
        settings = f"its settings give {node.shape}; write output_size as output_padding"
        raise ExportError(f"{path}: gives shape {target}, {settings}")
    return node


def reshape(name: str, source: Shape, target: Shape) -> Reshape:
    """Another view of a value.

    Raises
    ------
    ExportError
        The view takes in the batch axis.
    """
    if prod(source) != prod(target):
        raise ExportError(
            f"{name}: turns {source} into {target}, which mixes the samples of a batch; start at axis 1"
        )
    return Reshape(target)


def _array(value: Tensor) -> FloatArray:
    return value.detach().cpu().numpy().astype(np.float32)


def _bias(module: Any) -> FloatArray | None:
    return None if module.bias is None else _array(module.bias)


def _pair(path: str, field: str, value: Any) -> tuple[int, int]:
    if isinstance(value, str):
        raise ExportError(f"{path}: {field}={value!r}; write the numbers out")
    return (int(value[0]), int(value[1]))


def _linear(path: str, module: nn.Linear, source: Shape, target: Shape) -> Node:
    if len(source) != 1:
        raise ExportError(
            f"{path}: nn.Linear over an input of shape {source}; flatten it first, or use nn.Conv1d"
        )
    return Synapses(Dense(_array(module.weight), source, target), _bias(module))


def _conv(path: str, module: nn.Conv2d, source: Shape, target: Shape) -> Node:
    if module.padding_mode != "zeros":
        raise ExportError(f"{path}: padding_mode={module.padding_mode!r}; only zeros")
    stride, padding, dilation = (
        _pair(path, f, getattr(module, f)) for f in ("stride", "padding", "dilation")
    )
    map_ = Conv2d(_array(module.weight), source, stride, padding, dilation, module.groups)
    return Synapses(map_, _bias(module))


def _conv1d(path: str, module: nn.Conv1d, source: Shape, target: Shape) -> Node:
    """A picture of height 1."""
    if module.padding_mode != "zeros" or isinstance(module.padding, str):
        raise ExportError(
            f"{path}: padding {module.padding!r} of {module.padding_mode}; write numbers, of zeros"
        )
    stride, padding, dilation = (int(getattr(module, f)[0]) for f in ("stride", "padding", "dilation"))
    shape = (source[0], 1, source[1])
    weight = _array(module.weight)[:, :, None]
    map_ = Conv2d(weight, shape, (1, stride), (0, padding), (1, dilation), module.groups)
    return Synapses(map_, _bias(module))


def _conv3d(path: str, module: nn.Conv3d, source: Shape, target: Shape) -> Node:
    if module.padding_mode != "zeros" or isinstance(module.padding, str):
        raise ExportError(
            f"{path}: padding {module.padding!r} of {module.padding_mode}; write numbers, of zeros"
        )
    stride, padding, dilation = (
        tuple(int(v) for v in getattr(module, f)) for f in ("stride", "padding", "dilation")
    )
    weight = _array(module.weight)
    if weight.shape[2:] == stride == (1, 1, 1) and not any(padding):
        # Within a point it is a two-dimensional one, which any NIR tool reads.
        flat = (*source[:2], source[2] * source[3])
        return Synapses(Conv2d(weight[:, :, 0], flat, groups=module.groups), _bias(module))
    return Synapses(Conv3d(weight, source, stride, padding, dilation, module.groups), _bias(module))


def taps(path: str, module: Any, source: Shape) -> list[Synapses]:
    """A convolution whose first kernel axis is the time step: a two-dimensional one a tap, each with its delay.

    The bias is the newest tap's, which is there at every step.
    """
    if module.padding_mode != "zeros":
        raise ExportError(f"{path}: padding_mode={module.padding_mode!r}; only zeros")
    stride, padding, dilation = (
        _pair(path, f, getattr(module, f)[1:]) for f in ("stride", "padding", "dilation")
    )
    weight = _array(module.weight)
    count = weight.shape[2]
    return [
        Synapses(
            Conv2d(weight[:, :, count - 1 - back].copy(), source, stride, padding, dilation, module.groups),
            _bias(module) if not back else None,
            lag=back * int(module.dilation[0]),
        )
        for back in range(count)
    ]


def _pool(kind: str) -> Callable[..., Node]:
    def build(path: str, module: Any, source: Shape, target: Shape) -> Node:
        return pool(path, kind, source, target, vars(module))

    return build


def _conv_transpose(path: str, module: nn.ConvTranspose2d, source: Shape, target: Shape) -> Node:
    fields = ("stride", "padding", "output_padding", "dilation")
    settings = {field: _pair(path, field, getattr(module, field)) for field in fields}
    map_ = ConvTranspose2d(_array(module.weight), source, **settings, groups=module.groups)
    return Synapses(map_, _bias(module))


def _batch_norm(path: str, module: Any, source: Shape, target: Shape) -> Node:
    if module.running_mean is None:
        raise ExportError(f"{path}: batch normalisation without running statistics cannot be folded")
    weight = torch.ones_like(module.running_mean) if module.weight is None else module.weight
    bias = torch.zeros_like(module.running_mean) if module.bias is None else module.bias
    mean, variance = _array(module.running_mean), _array(module.running_var)
    return BatchNorm(target, _array(weight), _array(bias), mean, variance, float(module.eps))


_LAYERS: dict[type[nn.Module], Callable[..., Node]] = {
    nn.Linear: _linear,
    nn.Conv1d: _conv1d,
    nn.Conv2d: _conv,
    nn.Conv3d: _conv3d,
    nn.ConvTranspose2d: _conv_transpose,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.BatchNorm3d: _batch_norm,
    nn.AvgPool1d: _pool("avg_pool"),
    nn.AvgPool2d: _pool("avg_pool"),
    nn.AvgPool3d: _pool("avg_pool"),
    nn.MaxPool1d: _pool("max_pool"),
    nn.MaxPool2d: _pool("max_pool"),
    nn.AdaptiveAvgPool1d: _pool("adaptive"),
    nn.AdaptiveAvgPool2d: _pool("adaptive"),
    nn.AdaptiveAvgPool3d: _pool("adaptive"),
    nn.Dropout1d: lambda path, module, source, target: Identity(target),
    nn.Dropout2d: lambda path, module, source, target: Identity(target),
    nn.Flatten: lambda path, module, source, target: reshape(path, source, target),
    nn.Unflatten: lambda path, module, source, target: reshape(path, source, target),
    nn.Identity: lambda path, module, source, target: Identity(target),
    nn.Dropout: lambda path, module, source, target: Identity(target),
    nn.Tanh: lambda path, module, source, target: HostFunction(target, "tanh"),
    nn.Sigmoid: lambda path, module, source, target: HostFunction(target, "sigmoid"),
}
_NAMES = ", ".join(f"nn.{cls.__name__}" for cls in _LAYERS)
SUPPORTED = (
    f"supported: snn.Leaky, Synaptic, RLeaky, RSynaptic, {_NAMES}, nn.Upsample (nearest), +, -, * of spikes or with a "
    "number, torch.cat, slices, permute, flatten, reshape, pools, tanh"
)
