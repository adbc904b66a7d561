"""Linear maps as NIR writes them: structure strings, and dense matrices that remember their kernel."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .linear import Conv2d, Conv3d, ConvTranspose2d, Dense, LinearMap, Sparse
from .unroll import unroll

Structured: TypeAlias = Conv2d | Conv3d | ConvTranspose2d | Sparse
KINDS: dict[str, type[Structured]] = {
    "conv2d": Conv2d,
    "conv3d": Conv3d,
    "conv_transpose2d": ConvTranspose2d,
    "sparse": Sparse,
}
ARRAYS = ("weight", "columns", "row_pointer")


def structure(map_: Structured) -> str:
    """Everything about a map but its arrays, as JSON."""
    kind = next(name for name, cls in KINDS.items() if isinstance(map_, cls))
    return json.dumps(
        {"kind": kind, **{f.name: getattr(map_, f.name) for f in fields(map_) if f.name not in ARRAYS}}
    )


def indices(map_: Structured) -> tuple[NDArray[Any], NDArray[Any]]:
    """Columns and row pointer of sparse weights; one zero each for a convolution."""
    if isinstance(map_, Sparse):
        return map_.columns, map_.row_pointer
    return np.zeros(1, np.int32), np.zeros(1, np.int32)


def map_from_kernel(
    kernel: NDArray[Any], text: str | bytes, columns: NDArray[Any], row_pointer: NDArray[Any]
) -> Structured:
    """Rebuild a map from its kernel, :func:`structure` and :func:`indices`."""
    settings: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(text).items()
    }
    kind = KINDS[settings.pop("kind")]
    if kind is Sparse:
        settings |= {"columns": np.atleast_1d(columns), "row_pointer": row_pointer}
    return kind(weight=np.atleast_1d(kernel), **settings)


def dense_matrix(map_: LinearMap) -> NDArray[Any]:
    """The map as a full matrix (outputs, inputs)."""
    if isinstance(map_, Dense):
        return map_.weight
    return unroll(map_).toarray().astype(map_.weight.dtype)


def entries(map_: LinearMap) -> int:
    """Cells that :func:`dense_matrix` would hold."""
    return int(np.prod(map_.output_shape, dtype=np.int64) * np.prod(map_.input_shape, dtype=np.int64))
