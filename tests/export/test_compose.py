"""Composed maps are the product of their matrices, and stay convolutions where they can."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewright.export.compose import Linear, Selection, as_map, compose, matrix, unit_map, upsampling
from spikewright.export.linear import Conv2d, Conv3d, ConvTranspose2d, Dense, Shape, Sparse


@st.composite
def _linear(draw: st.DrawFn, rng: np.random.Generator, shape: Shape) -> Linear:
    kind = draw(
        st.sampled_from(
            ["dense", "conv", "grouped", "transposed", "pool", "up", "permute", "channels", "scale", "crop"]
        )
    )
    channels, height, width = shape

    def weight(*sides: int) -> Any:
        return rng.normal(size=sides).astype(np.float32)

    if kind == "dense":
        out = (draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 2)))
        return Dense(weight(prod(out), prod(shape)), shape, out)
    if kind == "up":
        factor = (draw(st.integers(1, 3)), draw(st.integers(1, 2)))
        return Selection(upsampling(shape, factor), shape, (channels, height * factor[0], width * factor[1]))
    if kind == "permute":
        order = rng.permutation(3)
        index = np.arange(prod(shape)).reshape(shape).transpose(order)
        return Selection(index.reshape(-1), shape, index.shape)
    if kind == "channels":
        picked = rng.integers(-1, channels, draw(st.integers(1, 4)))
        inner = np.arange(height * width)
        index = np.where(picked[:, None] < 0, -1, picked[:, None] * height * width + inner)
        return Selection(index.reshape(-1), shape, (len(picked), height, width))
    if kind == "crop":
        index = np.arange(prod(shape)).reshape(shape)[:, : max(1, height - 1), : max(1, width - 1)]
        return Selection(index.reshape(-1), shape, index.shape)
    if kind == "scale":
        return Conv2d(weight(channels, 1, 1, 1), shape, groups=channels)
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 2)))
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 2)))
    padding = (draw(st.integers(0, kernel[0] - 1)), draw(st.integers(0, kernel[1] - 1)))
    if kind == "transposed":
        groups = channels if draw(st.booleans()) else 1
        try:
            return ConvTranspose2d(weight(channels, 2, *kernel), shape, stride, padding, groups=groups)
        except ValueError:
            return ConvTranspose2d(weight(channels, 2, *kernel), shape, stride, groups=groups)
    try:
        if kind == "pool":
            return Conv2d(
                np.ones((channels, 1, *kernel), np.float32), shape, stride, padding, groups=channels
            )
        groups = channels if kind == "grouped" else 1
        return Conv2d(weight(2 * groups, channels // groups, *kernel), shape, stride, padding, (1, 1), groups)
    except ValueError:
        return unit_map(shape)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_composed_map_is_the_product_of_matrices(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    shape = (data.draw(st.integers(1, 3)), data.draw(st.integers(1, 7)), data.draw(st.integers(1, 5)))
    first = data.draw(_linear(rng, shape))
    between = first.output_shape if len(first.output_shape) == 3 else (1, 1, prod(first.output_shape))
    second = data.draw(_linear(rng, between))
    made = as_map(compose(second, first))
    wanted = (matrix(second) @ matrix(first)).toarray()
    assert np.allclose(matrix(made).toarray(), wanted, atol=1e-5)
    assert prod(made.input_shape) == prod(shape)
    assert prod(made.output_shape) == prod(second.output_shape)


def _pool(channels: int, height: int, width: int, k: int = 2) -> Conv2d:
    return Conv2d(
        np.ones((channels, 1, k, k), np.float32), (channels, height, width), (k, k), groups=channels
    )


@pytest.mark.parametrize(("height", "padding", "kind"), [(8, 1, Conv2d), (9, 0, Conv2d), (9, 1, Sparse)])
def test_a_pool_before_a_convolution_stays_one_where_its_border_allows(
    height: int, padding: int, kind: type
) -> None:
    pool = _pool(3, height, 6)
    rng = np.random.default_rng(0)
    conv = Conv2d(
        rng.normal(size=(5, 3, 3, 3)).astype(np.float32), pool.output_shape, (1, 1), (padding, padding)
    )
    assert isinstance(compose(conv, pool), kind)


def test_upsampling_before_a_convolution_is_transposed() -> None:
    shape = (3, 5, 4)
    up = Selection(upsampling(shape, (2, 2)), shape, (3, 10, 8))
    conv = Conv2d(np.ones((4, 3, 3, 3), np.float32), (3, 10, 8), (1, 1), (1, 1))
    made = compose(conv, up)
    assert isinstance(made, ConvTranspose2d)
    assert made.weight.shape == (3, 4, 4, 4)
    assert made.output_shape == (4, 10, 8)


def test_three_dimensional_convolutions_are_what_torch_computes() -> None:
    rng = np.random.default_rng(1)
    conv = Conv3d(rng.normal(size=(4, 2, 2, 3, 1)).astype(np.float32), (2, 4, 5, 3), (1, 2, 1), (1, 1, 0))
    x = rng.normal(size=(3, 2 * 4 * 5 * 3))
    y = conv.forward(torch.from_numpy(x), torch.from_numpy(conv.weight.astype(np.float64)))
    assert np.allclose(matrix(conv) @ x.T, y.numpy().T)
    adjoint = conv.adjoint(y, torch.from_numpy(conv.weight.astype(np.float64))).numpy()
    assert np.allclose(matrix(conv).T @ y.numpy().T, adjoint.T)
