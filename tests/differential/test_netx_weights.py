"""Weights are what netx and Lava, called directly, make of them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewright.export.errors import ExportError
from spikewright.export.net_weights import effective_dense
from tests.differential import netx

available, reason = netx.available()
pytestmark = [pytest.mark.lava, pytest.mark.skipif(not available, reason=reason)]


def _module(distribution: str, path: str) -> Any:
    """A module by its file, without the packages that it lies in: Lava stays out of this process."""
    file = importlib.metadata.distribution(distribution).locate_file(path)
    spec = importlib.util.spec_from_file_location(f"{distribution}_alone", str(file))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def oracle() -> tuple[Any, Any]:
    return _module("lava-dl", "lava/lib/dl/netx/utils.py"), _module("lava-nc", "lava/utils/weightutils.py")


def theirs(
    modules: tuple[Any, Any], matrices: list[np.ndarray], spikes: list[np.ndarray]
) -> list[np.ndarray]:
    """Synaptic inputs that netx's synapses give, as ``create_dense`` and Lava's ``Dense`` compute them."""
    utils, lava = modules
    together = np.hstack(matrices)
    with np.errstate(divide="ignore"):
        weight, bits, exponent, _ = utils.optimize_weight_bits(together)
    ends = np.cumsum([m.shape[1] for m in matrices])[:-1]
    sums = []
    for own, s in zip(np.split(weight, ends, axis=1), spikes, strict=True):
        mode = lava.determine_sign_mode(own)
        stored = lava.truncate_weights(lava.clip_weights(own, mode, num_bits=8), mode, bits)
        sums.append(np.right_shift(stored @ s, -exponent))
    return sums


@st.composite
def _matrices(draw: st.DrawFn) -> list[np.ndarray]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    outputs, found = draw(st.integers(1, 4)), []
    low, high = draw(
        st.sampled_from([(-256, 256), (0, 256), (-256, 1), (-300, 300), (-4, 4), (0, 5), (-5, 0)])
    )
    step = draw(st.sampled_from([1, 1, 2, 4, 64]))
    for _ in range(draw(st.integers(1, 2))):
        shape = (outputs, draw(st.integers(1, 4)))
        found.append(rng.integers(low // step, high // step + 1, shape) * step)
        low, high = draw(st.sampled_from([(low, high), (0, 256), (-256, 0)]))
    return found


@settings(max_examples=600, deadline=None)
@given(matrices=_matrices(), seed=st.integers(0, 99))
def test_weights_are_those_of_netx(oracle: Any, matrices: list[np.ndarray], seed: int) -> None:
    rng = np.random.default_rng(seed)
    try:
        effective = effective_dense(matrices)
    except ExportError:  # what it is for stands in the tests of files
        return
    spikes = [rng.integers(0, 2, (m.shape[1], 5)) for m in matrices]
    given_ = theirs(oracle, matrices, spikes)
    for matrix, s, sums in zip(effective, spikes, given_, strict=True):
        np.testing.assert_array_equal(matrix @ s, sums)


@pytest.mark.parametrize(
    ("weight", "effective"),
    [
        ([[-1, -2]], [[-1, -1]]),
        ([[-2, -4]], [[-2, -2]]),
        ([[0, -4]], [[0, -2]]),
        ([[300, -2]], [[254, -2]]),
        ([[-300, 2]], [[-256, 2]]),
        ([[255, 1]], [[255, 1]]),
        ([[-256, -2]], [[-254, -2]]),
        ([[253, -1]], [[253, -1]]),
    ],
)
def test_known_traps(oracle: Any, weight: list[list[int]], effective: list[list[int]]) -> None:
    (found,) = effective_dense([np.array(weight)])
    np.testing.assert_array_equal(found, effective)
    (sums,) = theirs(oracle, [np.array(weight)], [np.eye(len(weight[0]), dtype=int)])
    np.testing.assert_array_equal(sums, effective)
