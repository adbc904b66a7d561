"""Runs of synapses add up to the map, whatever its kernel, stride, dilation, groups and borders."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from spikewright.export.linear import Conv2d, Conv3d, ConvTranspose2d, Dense, LinearMap, Sparse
from spikewright.export.unroll import unroll
from spikewright.hardware.emulation import integer
from spikewright.hardware.emulation.dense import FloatKernel
from spikewright.hardware.emulation.feed import Feed, reach, unpack
from spikewright.hardware.emulation.layout import WORD, Layout, ends, padded
from spikewright.hardware.emulation.patches import PatchKernel
from spikewright.hardware.emulation.runs import RUN_BYTES, runs
from spikewright.hardware.program import SynapseGroup


@st.composite
def maps(draw: st.DrawFn) -> LinearMap:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["conv", "conv3d", "transposed", "dense", "sparse"]))

    def weights(*shape: int) -> np.ndarray:
        return rng.integers(-127, 128, shape).astype(np.int8)

    if kind in ("dense", "sparse"):
        inputs, outputs = draw(st.integers(1, 80)), draw(st.integers(1, 80))
        if kind == "dense":
            return Dense(weights(outputs, inputs), (inputs,), (outputs,))
        from scipy import sparse

        thin = sparse.random(outputs, inputs, 0.2, "csr", np.float32, rng)
        thin.data = rng.integers(-127, 128, thin.data.size)
        return Sparse.of(sparse.csr_matrix(thin, dtype=np.int8), (inputs,), (outputs,))
    axes = 3 if kind == "conv3d" else 2
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    inside, outside = draw(st.integers(1, 9)), draw(st.integers(1, 5))
    kernel = tuple(draw(st.integers(1, 4 if axes == 2 else 3)) for _ in range(axes))
    sides = tuple(draw(st.integers(1, 9 if axes == 2 else 4)) for _ in range(axes))
    stride, dilation = (tuple(draw(st.integers(1, 3)) for _ in range(axes)) for _ in range(2))
    padding = tuple(draw(st.integers(0, 3)) for _ in range(axes))
    shape = (inside * groups, *sides)
    try:
        if kind == "transposed":
            more = tuple(draw(st.integers(0, s - 1)) for s in stride)
            made: Any = ConvTranspose2d(
                weights(shape[0], outside, *kernel),
                shape,
                stride,
                padding,
                more,
                dilation,
                groups,  # type: ignore[arg-type]
            )
        else:
            built = Conv3d if axes == 3 else Conv2d
            made = built(weights(outside * groups, inside, *kernel), shape, stride, padding, dilation, groups)
    except ValueError:
        assume(False)
    return made  # type: ignore[no-any-return]


def expected(map_: LinearMap, raster: np.ndarray) -> np.ndarray:
    return raster.astype(np.int64) @ unroll(map_).astype(np.int64).toarray().T


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@example(Dense(np.array([[89], [35]], np.int8), (1,), (2,)), 0.3, 1, 0)
@example(
    Conv2d(np.arange(27).reshape(3, 1, 3, 3).astype(np.int8), (1, 9, 2), (1, 2), (0, 1), (2, 1), 1), 0.3, 1, 0
)
@given(maps(), st.sampled_from([0.02, 0.3, 1.0]), st.sampled_from([1, 3, 127, 255]), st.integers(0, 99))
def test_every_kernel_sums_what_the_unrolled_map_does(
    map_: LinearMap, rate: float, peak: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    inputs, outputs = prod(map_.input_shape), prod(map_.output_shape)
    raster = (rng.random((2, 3, inputs)) < rate) * rng.integers(1, peak + 1, (2, 3, inputs))
    wanted = expected(map_, raster)
    group = SynapseGroup("g", "a", "b", map_, 0)
    # In the layouts that the map wants, and in others.
    own = ends(map_) or (Layout(inputs), Layout(outputs))
    for source, target in (own, (Layout(inputs), Layout(outputs))):
        entered = np.zeros((2, 3, padded(inputs)), np.uint8)
        entered[:, :, :inputs] = source.enter(raster.astype(np.uint8))
        for kernel in Feed(group, source, target, peak).kernels:
            feed = Feed(group, source, target, peak, kernel)
            sums = feed.apply(entered, float((raster > 0).sum()))
            assert feed.last is not None
            assert feed.last[0] == kernel
            assert (target.leave(unpack(sums.cells, sums.geometry)) == wanted).all(), (kernel, map_)
    on_device = PatchKernel(map_, torch.float64, torch.device("cpu"))
    assert (on_device.apply(torch.from_numpy(raster.reshape(6, -1))).numpy() == wanted.reshape(6, -1)).all()


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(maps())
def test_reach_is_reached_and_never_passed(map_: LinearMap) -> None:
    matrix = unroll(map_).astype(np.int64).toarray()
    most = max(np.maximum(matrix, 0).sum(1).max(), np.maximum(-matrix, 0).sum(1).max())
    assert most <= reach(map_)
    if isinstance(map_, Dense | Sparse):
        assert most == reach(map_)


def test_sixteen_bits_are_used_up_to_their_last_value_and_no_further() -> None:
    for last, dtype in ((127, np.int16), (1, np.int16), (2, np.int32)):
        # 258 weights of 127 and one more make 32,767 with a 1, and 32,768 with a 2.
        weights = np.full((1, 259), 127, np.int8)
        weights[0, 258] = last if last < 127 else 1
        feed = Feed(
            SynapseGroup("g", "a", "b", Dense(weights, (259,), (1,)), 0), Layout(259), Layout(1), 1, "events"
        )
        raster = np.zeros((1, 1, padded(259)), np.uint8)
        raster[:, :, :259] = 1
        sums = feed.apply(raster, 259.0)
        assert sums.cells.dtype == dtype
        assert unpack(sums.cells, sums.geometry)[0, 0, 0] == weights.sum(dtype=np.int64)
        down = Feed(
            SynapseGroup("g", "a", "b", Dense(-weights, (259,), (1,)), 0), Layout(259), Layout(1), 1, "events"
        )
        sums = down.apply(raster, 259.0)
        assert unpack(sums.cells, sums.geometry)[0, 0, 0] == -weights.sum(dtype=np.int64)


def test_float32_is_left_where_its_mantissa_ends() -> None:
    weights = np.full((1, 522), 127, np.int8)
    for peak, kernels in ((253, ("events", "float32", "float64")), (254, ("events", "float64"))):
        feed = Feed(
            SynapseGroup("g", "a", "b", Dense(weights, (522,), (1,)), 0), Layout(522), Layout(1), peak
        )
        assert 522 * 127 * peak == feed.bound
        assert feed.kernels == kernels


def test_runs_are_whole_vectors_and_stay_inside_their_cells() -> None:
    map_ = Conv2d(np.ones((5, 3, 3, 2), np.int8), (3, 4, 7), (2, 1), (1, 2), (1, 1))
    source, target = ends(map_) or ()
    for dtype in (np.int16, np.int32):
        made = runs(map_, source, target, dtype)
        assert (made.length * np.uint64(np.dtype(dtype).itemsize) % np.uint64(RUN_BYTES) == 0).all()
        assert int((made.out + made.length).max()) <= made.geometry.cells
        assert int((made.first + made.length).max()) <= made.row
        assert made.geometry.width == 5 * map_.output_shape[2]


def test_eight_bit_products_that_saturate_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    integer.integers_are_exact.cache_clear()
    assert integer.integers_are_exact()
    dense = Dense(np.ones((2, 2), np.int8), (2,), (2,))
    assert integer.takes(dense, 127, 1000)
    true = integer._OPERATORS
    try:
        for name in ("qlinear_pointwise", "qconv_pointwise"):
            saturating = _Saturating(true, name)
            monkeypatch.setattr(integer, "_OPERATORS", saturating)
            integer.integers_are_exact.cache_clear()
            assert not integer.integers_are_exact()
            assert saturating.called
            assert not integer.takes(dense, 1, 1)
        monkeypatch.setattr(integer, "_OPERATORS", None)  # a torch that was built without them
        integer.integers_are_exact.cache_clear()
        assert not integer.takes(dense, 1, 1)
    finally:
        integer.integers_are_exact.cache_clear()


class _Saturating:
    """oneDNN's operators, of which one adds into 16 bits."""

    def __init__(self, true: Any, name: str) -> None:
        self.true, self.name, self.called = true, name, False

    def __getattr__(self, name: str) -> Any:
        operator = getattr(self.true, name)
        if name != self.name:
            return operator

        def saturated(*given: Any) -> torch.Tensor:
            self.called = True
            return operator(*given).clamp(-32768, 32767)  # type: ignore[no-any-return]

        return saturated


