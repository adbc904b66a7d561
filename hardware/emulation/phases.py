"""A transposed convolution as an ordinary one that gives its phases as channels.

Output ``s q + r - p`` is ``sum_j x[q - j] w[r + s j]``: for each phase ``r`` of the stride ``s`` a convolution of the input
as it is, where zeros between its pixels would make s times s as many products.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...export.linear import Conv2d, ConvTranspose2d

Array = NDArray[Any]
CACHE = 1 << 20  # bytes


class Phases:
    """The convolution of all phases, and how its output is put together.

    Attributes
    ----------
    map : Conv2d
        From the transposed convolution's input to (groups x phases x channels) of as many rows and columns as a phase has.
    pixels : int
        Outputs of the transposed convolution.
    few : int
        Pictures whose phases stay in a processor's cache until they are put together.
    """

    def __init__(self, whole: ConvTranspose2d) -> None:
        self.whole, self.stride = whole, whole.stride
        weight = dilated(whole.weight, whole.dilation)
        inputs, groups, outputs = whole.input_shape[0], whole.groups, weight.shape[1]
        (down, across), sides = self.stride, whole.input_shape[1:]
        rows, columns = (-(-k // s) for k, s in zip(weight.shape[2:], self.stride, strict=True))
        filled = np.zeros((inputs, outputs, rows * down, columns * across), np.int8)
        filled[:, :, : weight.shape[2], : weight.shape[3]] = weight
        by_phase = filled.reshape(groups, inputs // groups, outputs, rows, down, columns, across)
        turned = by_phase.transpose(0, 4, 6, 2, 1, 3, 5)[..., ::-1, ::-1]
        # Padding of the output may reach a row beyond the last tap; then there is one more on either side.
        reach = zip(whole.padding, whole.output_shape[1:], self.stride, sides, (rows, columns), strict=True)
        more = [int(p + out > s * (side + t - 1)) for p, out, s, side, t in reach]
        padding = (rows - 1 + more[0], columns - 1 + more[1])
        self.first = [p + s * m for p, s, m in zip(whole.padding, self.stride, more, strict=True)]
        self.map = Conv2d(
            np.ascontiguousarray(turned.reshape(-1, inputs // groups, rows, columns)), whole.input_shape,
            (1, 1), padding, (1, 1), groups,
        )  # fmt: skip
        self.pixels = prod(whole.output_shape)
        self.few = max(1, CACHE // (4 * prod(self.map.output_shape)))

    def put(self, y: Tensor, out: Tensor) -> None:
        """Put phases (N, rows, columns, groups x phases x channels) together as pictures (N, height x width x channels)."""
        (down, across), (top, left), groups = self.stride, self.first, self.whole.groups
        channels, height, width = self.whole.output_shape
        by_phase = y.reshape(*y.shape[:3], groups, down, across, -1)
        pictures = out.view(len(y), height, width, groups, channels // groups)
        for row in range(min(down, height)):
            for column in range(min(across, width)):
                (at, r), (beside, c) = divmod(top + row, down), divmod(left + column, across)
                there = pictures[:, row::down, column::across]
                there.copy_(by_phase[:, at : at + there.shape[1], beside : beside + there.shape[2], :, r, c])


def dilated(weight: Array, dilation: tuple[int, ...]) -> Array:
    """A kernel with the zeros between its taps that a dilation stands for."""
    sides = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilation, strict=True)]
    out = np.zeros((*weight.shape[:2], *sides), weight.dtype)
    taps = tuple(slice(None, None, d) for d in dilation)
    out[(slice(None), slice(None), *taps)] = weight
    return out
