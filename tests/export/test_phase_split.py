"""A transposed convolution is a convolution on the coarse grid with a channel for each phase, then a pixel shuffle."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from spikewright.export.linear import Conv2d, ConvTranspose2d
from spikewright.export.unroll import unroll


def split(weight: np.ndarray, stride: int, padding: int) -> np.ndarray:
    """Kernel (out channels x phases, in channels, 3, 3) by probing: which output of a pixel's block a tap reaches."""
    inputs, outputs, kernel, _ = weight.shape
    found = np.zeros((outputs, stride, stride, inputs, 3, 3), weight.dtype)
    for (a, b), (k, m) in itertools.product(
        itertools.product(range(stride), repeat=2), itertools.product(range(kernel), repeat=2)
    ):
        up, across = a + padding - k, b + padding - m
        if up % stride == 0 and across % stride == 0:
            found[:, a, b, :, 1 + up // stride, 1 + across // stride] = weight[:, :, k, m].T
    return found.reshape(outputs * stride * stride, inputs, 3, 3)


@pytest.mark.parametrize("sides", [(7, 7), (3, 5)])
@pytest.mark.parametrize("dtype", [np.int8, np.float32])
def test_phases_are_channels(sides: tuple[int, int], dtype: type) -> None:
    rng = np.random.default_rng(0)
    weight = (rng.integers(-99, 100, (4, 3, 3, 3)) / (1 if dtype is np.int8 else 64)).astype(dtype)
    shape = (4, *sides)
    transposed = ConvTranspose2d(weight, shape, (2, 2), (1, 1), (1, 1))
    phases = Conv2d(split(weight, 2, 1), shape, (1, 1), (1, 1))
    x = (rng.random((6, 4 * sides[0] * sides[1])) < 0.4).astype(np.float64)
    wanted = x @ unroll(transposed).astype(np.float64).toarray().T
    coarse = x @ unroll(phases).astype(np.float64).toarray().T
    blocks = coarse.reshape(6, 3, 2, 2, *sides).transpose(0, 1, 4, 2, 5, 3)
    assert np.abs(blocks.reshape(6, -1) - wanted).max() < 1e-6
    # As many synapses, though a quarter of the wider kernel's cells is all that is not zero.
    assert unroll(transposed).count_nonzero() == unroll(phases).count_nonzero()
