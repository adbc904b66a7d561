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
class Conv2d:
    """Two-dimensional cross-correlation, as ``torch.nn.Conv2d``.

    Attributes
    ----------
    weight : ndarray
        Shape (out channels, in channels / groups, kernel height, kernel width).
    input_shape : tuple of int
        (channels, height, width).
    stride, padding, dilation : tuple of int
        (vertical, horizontal).
    """

    weight: Array
    input_shape: Shape
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        if len(self.input_shape) != 3 or self.weight.ndim != 4:
            raise ValueError(
                f"convolution over {self.input_shape} with weight {self.weight.shape}: need 3 and 4 axes"
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
        """(channels, height, width)."""
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

        maps = x.reshape(-1, *self.input_shape)
        return F.conv2d(maps, weight, None, self.stride, self.padding, self.dilation, self.groups).flatten(1)

    def adjoint(self, y: Tensor, weight: Tensor) -> Tensor:
        """Apply the transpose to (N, outputs)."""
        from torch.nn.grad import conv2d_input

        maps = y.reshape(-1, *self.output_shape)
        shape = (maps.shape[0], *self.input_shape)
        grad = conv2d_input(shape, weight, maps, self.stride, self.padding, self.dilation, self.groups)
        return grad.flatten(1)

    @property
    def channel_axis(self) -> int:
        """Axis of the weight that counts output channels."""
        return 0

    @property
    def channels(self) -> int:
        """Output channels."""
        return int(self.weight.shape[0])


@dataclass(frozen=True, eq=False)
class ConvTranspose2d:
    """Transposed convolution, as ``torch.nn.ConvTranspose2d`` with one group.

    Attributes
    ----------
    weight : ndarray
        Shape (in channels, out channels, kernel height, kernel width).
    input_shape : tuple of int
        (channels, height, width).
    """

    weight: Array
    input_shape: Shape
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    output_padding: Pair = (0, 0)
    dilation: Pair = (1, 1)

    def __post_init__(self) -> None:
        if len(self.input_shape) != 3 or self.weight.ndim != 4 or self.input_shape[0] != self.weight.shape[0]:
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
        return (int(self.weight.shape[1]), *sides)

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """Apply to (N, inputs)."""
        import torch.nn.functional as F

        maps = x.reshape(-1, *self.input_shape)
        out = F.conv_transpose2d(
            maps, weight, None, self.stride, self.padding, self.output_padding, 1, self.dilation
        )
        return out.flatten(1)

    def adjoint(self, y: Tensor, weight: Tensor) -> Tensor:
        """Apply the transpose to (N, outputs)."""
        import torch.nn.functional as F

        maps = y.reshape(-1, *self.output_shape)
        # Output padding beyond the kernel's reach gives the plain convolution surplus rows, which nothing feeds.
        out = F.conv2d(maps, weight, None, self.stride, self.padding, self.dilation)
        return out[:, :, : self.input_shape[1], : self.input_shape[2]].flatten(1)

    @property
    def channel_axis(self) -> int:
        """Axis of the weight that counts output channels."""
        return 1

    @property
    def channels(self) -> int:
        """Output channels."""
        return int(self.weight.shape[1])


LinearMap: TypeAlias = Dense | Conv2d | ConvTranspose2d


def with_weight(map_: LinearMap, weight: Array) -> LinearMap:
    """The same connectivity with other weights."""
    return replace(map_, weight=weight)


def per_channel(map_: LinearMap, values: Array) -> Array:
    """Reshape one value an output channel so that it broadcasts over the map's weight."""
    shape = [1] * map_.weight.ndim
    shape[map_.channel_axis] = -1
    return values.reshape(shape)


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


def unroll(map_: LinearMap) -> sparse.csr_matrix:
    """Matrix (outputs, inputs) of the map: one stored entry a synapse, zero weights left out.

    Built from index arithmetic, never through a dense matrix.
    """
    if isinstance(map_, Dense):
        return sparse.csr_matrix(map_.weight)
    rows, columns, values = [], [], []
    forward = isinstance(map_, Conv2d)
    fine, coarse = (map_.input_shape, map_.output_shape) if forward else (map_.output_shape, map_.input_shape)
    groups = map_.groups if isinstance(map_, Conv2d) else 1
    # A transposed convolution is the transpose of the convolution from its (fine) output to its (coarse) input.
    ys, xs = np.meshgrid(np.arange(coarse[1]), np.arange(coarse[2]), indexing="ij")
    out_per_group, in_per_group = coarse[0] // groups, fine[0] // groups
    for dy in range(map_.weight.shape[2]):
        for dx in range(map_.weight.shape[3]):
            fy = ys * map_.stride[0] - map_.padding[0] + dy * map_.dilation[0]
            fx = xs * map_.stride[1] - map_.padding[1] + dx * map_.dilation[1]
            inside = (fy >= 0) & (fy < fine[1]) & (fx >= 0) & (fx < fine[2])
            at_coarse = (ys * coarse[2] + xs)[inside]
            at_fine = (fy * fine[2] + fx)[inside]
            for group in range(groups):
                c_out = np.arange(out_per_group) + group * out_per_group
                c_in = np.arange(in_per_group) + group * in_per_group
                taps = map_.weight[c_out, :, dy, dx]  # (coarse channels, fine channels of the group)
                r = (c_out[:, None, None] * (coarse[1] * coarse[2]) + at_coarse).repeat(in_per_group, axis=1)
                c = (c_in[None, :, None] * (fine[1] * fine[2]) + at_fine).repeat(out_per_group, axis=0)
                rows.append(r.ravel())
                columns.append(c.ravel())
                values.append(np.broadcast_to(taps[:, :, None], r.shape).ravel())
    r, c, v = np.concatenate(rows), np.concatenate(columns), np.concatenate(values)
    kept = v != 0
    shape = (prod(coarse), prod(fine))
    matrix = sparse.csr_matrix((v[kept], (r[kept], c[kept])), shape=shape)
    return matrix if forward else sparse.csr_matrix(matrix.T)
