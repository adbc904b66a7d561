"""Composed maps are the product of their matrices, and stay convolutions where they can."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from spikewright.export.compose import (
    Linear,
    Selection,
    as_map,
    compose,
    matrix,
    parallel,
    unit_map,
    upsampling,
)
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


@pytest.mark.parametrize("first", ["strided", "upsampled"])
def test_a_pointwise_convolution_behind_another_leaves_it_its_kernel(first: str) -> None:
    rng = np.random.default_rng(2)
    shape = (3, 5, 6)
    before: Linear = Conv2d(rng.normal(size=(4, 3, 3, 3)).astype(np.float32), shape, (2, 2), (1, 1))
    if first == "upsampled":
        up = Selection(upsampling(shape, (2, 2)), shape, (3, 10, 12))
        conv = Conv2d(rng.normal(size=(4, 3, 3, 3)).astype(np.float32), up.output_shape, (1, 1), (1, 1))
        before = compose(conv, up)
    mix = Conv2d(rng.normal(size=(2, 4, 1, 1)).astype(np.float32), before.output_shape)
    made = compose(mix, before)
    assert isinstance(made, ConvTranspose2d if first == "upsampled" else Conv2d)
    assert made.weight.shape[2:] == ((4, 4) if first == "upsampled" else (3, 3))
    assert np.allclose(matrix(made).toarray(), (matrix(mix) @ matrix(before)).toarray(), atol=1e-5)
    # With a stride, or zeros put around, it is no mere mixture.
    for settings_ in ({"stride": (2, 2)}, {"padding": (1, 1)}):
        other = Conv2d(mix.weight, before.output_shape, **settings_)  # type: ignore[arg-type]
        assert np.allclose(
            matrix(compose(other, before)).toarray(), (matrix(other) @ matrix(before)).toarray(), atol=1e-5
        )


def test_two_maps_add_up_where_they_have_one_form() -> None:
    rng = np.random.default_rng(4)
    shape = (3, 4, 5)

    def conv(kernel: int, stride: int = 1, out: int = 2) -> Conv2d:
        weight = rng.normal(size=(out, 3, kernel, kernel)).astype(np.float32)
        return Conv2d(weight, shape, (stride, stride), (kernel // 2, kernel // 2))

    def irregular() -> Sparse:
        entries = rng.normal(size=(40, 60)) * (rng.random((40, 60)) < 0.2)
        return Sparse.of(sparse.csr_matrix(entries.astype(np.float32)), shape, (2, 4, 5))

    def transposed() -> ConvTranspose2d:
        return ConvTranspose2d(rng.normal(size=(3, 2, 4, 4)).astype(np.float32), shape, (2, 2), (1, 1))

    dense = [Dense(rng.normal(size=(40, 60)).astype(np.float32), shape, (2, 4, 5)) for _ in range(2)]
    for one, other in (
        (conv(3), conv(3)), (irregular(), irregular()), (transposed(), transposed()), (dense[0], dense[1]),
    ):  # fmt: skip
        made = parallel(one, other)
        assert type(made) is type(one)
        assert np.allclose(matrix(made).toarray(), (matrix(one) + matrix(other)).toarray(), atol=1e-6)
    for one, other in (
        (conv(3), conv(1)), (conv(3), irregular()), (conv(3), dense[0]), (conv(3), conv(3, out=4)),
    ):  # fmt: skip
        assert parallel(one, other) is None
    shifted = Conv2d(conv(3).weight, (3, 4, 5), padding=(0, 2), dilation=(1, 2))
    assert shifted.weight.shape == conv(3).weight.shape
    assert parallel(conv(3), shifted) is None


def test_three_dimensional_convolutions_are_what_torch_computes() -> None:
    rng = np.random.default_rng(1)
    conv = Conv3d(rng.normal(size=(4, 2, 2, 3, 1)).astype(np.float32), (2, 4, 5, 3), (1, 2, 1), (1, 1, 0))
    x = rng.normal(size=(3, 2 * 4 * 5 * 3))
    y = conv.forward(torch.from_numpy(x), torch.from_numpy(conv.weight.astype(np.float64)))
    assert np.allclose(matrix(conv) @ x.T, y.numpy().T)
    adjoint = conv.adjoint(y, torch.from_numpy(conv.weight.astype(np.float64))).numpy()
    assert np.allclose(matrix(conv).T @ y.numpy().T, adjoint.T)
