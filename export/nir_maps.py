"""Linear maps as NIR writes them: structure strings, and dense matrices that remember their kernel."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .linear import Conv2d, ConvTranspose2d, Dense, LinearMap, unroll

KINDS: dict[str, type[Conv2d] | type[ConvTranspose2d]] = {
    "conv2d": Conv2d,
    "conv_transpose2d": ConvTranspose2d,
}


def structure(map_: Conv2d | ConvTranspose2d) -> str:
    """Everything about a convolution but its weights, as JSON."""
    kind = next(name for name, cls in KINDS.items() if isinstance(map_, cls))
    return json.dumps(
        {"kind": kind, **{f.name: getattr(map_, f.name) for f in fields(map_) if f.name != "weight"}}
    )


def map_from_kernel(kernel: NDArray[Any], text: str | bytes) -> Conv2d | ConvTranspose2d:
    """Rebuild a convolution from its kernel and :func:`structure`."""
    settings: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(text).items()
    }
    return KINDS[settings.pop("kind")](weight=kernel, **settings)


def dense_matrix(map_: LinearMap) -> NDArray[Any]:
    """The map as a full matrix (outputs, inputs)."""
    if isinstance(map_, Dense):
        return map_.weight
    return unroll(map_).toarray().astype(map_.weight.dtype)


def entries(map_: LinearMap) -> int:
    """Cells that :func:`dense_matrix` would hold."""
    return int(np.prod(map_.output_shape, dtype=np.int64) * np.prod(map_.input_shape, dtype=np.int64))