def test_integers_take_what_they_add_exactly_and_nothing_else() -> None:
    dense = Dense(np.full((1, 1040), 127, np.int8), (1040,), (1,))
    assert integer.takes(dense, 127, reach(dense) * 127)
    assert not integer.takes(dense, 128, reach(dense))
    assert not integer.takes(dense, 127, 1 << 24)
    weights = np.ones((2, 3, 3, 2), np.int8)
    for shape, padding, taken in (((3, 9, 4), (2, 1), True), ((3, 9, 1), (1, 1), False), ((3, 9, 2), (0, 0), False),
                                  ((3, 9, 4), (3, 1), False), ((3, 1, 9), (2, 1), False)):  # fmt: skip
        map_ = Conv2d(weights, shape, (1, 1), padding, (1, 1), 1)
        assert integer.takes(map_, 1, reach(map_)) is taken, (shape, padding)


def test_layouts_keep_every_neuron() -> None:
    layout = Layout.of(24, 3)
    values = np.arange(48).reshape(2, 24)
    assert layout.enter(values)[0, :4].tolist() == [0, 8, 16, 1]
    assert (layout.leave(layout.enter(values)) == values).all()
    assert layout.order is not None
    assert (values[:, layout.order] == layout.enter(values)).all()
    assert Layout.of(5, 5) == Layout(5)
    assert Layout(5).order is None
    assert padded(9) == 2 * WORD


def test_a_matrix_follows_the_layouts_of_its_ends() -> None:
    rng = np.random.default_rng(1)
    map_ = Dense(rng.integers(-9, 9, (12, 6)).astype(np.int8), (6,), (12,))
    source, target = Layout.of(6, 2), Layout.of(12, 3)
    x = rng.integers(0, 2, (4, 6)).astype(np.uint8)
    y = FloatKernel(map_, source, target, torch.float32).apply(np.ascontiguousarray(source.enter(x)))
    assert (target.leave(y) == expected(map_, x)).all()
