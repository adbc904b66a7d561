"""Linear maps against plain Python loops: the sum over taps, written down once more and slowly."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewright.export.linear import (
    Conv2d,
    ConvTranspose2d,
    Dense,
    LinearMap,
    dense_operations,
    expand_channels,
    fan_out,
    per_channel,
    with_weight,
)
from spikewright.export.unroll import unroll

Taps = list[tuple[int, int, tuple[int, ...]]]


def flat(shape: tuple[int, ...], *index: int) -> int:
    """Position in C order."""
    position = 0
    for side, i in zip(shape, index, strict=True):
        position = position * side + i
    return position


def taps_of(map_: LinearMap) -> Taps:
    """Every (output, input, weight index) that the definition of a map names, borders excluded."""
    if isinstance(map_, Dense):
        return [(o, i, (o, i)) for o, i in product(range(map_.weight.shape[0]), range(map_.weight.shape[1]))]
    _, inner, kernel_height, kernel_width = map_.weight.shape
    taps: Taps = []
    (sy, sx), (py, px), (dy, dx) = map_.stride, map_.padding, map_.dilation
    if isinstance(map_, Conv2d):
        per_group = map_.weight.shape[0] // map_.groups
        for o, y, x in product(*map(range, map_.output_shape)):
            for c, ky, kx in product(range(inner), range(kernel_height), range(kernel_width)):
                iy, ix = y * sy - py + ky * dy, x * sx - px + kx * dx
                if 0 <= iy < map_.input_shape[1] and 0 <= ix < map_.input_shape[2]:
                    channel = (o // per_group) * inner + c
                    taps.append(
                        (
                            flat(map_.output_shape, o, y, x),
                            flat(map_.input_shape, channel, iy, ix),
                            (o, c, ky, kx),
                        )
                    )
        return taps
    for c, y, x in product(*map(range, map_.input_shape)):
        for o, ky, kx in product(range(inner), range(kernel_height), range(kernel_width)):
            oy, ox = y * sy - py + ky * dy, x * sx - px + kx * dx
            if 0 <= oy < map_.output_shape[1] and 0 <= ox < map_.output_shape[2]:
                taps.append(
                    (flat(map_.output_shape, o, oy, ox), flat(map_.input_shape, c, y, x), (c, o, ky, kx))
                )
    return taps


@st.composite
def maps(draw: st.DrawFn) -> LinearMap:
    """Maps over images that are not square, with asymmetric kernels, strides, paddings and dilations."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["dense", "conv", "transposed"]))

    def weight(*shape: int) -> np.ndarray:
        drawn = rng.integers(-9, 10, shape)
        return np.where(rng.random(shape) < 0.3, 0, drawn).astype(np.int8)

    if kind == "dense":
        shape, out = draw(st.tuples(st.integers(1, 3), st.integers(1, 4))), draw(st.tuples(st.integers(1, 5)))
        return Dense(weight(prod(out), prod(shape)), shape, out)
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    padding = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    if kind == "conv":
        groups = draw(st.integers(1, 3))
        inner, outer = draw(st.integers(1, 2)), draw(st.integers(1, 2))
        sides = [max(1, r - 2 * p) + draw(st.integers(0, 3)) for r, p in zip(reach, padding, strict=True)]
        return Conv2d(
            weight(outer * groups, inner, *kernel),
            (inner * groups, *sides),
            stride,
            padding,
            dilation,
            groups,
        )
    sides = [draw(st.integers(1, 4)), draw(st.integers(1, 4))]
    surplus = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
    channels, outer = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    fits = [(n - 1) * s + r > 2 * p for n, s, r, p in zip(sides, stride, reach, padding, strict=True)]
    padding = tuple(p if fit else 0 for p, fit in zip(padding, fits, strict=True))
    return ConvTranspose2d(
        weight(channels, outer, *kernel), (channels, *sides), stride, padding, surplus, dilation
    )


def naive_matrix(map_: LinearMap) -> np.ndarray:
    matrix = np.zeros((prod(map_.output_shape), prod(map_.input_shape)), np.int64)
    for out, source, at in taps_of(map_):
        matrix[out, source] += map_.weight[at]
    return matrix


