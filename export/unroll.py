"""Linear maps as sparse matrices, one stored entry a synapse."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any

import numpy as np
from scipy import sparse

from .linear import ConvTranspose2d, Dense, LinearMap, Sparse


def unroll(map_: LinearMap) -> sparse.csr_matrix:
    """Matrix (outputs, inputs) of the map: one stored entry a synapse, zero weights left out.

    Built from index arithmetic, never through a dense matrix.
    """
    if isinstance(map_, Dense):
        return sparse.csr_matrix(map_.weight)
    if isinstance(map_, Sparse):
        matrix = map_.matrix(map_.weight).copy()
        matrix.eliminate_zeros()
        return matrix
    # A transposed convolution is the transpose of the convolution from its (fine) output to its (coarse) input.
    backward = isinstance(map_, ConvTranspose2d)
    fine, coarse = (
        (map_.output_shape, map_.input_shape) if backward else (map_.input_shape, map_.output_shape)
    )
    places = np.indices(coarse[1:]).reshape(len(coarse) - 1, -1)
    out_per_group, in_per_group = coarse[0] // map_.groups, fine[0] // map_.groups
    rows, columns, values = [], [], []
    for tap in product(*(range(side) for side in map_.weight.shape[2:])):
        at = [
            p * s - pad + t * d
            for p, s, pad, t, d in zip(places, map_.stride, map_.padding, tap, map_.dilation, strict=True)
        ]
        inside = np.all([(a >= 0) & (a < side) for a, side in zip(at, fine[1:], strict=True)], axis=0)
        at_coarse = np.flatnonzero(inside)
        at_fine = np.ravel_multi_index([a[inside] for a in at], fine[1:])
        for group in range(map_.groups):
            c_out = np.arange(out_per_group) + group * out_per_group
            c_in = np.arange(in_per_group) + group * in_per_group
            at_tap: Any = (c_out, slice(None), *tap)
            taps = map_.weight[at_tap]  # (coarse channels, fine channels of the group)
            r = (c_out[:, None, None] * prod(coarse[1:]) + at_coarse).repeat(in_per_group, axis=1)
            c = (c_in[None, :, None] * prod(fine[1:]) + at_fine).repeat(out_per_group, axis=0)
            rows.append(r.ravel())
            columns.append(c.ravel())
            values.append(np.broadcast_to(taps[:, :, None], r.shape).ravel())
    r, c, v = np.concatenate(rows), np.concatenate(columns), np.concatenate(values)
    kept = v != 0
    matrix = sparse.csr_matrix((v[kept], (r[kept], c[kept])), shape=(prod(coarse), prod(fine)))
    return sparse.csr_matrix(matrix.T) if backward else matrix
