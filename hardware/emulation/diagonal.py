"""Maps from each neuron to one other, as identity skips and relays are: a product a neuron, whether it fires or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...export.linear import Conv2d, Conv3d, LinearMap, Sparse
from .dense import in_order
from .layout import Layout


@dataclass(frozen=True, eq=False)
class Diagonal:
    """A map from each input to the output at the same place: its weights, in that order."""

    weights: NDArray[Any]

    def apply(self, raster: NDArray[np.uint8]) -> NDArray[Any]:
        """Sums (steps, outputs) of spikes (steps, at least inputs)."""
        sums = np.empty((len(raster), self.weights.size), self.weights.dtype)
        _products(raster, self.weights, sums)
        return sums


def diagonal(
    map_: LinearMap, source: Layout, target: Layout, dtype: type[np.signedinteger[Any]]
) -> Diagonal | None:
    """A map as one from place to place, or None where it is none.

    Parameters
    ----------
    source, target : Layout
        Orders of inputs and outputs.
    dtype : type
        int16 or int32: of sums and weights.
    """
    if isinstance(map_, Sparse):
        ordered = in_order(map_, source, target)
        assert isinstance(ordered, Sparse)
        matrix = ordered.matrix(ordered.weight).tocoo()
        if matrix.shape[0] != matrix.shape[1] or (matrix.row != matrix.col).any():
            return None
        return Diagonal(np.bincount(matrix.row, matrix.data, matrix.shape[0]).astype(dtype))
    if not isinstance(map_, Conv2d | Conv3d) or map_.weight.shape[:2] != (map_.groups, 1):
        return None
    if map_.input_shape != map_.output_shape or map_.weight[0, 0].size != 1 or any(map_.padding):
        return None
    pixels = map_.weight.reshape(1, -1).repeat(np.prod(map_.input_shape[1:]), 0)
    return Diagonal(pixels.reshape(-1).astype(dtype))


@njit(nogil=True, cache=True)
def _products(raster, weights, sums):  # type: ignore[no-untyped-def]
    for t in range(sums.shape[0]):
        spikes, out = raster[t], sums[t]
        for i in range(out.size):
            out[i] = weights[i] * spikes[i]
