"""Convolutions as one matrix product of gathered patches: integers stay exact on any device.

Library convolutions choose their own algorithm, and those by Winograd or Fourier round; a matrix product only adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
import torch
from torch import Tensor

from ...export.linear import Conv2d, Conv3d, ConvTranspose2d, Dense, LinearMap, Sparse


class PatchKernel:
    """A map as matrix products on a device.

    Parameters
    ----------
    map_ : LinearMap
        With int8 weights.
    dtype : torch.dtype
        Float type in which its sums are exact.
    """

    def __init__(self, map_: LinearMap, dtype: torch.dtype, device: torch.device) -> None:
        self.map, self.device, self.dtype = map_, device, dtype
        weight = torch.from_numpy(map_.weight).to(device, dtype)
        if isinstance(map_, Sparse):
            matrix = map_.matrix(map_.weight).tocoo()
            places = torch.from_numpy(np.stack([matrix.row, matrix.col]).astype(np.int64))
            values = torch.from_numpy(matrix.data).to(dtype)
            self.weight = torch.sparse_coo_tensor(places, values, matrix.shape, check_invariants=True).to(
                device
            )
        elif isinstance(map_, ConvTranspose2d):
            # The same as a convolution of the input with zeros between its pixels, by the kernel turned round.
            inputs, groups = map_.input_shape[0], map_.groups
            by_group = weight.flip(2, 3).reshape(groups, inputs // groups, -1, *weight.shape[2:])
            self.weight = by_group.transpose(1, 2).reshape(groups, by_group.shape[2], -1)
        elif isinstance(map_, Dense):
            self.weight = weight
        else:
            self.weight = weight.reshape(map_.groups, weight.shape[0] // map_.groups, -1)

    def apply(self, x: Tensor) -> Tensor:
        """Sums (steps, outputs) of spikes (steps, inputs), as integers."""
        x = x.to(self.dtype)
        if isinstance(self.map, Sparse):
            y = (self.weight @ x.T).T
        elif isinstance(self.map, Dense):
            y = x @ self.weight.T
        else:
            y = self._convolve(x.reshape(-1, *self.map.input_shape))
        return y.reshape(len(x), -1).to(torch.int64)

    def _convolve(self, x: Tensor) -> Tensor:
        map_ = self.map
        assert isinstance(map_, Conv2d | Conv3d | ConvTranspose2d)
        kernel = map_.weight.shape[2:]
        if isinstance(map_, ConvTranspose2d):
            x = _spread(x, map_.stride)
            before = [d * (k - 1) - p for d, k, p in zip(map_.dilation, kernel, map_.padding, strict=True)]
            behind = [b + o for b, o in zip(before, map_.output_padding, strict=True)]
            stride: Sequence[int] = (1, 1)
        else:
            before = behind = list(map_.padding)
            stride = map_.stride
        x = torch.nn.functional.pad(
            x, [side for pair in zip(before[::-1], behind[::-1], strict=True) for side in pair]
        )
        seen = _patches(x, kernel, stride, map_.dilation, map_.output_shape[1:], map_.groups)
        # (groups, out channels, taps) x (samples, groups, taps, pixels)
        y = torch.matmul(self.weight, seen)
        return y.reshape(len(x), -1)


def _spread(x: Tensor, stride: Sequence[int]) -> Tensor:
    """Zeros between pixels."""
    sides = [(n - 1) * s + 1 for n, s in zip(x.shape[2:], stride, strict=True)]
    out = x.new_zeros(*x.shape[:2], *sides)
    out[:, :, :: stride[0], :: stride[1]] = x
    return out


def _patches(
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    sides: Sequence[int],
    groups: int,
) -> Tensor:
    """(samples, groups, channels x taps, pixels) of padded pictures."""
    x = x.contiguous()
    count, channels = x.shape[:2]
    steps = x.stride()[2:]
    shape = (count, channels, *kernel, *sides)
    strides = (
        *x.stride()[:2],
        *(d * s for d, s in zip(dilation, steps, strict=True)),
        *(n * s for n, s in zip(stride, steps, strict=True)),
    )
    seen = x.as_strided(shape, strides)
    return seen.reshape(count, groups, channels // groups * prod(kernel), prod(sides))
