"""Rounding that makes up for its own errors: exact bookkeeping, and less error in what neurons receive."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse

from spikewright.export import compensate
from spikewright.export.calibration import Calibration
from spikewright.export.compensate import Compensation, Passing, as_rows, from_rows, unfold
from spikewright.export.float_run import run_float
from spikewright.export.graph import Synapses
from spikewright.export.linear import Conv2d, Conv3d, ConvTranspose2d, Dense, LinearMap, Sparse
from spikewright.export.quantise import quantise
from tests.export.graphs import chain

RNG = np.random.default_rng(0)


def weights(*shape: int) -> NDArray[np.float32]:
    return RNG.normal(size=shape).astype(np.float32)


LOCAL: dict[str, LinearMap] = {
    "conv": Conv2d(weights(3, 2, 3, 2), (2, 6, 5), (2, 1), (1, 0), (1, 2)),
    "grouped": Conv2d(weights(6, 2, 2, 3), (4, 5, 4), (1, 2), (0, 1), groups=2),
    "conv3d": Conv3d(weights(2, 2, 2, 1, 3), (2, 4, 3, 5), (1, 2, 1), (1, 0, 1), (1, 1, 2)),
    "transposed": ConvTranspose2d(weights(4, 3, 3, 2), (4, 3, 5), (2, 3), (1, 0), (1, 0), (1, 2)),
    "transposed, grouped": ConvTranspose2d(weights(4, 3, 2, 4), (4, 3, 4), (3, 1), (0, 2), (2, 0), groups=2),
    "dense": Dense(weights(5, 12), (3, 4), (5,)),
}


@pytest.mark.parametrize("kind", LOCAL)
def test_unfolded_inputs_times_rows_of_weights_are_the_outputs(kind: str) -> None:
    map_ = LOCAL[kind]
    x = torch.randn(3, int(np.prod(map_.input_shape)))
    rows = torch.from_numpy(np.stack(list(as_rows(map_, map_.weight))))
    found = unfold(map_, x) @ rows.transpose(1, 2)  # groups, samples and places, outputs
    groups, _, outputs = found.shape
    places = int(np.prod(map_.output_shape[1:]))
    by_sample = found.reshape(groups, 3, places, outputs).permute(1, 0, 3, 2).flatten(1)
    assert torch.allclose(by_sample, map_.forward(x, torch.from_numpy(map_.weight)), atol=1e-4)


@pytest.mark.parametrize("kind", LOCAL)
def test_rows_of_weights_lead_back(kind: str) -> None:
    map_ = LOCAL[kind]
    rows = np.stack(list(as_rows(map_, map_.weight)))
    assert np.array_equal(from_rows(map_, rows), map_.weight)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 150), st.integers(1, 4), st.sampled_from([1, 3, 7, 127]), st.integers(0, 99))
def test_passing_errors_on_is_never_worse_and_stays_in_range(
    inputs: int, outputs: int, top: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(inputs, inputs)) / np.sqrt(inputs) + np.eye(inputs)
    covariance = mix @ mix.T
    weight = rng.uniform(-top, top, (outputs, inputs))
    found = Passing(covariance).round(weight, top)
    assert np.abs(found).max() <= top
    errors = [np.einsum("oi,ij,oj->o", e, covariance, e) for e in (weight - found, weight - np.rint(weight))]
    assert (errors[0] <= errors[1] * (1 + 1e-9)).all()


def test_independent_inputs_are_rounded_to_the_nearest() -> None:
    weight = RNG.uniform(-3, 3, (4, 200))
    found = Passing(np.diag(RNG.random(200))).round(weight, 7)
    assert np.array_equal(found, np.rint(weight))


def test_an_error_is_passed_on_to_an_input_that_fires_alike() -> None:
    together = np.array([[1.0, 0.999], [0.999, 1.0]])
    assert Passing(together).round(np.array([[0.4, 0.4]]), 7).sum() == 1
    assert np.rint([0.4, 0.4]).sum() == 0


def correlated(steps: int, inputs: int) -> NDArray[np.uint8]:
    """Spikes of few hidden causes: (1, steps, inputs)."""
    causes = RNG.random((steps, 4)) < 0.4
    wired = RNG.random((4, inputs)) < 0.4
    return ((causes.astype(int) @ wired) > 0).astype(np.uint8)[None]


def current_error(groups: dict[str, Synapses], found: dict, spikes: dict, step: float) -> float:
    """Variance of what rounding adds to the summed currents, its mean apart."""
    off: NDArray = 0.0
    for name, group in groups.items():
        x = torch.from_numpy(spikes[name][0].astype(np.float32))
        wrong = found[name].astype(np.float32) * step - group.map.weight
        off = off + group.map.forward(x, torch.from_numpy(wrong)).numpy()
    return float(
        off.reshape(len(off), group.map.output_shape[0], -1).transpose(1, 0, 2).reshape(3, -1).var(1).sum()
    )


def test_groups_of_a_population_make_up_for_each_other() -> None:
    maps = {
        "a": Conv2d(weights(3, 4, 3, 2), (4, 6, 5), padding=(1, 0)),
        "b": ConvTranspose2d(weights(5, 3, 2, 2), (5, 3, 2), stride=(2, 2)),
    }
    assert maps["a"].output_shape == maps["b"].output_shape == (3, 6, 4)
    seen = correlated(600, 120 + 30)
    spikes = {"a": seen[:, :, :120], "b": seen[:, :, 120:]}
    groups = {name: Synapses(m) for name, m in maps.items()}
    step = max(np.abs(m.weight).max() for m in maps.values()) / 3
    ratios = {name: np.full((1, 1, 1, 1), 1 / step) for name in maps}
    nearest = Compensation(groups, {}).round(ratios, 3)
    alone = {n: Compensation({n: groups[n]}, {n: spikes[n]}).round(ratios, 3)[n] for n in groups}
    joint = Compensation(groups, spikes).round(ratios, 3)
    errors = [current_error(groups, found, spikes, step) for found in (joint, alone, nearest)]
    assert errors[0] < 0.9 * errors[1]
    assert errors[1] < 0.7 * errors[2]


def test_sparse_rows_and_late_spikes_count() -> None:
    dense = weights(6, 40) * (RNG.random((6, 40)) < 0.6)
    dense[2] = 0
    map_ = Sparse.of(sparse.csr_matrix(dense), (40,), (6,))
    spikes = correlated(800, 40)
    step = float(np.abs(map_.weight).max()) / 3
    ratios = {"s": np.full(map_.weight.shape, 1 / step)}
    late = {"s": Synapses(map_, lag=1)}
    found = Compensation(late, {"s": spikes}).round(ratios, 3)["s"]
    nearest = Compensation(late, {}).round(ratios, 3)["s"]

    def error(q: NDArray) -> float:
        wrong = map_.matrix(q * step - map_.weight).toarray()
        return float((spikes[0, :-1].astype(float) @ wrong.T).var(0).sum())

    assert error(found) < 0.6 * error(nearest)


def test_wide_maps_are_rounded_in_parts_and_too_wide_ones_to_the_nearest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compensate, "LIMIT", 50)
    groups = {
        n: Synapses(Dense(weights(3, k), (k,), (3,))) for n, k in {"a": 30, "b": 25, "c": 20, "d": 51}.items()
    }
    spikes = {n: correlated(200, g.map.weight.shape[1]) for n, g in groups.items()}
    assert sorted(Compensation(groups, spikes).sets) == [("a",), ("b", "c")]
    ratios = {n: np.full((1, 1), 3.0) for n in groups}
    found = Compensation(groups, spikes).round(ratios, 7)["d"]
    assert np.array_equal(found, np.clip(np.rint(groups["d"].map.weight * 3.0), -7, 7))


def test_few_bits_are_compensated_and_eight_are_not() -> None:
    graph = chain(np.random.default_rng(1), [20, 30, 7], timesteps=6)
    samples = (RNG.random((64, 6, 20)) < 0.4).astype(np.float32)
    calibration = Calibration.of(run_float(graph, samples))
    bare = replace(calibration, spikes={})

    def matrix(bits: int, known: Calibration, **options: bool) -> NDArray:
        node = quantise(graph, known, bits=bits, **options).nodes["fc1"]
        assert isinstance(node, Synapses)
        return node.map.weight

    assert not np.array_equal(matrix(4, calibration), matrix(4, bare))
    assert np.array_equal(matrix(4, calibration, compensate=False), matrix(4, bare))
    assert np.array_equal(matrix(8, calibration), matrix(8, bare))
    assert not np.array_equal(matrix(8, calibration, compensate=True), matrix(8, bare))
