"""Functions of tensors as graph nodes: whatever only moves values, pools, scales, adds or multiplies spikes."""

from __future__ import annotations

import operator
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from .compose import unit_map
from .errors import ExportError
from .graph import MaxPool, Node, Select, Synapses
from .linear import Conv2d, Conv3d, Shape, with_weight

#: Functions and methods that move values and compute nothing; chunk and split give several results.
MOVES: frozenset[Any] = frozenset(
    {
        torch.permute, torch.transpose, torch.movedim, torch.swapaxes, torch.flip, torch.roll, torch.squeeze,
        torch.unsqueeze, torch.narrow, torch.select, torch.chunk, torch.split, torch.repeat_interleave, torch.tile,
        torch.pixel_shuffle, torch.channel_shuffle, torch.index_select,
        F.pad, F.interpolate, F.pixel_shuffle, operator.getitem,
    }
)  # fmt: skip
MOVING_METHODS = frozenset(
    [
        "permute",
        "transpose",
        "movedim",
        "swapaxes",
        "flip",
        "roll",
        "squeeze",
        "unsqueeze",
        "narrow",
        "select",
        "chunk",
        "split",
        "repeat_interleave",
        "repeat",
        "tile",
        "contiguous",
        "clone",
        "detach",
    ]
)
MOVING_MODULES = (nn.Upsample, nn.UpsamplingNearest2d, nn.PixelShuffle, nn.ZeroPad2d, nn.ChannelShuffle)
POOLS: dict[Any, str] = {
    F.avg_pool1d: "avg_pool", F.avg_pool2d: "avg_pool", F.avg_pool3d: "avg_pool",
    F.max_pool1d: "max_pool", F.max_pool2d: "max_pool",
    F.adaptive_avg_pool1d: "adaptive", F.adaptive_avg_pool2d: "adaptive", F.adaptive_avg_pool3d: "adaptive",
}  # fmt: skip


def moved(name: str, source: Shape, apply: Callable[[Tensor], Any]) -> list[Select]:
    """Selections that a function of a tensor makes, found by letting it move the positions themselves.

    Parameters
    ----------
    source : tuple of int
        Shape without batch axis.
    apply : callable
        The function, of a tensor (2, *source).

    Raises
    ------
    ExportError
        It computes something, or moves values between samples.
    """
    count = prod(source)
    positions = torch.arange(1, 2 * count + 1, dtype=torch.float64).reshape(2, *source)
    results = apply(positions)
    found = []
    for result in results if isinstance(results, tuple | list) else (results,):
        whole = np.rint(result.numpy())
        exact = np.array_equal(whole, result.numpy())
        if result.ndim < 1 or len(result) != 2 or not exact:
            raise ExportError(
                f"{name}: does more than move the values of each sample; keep the batch axis first"
            )
        first, second = whole.reshape(2, -1).astype(np.int64)
        if not np.array_equal(np.where(first > 0, first + count, 0), second) or first.max(initial=0) > count:
            raise ExportError(f"{name}: mixes the samples of a batch; keep the batch axis first")
        found.append(Select(tuple(result.shape[1:]), first - 1))
    return found


def pool(name: str, kind: str, source: Shape, target: Shape, settings: dict[str, Any]) -> Node:
    """A pool over (channels, *sides) with torch's settings.

    Raises
    ------
    ExportError
        A setting without counterpart.
    """
    axes = len(source) - 1

    def sides(field: str, default: Any) -> tuple[int, ...]:
        value = settings.get(field)
        value = default if value is None or value == [] else value
        return tuple(int(v) for v in value) if isinstance(value, tuple | list) else (int(value),) * axes

    if kind == "adaptive":
        if any(n % m for n, m in zip(source[1:], target[1:], strict=True)):
            raise ExportError(f"{name}: pools {source[1:]} to {target[1:]} unevenly; use sizes that divide")
        kernel = stride = tuple(n // m for n, m in zip(source[1:], target[1:], strict=True))
        padding = (0,) * axes
    else:
        kernel = sides("kernel_size", 1)
        stride, padding = sides("stride", kernel), sides("padding", 0)
    if settings.get("ceil_mode") or settings.get("return_indices"):
        raise ExportError(f"{name}: ceil_mode and return_indices have no counterpart; leave them off")
    flat = axes == 1  # one axis is a picture of height 1
    shape = (source[0], 1, source[1]) if flat else source
    lead = (1,) if flat else ()
    kernel, stride = (*lead, *kernel), (*lead, *stride)
    padding = (*((0,) if flat else ()), *padding)
    if kind == "max_pool":
        dilation = (*lead, *sides("dilation", 1))
        if len(kernel) != 2:
            raise ExportError(f"{name}: the largest over {axes} axes has no counterpart; pool in two steps")
        return MaxPool(target, shape, kernel, stride, padding, dilation)  # type: ignore[arg-type]
    divisor = settings.get("divisor_override") or prod(kernel)
    if any(padding) and not settings.get("count_include_pad", True):
        raise ExportError(f"{name}: count_include_pad=False weighs borders differently; leave it on")
    weight = np.full((source[0], 1, *kernel), 1 / divisor, np.float32)
    if len(kernel) == 2:
        return Synapses(Conv2d(weight, shape, stride, padding, groups=source[0]))
    return Synapses(Conv3d(weight, shape, stride, padding, groups=source[0]))


def scaled(shape: Shape, factor: float) -> Synapses:
    """Every value times a number."""
    unit = unit_map(shape)
    return Synapses(with_weight(unit, unit.weight * np.float32(factor)))


def apply_node(node: fx.Node, root: nn.Module, value: Tensor) -> Any:
    """The result of an fx node with its first operand replaced."""
    args: tuple[Any, ...] = tuple(node.args[1:])
    if node.op == "call_module":
        return root.get_submodule(str(node.target))(value)
    if node.op == "call_method":
        return getattr(value, str(node.target))(*args, **node.kwargs)
    assert callable(node.target)
    rest = {k: v for k, v in node.kwargs.items() if k not in ("input", "self")}
    return node.target(value, *args, **rest)
