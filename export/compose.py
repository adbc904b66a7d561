"""Two linear maps as one: what lets pools, upsampling, permutations and concatenations disappear into synapses.

A convolution stays a convolution wherever that is exact; otherwise the product is an irregular sparse map.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .errors import ExportError
from .formats import Ints
from .linear import Conv2d, Convolution, ConvTranspose2d, Dense, LinearMap, Shape, Sparse, with_weight
from .unroll import unroll

#: Stored entries that an irregular map may have; beyond, it would not fit into memory nor onto a chip.
SPARSE_LIMIT = 1 << 27


@dataclass(frozen=True, eq=False)
class Selection:
    """Values picked from a vector: output j takes input ``index[j]``, or zero where that is -1."""

    index: Ints
    input_shape: Shape
    output_shape: Shape

    def matrix(self) -> sparse.csr_matrix:
        """Matrix (outputs, inputs) of ones."""
        rows = np.flatnonzero(self.index >= 0)
        shape = (prod(self.output_shape), prod(self.input_shape))
        return sparse.csr_matrix((np.ones(len(rows)), (rows, self.index[rows])), shape=shape)

    @property
    def is_identity(self) -> bool:
        """Nothing is moved or lost."""
        return prod(self.input_shape) == len(self.index) and bool(
            (self.index == np.arange(len(self.index))).all()
        )

    def channels(self, inner: int) -> Ints | None:
        """Input channel of each output channel, where whole channels of ``inner`` values are picked; else None."""
        if len(self.index) % inner or prod(self.input_shape) % inner:
            return None
        by_channel = self.index.reshape(-1, inner)
        first = np.where(by_channel[:, 0] < 0, -1, by_channel[:, 0] // inner)
        wanted = np.where(first[:, None] < 0, -1, first[:, None] * inner + np.arange(inner))
        return first if (by_channel == wanted).all() else None


Linear: TypeAlias = LinearMap | Selection


def compose(second: Linear, first: Linear, name: str = "maps") -> Linear:
    """The map that applies ``first`` and then ``second``.

    Raises
    ------
    ExportError
        An irregular product too large to hold.
    """
    if isinstance(first, Selection) and first.is_identity:
        return second
    if isinstance(second, Selection) and second.is_identity:
        return first
    for rule in _RULES:
        made = rule(second, first)
        if made is not None:
            return made
    return _sparse(second, first, name)


def parallel(one: LinearMap, other: LinearMap) -> LinearMap | None:
    """The map that adds the results of two with one input, where it has their form; else None.

    Two regular maps of different form are cheaper apart than as one irregular map.
    """
    if type(one) is not type(other) or (one.input_shape, one.output_shape) != (
        other.input_shape,
        other.output_shape,
    ):
        return None
    if isinstance(one, Sparse) and isinstance(other, Sparse):
        total = one.matrix(one.weight.astype(np.float64)) + other.matrix(other.weight.astype(np.float64))
        total.data = total.data.astype(one.weight.dtype)
        return Sparse.of(sparse.csr_matrix(total), one.input_shape, one.output_shape)
    if one.weight.shape != other.weight.shape or _form(one) != _form(other):
        return None
    return with_weight(one, _as(one.weight.astype(np.float64) + other.weight, one))


def _form(map_: LinearMap) -> tuple[Any, ...]:
    """All that a map says beside its weights."""
    return tuple(getattr(map_, field.name) for field in fields(map_) if field.name != "weight")


def _both_selections(second: Linear, first: Linear) -> Linear | None:
    if not (isinstance(first, Selection) and isinstance(second, Selection)):
        return None
    index = np.where(second.index < 0, -1, first.index[second.index])
    return Selection(index, first.input_shape, second.output_shape)


def _dense_after(second: Linear, first: Linear) -> Linear | None:
    if not isinstance(second, Dense):
        return None
    weight = (matrix(first).T @ second.weight.astype(np.float64).T).T
    return Dense(_as(weight, second), first.input_shape, second.output_shape)


def _dense_before(second: Linear, first: Linear) -> Linear | None:
    if not isinstance(first, Dense):
        return None
    weight = matrix(second) @ first.weight.astype(np.float64)
    return Dense(_as(weight, first), first.input_shape, second.output_shape)


def _convolution_of_channels(second: Linear, first: Linear) -> Linear | None:
    """Channels are permuted, dropped or put among others, and then convolved."""
    if not isinstance(first, Selection) or not isinstance(second, Convolution | ConvTranspose2d):
        return None
    picked = first.channels(prod(second.input_shape[1:]))
    if picked is None or second.groups != 1:
        return None
    channels = prod(first.input_shape) // prod(second.input_shape[1:])
    weight = np.moveaxis(second.weight, _in_axis(second), 0)
    moved = np.zeros((channels, *weight.shape[1:]), weight.dtype)
    np.add.at(moved, picked[picked >= 0], weight[picked >= 0])
    shape = (channels, *second.input_shape[1:])
    return replace(second, weight=np.moveaxis(moved, 0, _in_axis(second)), input_shape=shape)


def _channels_of_convolution(second: Linear, first: Linear) -> Linear | None:
    """A convolution whose output channels are permuted, dropped or put among others."""
    if not isinstance(second, Selection) or not isinstance(first, Convolution | ConvTranspose2d):
        return None
    picked = second.channels(prod(first.output_shape[1:]))
    if picked is None or first.groups != 1:
        return None
    axis = 1 - _in_axis(first)
    moved = np.moveaxis(first.weight, axis, 0)[picked]
    moved[picked < 0] = 0
    return with_weight(first, np.moveaxis(moved, 0, axis))


def _pointwise_of_convolution(second: Linear, first: Linear) -> Linear | None:
    """A 1x1 convolution behind another of any kernel: channels are mixed where they come out, border included."""
    if not isinstance(second, Conv2d) or not isinstance(first, Conv2d | ConvTranspose2d):
        return None
    pointwise = second.weight.shape[2:] == (1, 1) == second.stride and not any(second.padding)
    if not pointwise or second.groups != 1 or first.groups != 1 or first.output_shape != second.input_shape:
        return None
    mix, kernel = second.weight[:, :, 0, 0].astype(np.float64), first.weight.astype(np.float64)
    axis = 1 - _in_axis(first)
    mixed = np.moveaxis(np.tensordot(mix, kernel, (1, axis)), 0, axis)
    return with_weight(first, _as(mixed, first))


def _convolution_of_upsampling(second: Linear, first: Linear) -> Linear | None:
    """Nearest upsampling before a convolution of stride 1: a transposed convolution with a kernel spread out."""
    if not isinstance(first, Selection) or not isinstance(second, Conv2d):
        return None
    fine, source = second.input_shape, first.input_shape
    if second.stride != (1, 1) or second.dilation != (1, 1) or len(source) != 3 or source[0] != fine[0]:
        return None
    factor = (fine[1] // source[1], fine[2] // source[2])
    kernel = second.weight.shape[2:]
    if any(p > k - 1 for p, k in zip(second.padding, kernel, strict=True)):
        return None
    if not np.array_equal(first.index, upsampling(source, factor)):
        return None
    out, inner = second.weight.shape[:2]
    groups = second.groups
    # (in, out / groups, kernel), as torch stores transposed convolutions; a true convolution flips the kernel.
    flipped = second.weight.reshape(groups, out // groups, inner, *kernel).swapaxes(1, 2)[..., ::-1, ::-1]
    flipped = flipped.reshape(groups * inner, out // groups, *kernel).astype(np.float64)
    weight = np.zeros((*flipped.shape[:2], kernel[0] + factor[0] - 1, kernel[1] + factor[1] - 1))
    for y in range(factor[0]):
        for x in range(factor[1]):
            weight[..., y : y + kernel[0], x : x + kernel[1]] += flipped
    padding = (kernel[0] - 1 - second.padding[0], kernel[1] - 1 - second.padding[1])
    made = ConvTranspose2d(_as(weight, second), source, factor, padding, groups=groups)
    return made if made.output_shape == second.output_shape else None


def upsampling(shape: Shape, factor: tuple[int, ...]) -> Ints:
    """Index of nearest upsampling of (channels, *sides) by whole factors."""
    index = np.arange(prod(shape)).reshape(shape)
    for axis, times in enumerate(factor, start=1):
        index = index.repeat(times, axis=axis)
    return index.reshape(-1)


def _convolution_of_pool(second: Linear, first: Linear) -> Linear | None:
    """A convolution behind a pool (one kernel a channel): a convolution with a larger kernel and stride.

    Exact where all that the second reads beyond the pool's output lies beyond the pool's input as well.
    """
    if (
        not isinstance(second, Convolution)
        or not isinstance(first, Convolution)
        or type(second) is not type(first)
    ):
        return None
    axes = len(first.stride)
    depthwise = first.groups == first.input_shape[0] == first.weight.shape[0]
    if not depthwise or first.output_shape != second.input_shape or set(first.dilation) != {1}:
        return None
    for i in range(axes):
        n, k, s, p = first.input_shape[i + 1], first.weight.shape[i + 2], first.stride[i], first.padding[i]
        pooled, pad = first.output_shape[i + 1], second.padding[i]
        reach = (second.output_shape[i + 1] - 1) * second.stride[i] - pad
        reach += (second.weight.shape[i + 2] - 1) * second.dilation[i]
        if (pad and k > s + p) or (reach >= pooled and pooled * s - p < n):
            return None
    out, inner = second.weight.shape[:2]
    kernel = [
        (b - 1) * d * s + a
        for a, b, d, s in zip(
            first.weight.shape[2:], second.weight.shape[2:], second.dilation, first.stride, strict=True
        )
    ]
    weight = np.zeros((out, inner, *kernel))
    channel = np.arange(out)[:, None] // (out // second.groups) * inner + np.arange(inner)  # (out, inner)
    pool = first.weight[:, 0].astype(np.float64)[channel]  # (out, inner, *pool kernel)
    for tap in np.ndindex(*second.weight.shape[2:]):
        at = tuple(
            slice(t * d * s, t * d * s + a)
            for t, d, s, a in zip(tap, second.dilation, first.stride, first.weight.shape[2:], strict=True)
        )
        here = second.weight[(slice(None), slice(None), *tap)].astype(np.float64)
        weight[(slice(None), slice(None), *at)] += here.reshape(*here.shape, *([1] * axes)) * pool
    stride = tuple(a * b for a, b in zip(first.stride, second.stride, strict=True))
    padding = tuple(p * s + q for p, s, q in zip(second.padding, first.stride, first.padding, strict=True))
    made = type(second)(_as(weight, second), first.input_shape, stride, padding, (1,) * axes, second.groups)
    return made if made.output_shape == second.output_shape else None


def _scaled_channels(second: Linear, first: Linear) -> Linear | None:
    """A factor for each output channel of a convolution."""
    factors = _channel_factors(second)
    if factors is None or not isinstance(first, Convolution | ConvTranspose2d):
        return None
    if len(factors) != first.channels:
        return None
    if isinstance(first, ConvTranspose2d):
        spread = factors.reshape(first.groups, 1, -1).repeat(first.weight.shape[0] // first.groups, 1)
        spread = spread.reshape(first.weight.shape[0], -1)[..., None, None]
    else:
        spread = factors.reshape(-1, *([1] * (first.weight.ndim - 1)))
    return with_weight(first, _as(first.weight.astype(np.float64) * spread, first))


def _channel_factors(map_: Linear) -> NDArray[np.float64] | None:
    """Factors of a map that only scales channels; else None."""
    if not isinstance(map_, Convolution) or set(map_.weight.shape[1:]) != {1}:
        return None
    plain = map_.groups == map_.input_shape[0] and set(map_.stride) == {1} and not any(map_.padding)
    return map_.weight.reshape(-1).astype(np.float64) if plain and len(map_.weight) == map_.groups else None


def _sparse(second: Linear, first: Linear, name: str) -> Sparse:
    a, b = matrix(first), matrix(second)
    entries = int(np.diff(a.indptr)[b.indices].sum())
    if entries > SPARSE_LIMIT:
        raise ExportError(
            f"{name}: two linear layers in a row make an irregular map of {entries:.2g} synapses; "
            "put spiking neurons between them"
        )
    product = sparse.csr_matrix(b @ a)
    product.eliminate_zeros()
    weighted = next(m for m in (second, first) if not isinstance(m, Selection))
    product.data = product.data.astype(weighted.weight.dtype)
    return Sparse.of(product, first.input_shape, second.output_shape)


def as_map(linear: Linear) -> LinearMap:
    """A selection as unit synapses; shared weights where it moves nothing."""
    if not isinstance(linear, Selection):
        return linear
    if linear.is_identity:
        return unit_map(linear.output_shape)
    return Sparse.of(linear.matrix().astype(np.float32), linear.input_shape, linear.output_shape)


def unit_map(shape: Shape) -> Conv2d:
    """One synapse of weight 1 from each neuron to its counterpart."""
    picture = shape if len(shape) == 3 else (shape[0], 1, prod(shape[1:]))
    return Conv2d(np.ones((shape[0], 1, 1, 1), np.float32), picture, groups=shape[0])


def matrix(map_: Linear) -> sparse.csr_matrix:
    """Matrix (outputs, inputs) in float64."""
    return map_.matrix() if isinstance(map_, Selection) else unroll(map_).astype(np.float64)


def _in_axis(map_: Convolution | ConvTranspose2d) -> int:
    return 0 if isinstance(map_, ConvTranspose2d) else 1


def _as(weight: Any, like: LinearMap) -> NDArray[Any]:
    return np.ascontiguousarray(weight, like.weight.dtype)


_RULES: tuple[Callable[[Linear, Linear], Linear | None], ...] = (
    _both_selections,
    _scaled_channels,
    _convolution_of_channels,
    _channels_of_convolution,
    _pointwise_of_convolution,
    _convolution_of_upsampling,
    _convolution_of_pool,
    _dense_after,
    _dense_before,
)
