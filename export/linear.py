"""Linear maps between populations: what a synapse group computes, in floats or in integers.

One type serves every level: weights are float32 before quantisation and int8 after it. Activations are flat vectors in
C order of the map's input and output shapes, so that reshapes between maps cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

if (
    TYPE_CHECKING
):  # torch takes a second to load, and whoever only reads a program or unrolls a map does without it
    from torch import Tensor

Array: TypeAlias = NDArray[Any]
Pair: TypeAlias = tuple[int, int]
Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Dense:
    """Every input to every output: ``y = W x``.

    Attributes
    ----------
    weight : ndarray
        Shape (outputs, inputs).
    input_shape, output_shape : tuple of int
        Shapes whose products are the inputs and outputs.
    """

    weight: Array
    input_shape: Shape
    output_shape: Shape

    def __post_init__(self) -> None:
        wanted = (prod(self.output_shape), prod(self.input_shape))
        if self.weight.shape != wanted:
            raise ValueError(
                f"dense weight has shape {self.weight.shape}, its input and output ask for {wanted}"
            )

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """Apply to (N, inputs)."""
        import torch.nn.functional as F

        return F.linear(x, weight)

    def adjoint(self, y: Tensor, weight: Tensor) -> Tensor:
        """Apply the transpose to (N, outputs)."""
        import torch.nn.functional as F

        return F.linear(y, weight.T)

    @property
    def channel_axis(self) -> int:
        """Axis of the weight that counts output channels."""
        return 0

    @property
    def channels(self) -> int:
        """Output channels: units that may have a scale of their own."""
        return int(self.weight.shape[0])


@dataclass(frozen=True, eq=False)
class Convolution:
    """Cross-correlation over any number of axes, as torch computes it.

    Attributes
    ----------
    weight : ndarray
        Shape (out channels, in channels / groups, *kernel).
    input_shape : tuple of int
        (channels, *sides).
    stride, padding, dilation : tuple of int
        One value an axis.
    """

    weight: Array
    input_shape: Shape
    stride: Shape
    padding: Shape
    dilation: Shape
    groups: int = 1

    def __post_init__(self) -> None:
        axes = len(self.stride)
        if len(self.input_shape) != axes + 1 or self.weight.ndim != axes + 2:
            raise ValueError(
                f"convolution over {self.input_shape} with weight {self.weight.shape}: need {axes + 1} and {axes + 2} axes"
            )
        if self.input_shape[0] != self.weight.shape[1] * self.groups or self.weight.shape[0] % self.groups:
            raise ValueError(
                f"convolution of {self.input_shape[0]} channels in {self.groups} groups with weight {self.weight.shape}"
            )
        if min(self.output_shape) < 1:
            raise ValueError(
                f"kernel {self.weight.shape[2:]} does not fit an input of {self.input_shape[1:]}"
            )

    @property
    def output_shape(self) -> Shape:
        """(channels, *sides)."""
        sides = (
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip(
                self.input_shape[1:],
                self.padding,
                self.dilation,
                self.weight.shape[2:],
                self.stride,
                strict=True,
            )
        )
        return (int(self.weight.shape[0]), *sides)

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """Apply to (N, inputs)."""
        import torch.nn.functional as F

        convolve: Any = F.conv2d if len(self.stride) == 2 else F.conv3d
        maps = x.reshape(-1, *self.input_shape)
        return convolve(maps, weight, None, self.stride, self.padding, self.dilation, self.groups).flatten(1)

    def adjoint(self, y: Tensor, weight: Tensor) -> Tensor:
        """Apply the transpose to (N, outputs)."""
        from torch.nn import grad

        transpose: Any = grad.conv2d_input if len(self.stride) == 2 else grad.conv3d_input
        maps = y.reshape(-1, *self.output_shape)
        shape = (maps.shape[0], *self.input_shape)
        return transpose(shape, weight, maps, self.stride, self.padding, self.dilation, self.groups).flatten(
            1
        )

    @property
    def channel_axis(self) -> int:
        """Axis of the weight that counts output channels."""
        return 0

    @property
    def channels(self) -> int:
        """Output channels."""
        return int(self.weight.shape[0])


@dataclass(frozen=True, eq=False)
class Conv2d(Convolution):
    """Two-dimensional cross-correlation over (channels, height, width), as ``torch.nn.Conv2d``."""

    stride: Shape = (1, 1)
    padding: Shape = (0, 0)
    dilation: Shape = (1, 1)


@dataclass(frozen=True, eq=False)
class Conv3d(Convolution):
    """Three-dimensional cross-correlation over (channels, depth, height, width), as ``torch.nn.Conv3d``."""

    stride: Shape = (1, 1, 1)
    padding: Shape = (0, 0, 0)
    dilation: Shape = (1, 1, 1)


@dataclass(frozen=True, eq=False)
class ConvTranspose2d:
    """Transposed convolution, as ``torch.nn.ConvTranspose2d``.

    Attributes
    ----------
    weight : ndarray
        Shape (in channels, out channels / groups, kernel height, kernel width).
    input_shape : tuple of int
        (channels, height, width).
    """

    weight: Array
    input_shape: Shape
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    output_padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        wrong = len(self.input_shape) != 3 or self.weight.ndim != 4
        if wrong or self.input_shape[0] != self.weight.shape[0] or self.input_shape[0] % self.groups:
            raise ValueError(
                f"transposed convolution over {self.input_shape} with weight {self.weight.shape}"
            )
        if min(self.output_shape) < 1:
            raise ValueError(f"padding {self.padding} leaves nothing of an input of {self.input_shape[1:]}")

    @property
    def output_shape(self) -> Shape:
        """(channels, height, width)."""
        sides = (
            (n - 1) * s - 2 * p + d * (k - 1) + o + 1
            for n, s, p, d, k, o in zip(
                self.input_shape[1:],
                self.stride,
                self.padding,
                self.dilation,
                self.weight.shape[2:],
                self.output_padding,
                strict=True,
            )
        )
        return (self.channels, *sides)

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """Apply to (N, inputs)."""
        import torch.nn.functional as F

        maps = x.reshape(-1, *self.input_shape)
        out = F.conv_transpose2d(
            maps, weight, None, self.stride, self.padding, self.output_padding, self.groups, self.dilation
        )
        return out.flatten(1)

    def adjoint(self, y: Tensor, weight: Tensor) -> Tensor:
        """Apply the transpose to (N, outputs)."""
        import torch.nn.functional as F

        maps = y.reshape(-1, *self.output_shape)
        # Output padding beyond the kernel's reach gives the plain convolution surplus rows, which nothing feeds.
        out = F.conv2d(maps, weight, None, self.stride, self.padding, self.dilation, self.groups)
        return out[:, :, : self.input_shape[1], : self.input_shape[2]].flatten(1)

    @property
    def channel_axis(self) -> int:
        """Axis of the weight that counts the output channels of a group."""
        return 1

    @property
    def channels(self) -> int:
        """Output channels."""
        return int(self.weight.shape[1]) * self.groups


@dataclass(frozen=True, eq=False)
class Sparse:
    """Synapses without a regular form: a matrix in compressed sparse rows.

    Attributes
    ----------
    weight : ndarray
        Stored entries, row after row.
    columns, row_pointer : ndarray of int
        Input of each entry; where each output's entries begin (outputs + 1).
    input_shape, output_shape : tuple of int
        Shapes whose products are the inputs and outputs.
    """

    weight: Array
    columns: Array
    row_pointer: Array
    input_shape: Shape
    output_shape: Shape

    def __post_init__(self) -> None:
        outputs, inputs = prod(self.output_shape), prod(self.input_shape)
        pointer, entries = self.row_pointer, self.weight.size
        if (
            pointer.dtype.kind not in "iu" or self.columns.dtype.kind not in "iu"
        ):  # scipy would cast, and read astray
            raise ValueError(f"sparse weights: columns and rows are {self.columns.dtype} and {pointer.dtype}")
        bad = pointer.shape != (outputs + 1,) or self.weight.ndim != 1 or self.columns.shape != (entries,)
        if bad or pointer[0] != 0 or pointer[-1] != entries or (np.diff(pointer) < 0).any():
            raise ValueError(f"sparse weights: {entries} entries do not fill {outputs} rows")
        if entries and (self.columns.min() < 0 or self.columns.max() >= inputs):
            raise ValueError(f"sparse weights: a column is outside 0..{inputs - 1}")

    @classmethod
    def of(cls, matrix: sparse.csr_matrix, input_shape: Shape, output_shape: Shape) -> Sparse:
        """The map of a scipy matrix (outputs, inputs)."""
        matrix.sum_duplicates()
        return cls(matrix.data, matrix.indices, matrix.indptr, input_shape, output_shape)

    def matrix(self, weight: Array) -> sparse.csr_matrix:
        """The map as a scipy matrix."""
        shape = (prod(self.output_shape), prod(self.input_shape))
        return sparse.csr_matrix((weight, self.columns, self.row_pointer), shape=shape)

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """Apply to (N, inputs)."""
        import torch

        if torch.is_grad_enabled() and (weight.requires_grad or x.requires_grad):
            from .sparse_gradient import SparseProduct

            y: Tensor = SparseProduct.apply(self, x, weight)
            return y
        return torch.from_numpy(np.ascontiguousarray((self.matrix(weight.numpy()) @ x.numpy().T).T))

    def adjoint(self, y: Tensor, weight: Tensor) -> Tensor:
        """Apply the transpose to (N, outputs)."""
        import torch

        return torch.from_numpy(np.ascontiguousarray((self.matrix(weight.numpy()).T @ y.numpy().T).T))

    @property
    def channels(self) -> int:
        """Every output is a unit of its own."""
        return prod(self.output_shape)


LinearMap: TypeAlias = Dense | Conv2d | Conv3d | ConvTranspose2d | Sparse


def with_weight(map_: LinearMap, weight: Array) -> LinearMap:
    """The same connectivity with other weights."""
    return replace(map_, weight=weight)


def per_channel(map_: LinearMap, values: Array) -> Array:
    """Reshape one value an output channel so that it broadcasts over the map's weight."""
    if isinstance(map_, Sparse):
        return np.repeat(values, np.diff(map_.row_pointer))
    if isinstance(map_, ConvTranspose2d) and map_.groups > 1:
        inner = values.reshape(map_.groups, -1).repeat(map_.weight.shape[0] // map_.groups, axis=0)
        return inner[:, :, None, None]
    shape = [1] * map_.weight.ndim
    shape[map_.channel_axis] = -1
    return values.reshape(shape)


def _rows(map_: Dense | Convolution | ConvTranspose2d, values: Array) -> Array:
    """Values of the weight's layout as (channels, ...)."""
    if isinstance(map_, ConvTranspose2d):
        values = values.reshape(map_.groups, -1, *values.shape[1:]).swapaxes(1, 2)
    return values.reshape(map_.channels, -1)


def channel_sum(map_: LinearMap, values: Array) -> Array:
    """Sum of each output channel's values, which are laid out as the weight; shape (channels,)."""
    if isinstance(map_, Sparse):
        running = np.concatenate([[0], np.cumsum(values)])
        return running[map_.row_pointer[1:]] - running[map_.row_pointer[:-1]]
    return _rows(map_, values).sum(1)


def channel_max(map_: LinearMap, values: Array) -> Array:
    """Largest of each output channel's values, zero where all are negative or none is; shape (channels,)."""
    if isinstance(map_, Sparse):
        out = np.zeros(map_.channels, values.dtype)
        np.maximum.at(out, np.repeat(np.arange(map_.channels), np.diff(map_.row_pointer)), values)
        return out
    return _rows(map_, values).max(1, initial=0)


def expand_channels(values: Array, shape: Shape) -> Array:
    """Spread one value a channel over all neurons of a population; shape (neurons,)."""
    return np.repeat(values, prod(shape) // len(values))


def fan_out(map_: LinearMap) -> NDArray[np.int64]:
    """Synapses that each input neuron really has: borders and zero weights excluded. Shape (inputs,)."""
    import torch

    mask = torch.from_numpy((map_.weight != 0).astype(np.float64))
    ones = torch.ones(1, prod(map_.output_shape), dtype=torch.float64)
    counts: NDArray[np.int64] = map_.adjoint(ones, mask)[0].round().to(torch.int64).numpy()
    return counts


def dense_operations(map_: LinearMap) -> int:
    """Multiply-accumulates of one dense evaluation, taps outside the borders excluded."""
    return int(fan_out(with_weight(map_, np.ones_like(map_.weight))).sum())
