"""Multiply-accumulates of single ONNX operators, taps that fall on padding excluded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any, TypeAlias

import numpy as np

Shape: TypeAlias = tuple[int, ...]
Attributes: TypeAlias = Mapping[str, Any]


def taps(coarse: int, fine: int, kernel: int, stride: int, dilation: int, pad: int) -> int:
    """Pairs (position, tap) of one axis for which ``position * stride - pad + tap * dilation`` lies inside.

    Parameters
    ----------
    coarse, fine : int
        Lengths of the strided side (a convolution's output, a transposed one's input) and of the other.
    pad : int
        Padding before the first element.
    """
    at = np.arange(coarse)[:, None] * stride - pad + np.arange(kernel) * dilation
    return int(((at >= 0) & (at < fine)).sum())


def conv(attributes: Attributes, inputs: list[Shape], output: Shape) -> int:
    """Convolution over any number of axes: channels times the taps of every axis."""
    x, weight = inputs[0], inputs[1]
    kernel = weight[2:]
    stride, dilation = _sides(attributes, "strides", kernel), _sides(attributes, "dilations", kernel)
    total = output[0] * weight[0] * weight[1]
    for axis, k in enumerate(kernel):
        n, out, s, d = x[2 + axis], output[2 + axis], stride[axis], dilation[axis]
        reach = (out - 1) * s + (k - 1) * d + 1
        total *= taps(out, n, k, s, d, _pad(attributes, axis, max(reach - n, 0)))
    return total


def conv_transpose(attributes: Attributes, inputs: list[Shape], output: Shape) -> int:
    """Transposed convolution: each input reaches every output that a tap leads to."""
    x, weight = inputs[0], inputs[1]
    kernel = weight[2:]
    stride, dilation = _sides(attributes, "strides", kernel), _sides(attributes, "dilations", kernel)
    extra = attributes.get("output_padding") or [0] * len(kernel)
    total = x[0] * weight[0] * weight[1]
    for axis, k in enumerate(kernel):
        n, out, s, d = x[2 + axis], output[2 + axis], stride[axis], dilation[axis]
        # Where the file gives the output's shape, the padding follows from it.
        surplus = (n - 1) * s + extra[axis] + (k - 1) * d + 1 - out
        total *= taps(n, out, k, s, d, _pad(attributes, axis, surplus, derived="output_shape" in attributes))
    return total


def gemm(attributes: Attributes, inputs: list[Shape], output: Shape) -> int:
    """Matrix product of two matrices, either of them transposed."""
    shared = inputs[0][0] if attributes.get("transA") else inputs[0][1]
    return prod(output) * shared


def matmul(attributes: Attributes, inputs: list[Shape], output: Shape) -> int:
    """Matrix product over broadcast leading axes."""
    return prod(output) * inputs[0][-1]


COUNTED: dict[str, Callable[[Attributes, list[Shape], Shape], int]] = {
    "Conv": conv, "ConvTranspose": conv_transpose, "Gemm": gemm, "MatMul": matmul
}  # fmt: skip

_ELEMENTWISE = """
    Abs Add And BitShift Cast CastLike Ceil Celu Clip Cos Cosh Div Dropout Elu Equal Erf Exp Floor Gelu
    Greater GreaterOrEqual HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Mean
    Min Mish Mod Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu Sigmoid Sign Sin Sinh Softplus Softsign
    Sqrt Sub Sum Swish Tan Tanh ThresholdedRelu Where Xor DequantizeLinear DynamicQuantizeLinear
    QuantizeLinear
"""
_REDUCING = """
    ArgMax ArgMin AveragePool BatchNormalization CumSum GlobalAveragePool GlobalMaxPool GroupNormalization
    InstanceNormalization LayerNormalization LogSoftmax LpNormalization MaxPool RMSNormalization ReduceL1
    ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Softmax TopK
"""
_MOVING = """
    Bernoulli Concat Constant ConstantOfShape DepthToSpace Expand EyeLike Flatten Gather GatherElements
    GatherND OneHot Pad RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range Reshape Resize
    ScatterElements ScatterND Shape Size Slice SpaceToDepth Split Squeeze Tile Transpose Trilu Unsqueeze
"""
#: Operators whose work grows with their input only: no products summed over channels, and not counted.
CHEAP = frozenset(f"{_ELEMENTWISE} {_REDUCING} {_MOVING}".split())


def _sides(attributes: Attributes, name: str, kernel: Shape) -> list[int]:
    return list(attributes.get(name) or [1] * len(kernel))


def _pad(attributes: Attributes, axis: int, total: int, derived: bool = False) -> int:
    """Padding before the first element of an axis; ``total`` is what automatic padding shares out."""
    auto = bytes(attributes.get("auto_pad") or b"NOTSET").decode()
    if auto == "VALID":
        return 0
    if auto == "SAME_UPPER":
        return total // 2
    if auto == "SAME_LOWER" or derived:
        return total - total // 2
    return int((attributes.get("pads") or [0] * (axis + 1))[axis])
