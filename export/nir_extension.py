"""One primitive that NIR 1.0 lacks: a convolution-shaped linear map over flat vectors.

NIR has no transposed convolution, no reshape and no sparse matrix. Small networks are written with plain ``Linear``
nodes, which every tool reads; where that matrix would be too large, this node keeps the kernel instead. It must be
registered before ``nir.read`` sees it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import nir
import numpy as np

from .nir_maps import Structured, map_from_kernel


@dataclass(eq=False)
class ConvolutionMap(nir.ir.NIRNode):
    """A convolution or transposed convolution between flat vectors in (channels, height, width) C order.

    Attributes
    ----------
    kernel : ndarray
        As torch stores it.
    bias : ndarray
        One value an output channel, or one an output.
    structure : str
        JSON of the map's settings: kind, input shape, stride, padding and so on.
    columns, row_pointer : ndarray
        Of sparse weights; one zero each otherwise.
    """

    kernel: np.ndarray
    bias: np.ndarray
    structure: str
    columns: np.ndarray
    row_pointer: np.ndarray

    def __post_init__(self) -> None:
        map_ = self.map
        self.input_type = {"input": np.array([prod(map_.input_shape)])}
        self.output_type = {"output": np.array([prod(map_.output_shape)])}

    @property
    def map(self) -> Structured:
        """The linear map it stands for."""
        return map_from_kernel(self.kernel, self.structure, self.columns, self.row_pointer)


def register() -> None:
    """Make ``nir.read`` know the primitive; harmless when repeated."""
    known = getattr(nir.ir, "__all_ir")
    if ConvolutionMap.__name__ not in known:
        known.append(ConvolutionMap.__name__)
        setattr(nir.ir, ConvolutionMap.__name__, ConvolutionMap)