@settings(max_examples=150, deadline=None)
@given(maps())
def test_unroll_is_the_sum_over_taps_and_stores_no_zero(map_: LinearMap) -> None:
    matrix = unroll(map_)
    assert matrix.shape == (prod(map_.output_shape), prod(map_.input_shape))
    assert (matrix.toarray() == naive_matrix(map_)).all()
    assert matrix.nnz == np.count_nonzero(naive_matrix(map_))


@settings(max_examples=150, deadline=None)
@given(maps(), st.integers(0, 99))
def test_forward_and_adjoint_are_the_matrix_and_its_transpose(map_: LinearMap, seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix, weight = naive_matrix(map_), torch.from_numpy(map_.weight.astype(np.float64))
    x = rng.integers(-3, 4, (2, prod(map_.input_shape))).astype(np.float64)
    y = rng.integers(-3, 4, (2, prod(map_.output_shape))).astype(np.float64)
    assert (map_.forward(torch.from_numpy(x), weight).numpy() == x @ matrix.T).all()
    assert (map_.adjoint(torch.from_numpy(y), weight).numpy() == y @ matrix).all()


@settings(max_examples=150, deadline=None)
@given(maps())
def test_fan_out_counts_the_synapses_of_each_input(map_: LinearMap) -> None:
    wanted = np.zeros(prod(map_.input_shape), np.int64)
    for _, source, at in taps_of(map_):
        wanted[source] += map_.weight[at] != 0
    assert (fan_out(map_) == wanted).all()


@settings(max_examples=150, deadline=None)
@given(maps())
def test_dense_operations_count_every_tap_inside_the_borders_zero_weights_too(map_: LinearMap) -> None:
    assert dense_operations(map_) == len(taps_of(map_))


@settings(max_examples=60, deadline=None)
@given(maps())
def test_channels_are_what_a_scale_and_a_bias_spread_over(map_: LinearMap) -> None:
    factors = np.arange(2, map_.channels + 2)
    scaled = unroll(with_weight(map_, map_.weight.astype(np.int64) * per_channel(map_, factors)))
    spread = expand_channels(factors, map_.output_shape)
    assert spread.shape == (prod(map_.output_shape),)
    assert (scaled.toarray() == naive_matrix(map_) * spread[:, None]).all()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Dense(np.zeros((3, 4)), (5,), (3,)), "dense weight has shape"),
        (lambda: Conv2d(np.zeros((2, 3, 2, 2)), (2, 5, 4)), "2 channels in 1 groups"),
        (lambda: Conv2d(np.zeros((3, 1, 1, 1)), (2, 5, 4), groups=2), "2 channels in 2 groups"),
        (lambda: Conv2d(np.zeros((2, 2, 6, 1)), (2, 5, 4)), "does not fit"),
        (lambda: Conv2d(np.zeros((2, 2, 1, 6)), (2, 9, 4), stride=(1, 3)), "does not fit"),
        (lambda: Conv2d(np.zeros((2, 2, 1)), (2, 5, 4)), "need 3 and 4 axes"),
        (lambda: ConvTranspose2d(np.zeros((3, 2, 2, 2)), (2, 5, 4)), "transposed convolution over"),
        (lambda: ConvTranspose2d(np.zeros((2, 1, 1, 1)), (2, 2, 1), padding=(1, 0)), "leaves nothing"),
    ],
)
def test_maps_that_do_not_fit_are_refused(build: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()  # type: ignore[operator]


def test_unroll_never_builds_the_dense_matrix_of_a_large_layer() -> None:
    rng = np.random.default_rng(0)
    map_ = ConvTranspose2d(
        rng.integers(1, 9, (8, 4, 3, 3)).astype(np.int8), (8, 96, 64), (2, 2), (1, 1), (1, 1)
    )
    matrix = unroll(map_)  # as a dense matrix: 49,152 x 98,304 cells
    assert matrix.nnz == dense_operations(map_)
    rows = rng.integers(0, matrix.shape[0], 5)
    probe = torch.zeros(5, matrix.shape[0])
    probe[torch.arange(5), torch.from_numpy(rows)] = 1
    columns = map_.adjoint(probe, torch.from_numpy(map_.weight).float()).numpy()
    assert (matrix[rows].toarray() == columns).all()
