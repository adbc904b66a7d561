"""How the quantiser chooses: clipping where it pays, exponents as high as they cost nothing, rates where they matter."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikewright.export.calibration import Calibration
from spikewright.export.formats import BIAS_MAX, THRESHOLD_MAX, bias_value, weight_unit
from spikewright.export.graph import LIF, Graph, Input, IntegerNeuron, Output, Settings, Synapses
from spikewright.export.linear import Conv2d, ConvTranspose2d, Dense, LinearMap
from spikewright.export.passes.mark_static_inputs import mark_static_inputs
from spikewright.export.population import STATIC_MARGIN
from spikewright.export.quantise import decay_register, quantise
from spikewright.export.unroll import unroll
from tests.export.graphs import chain

RNG = np.random.default_rng(0)


def behind(map_: LinearMap, threshold: float = 0.5) -> Graph:
    """A population in front (so that its rates are known), the map, and neurons behind it."""
    size = int(np.prod(map_.input_shape))
    first = Synapses(Dense(np.ones((size, 2), np.float32), (2,), map_.input_shape))
    theta = np.array([threshold], np.float32)
    nodes = {
        "input": Input((2,), "spikes"), "w": first, "n": LIF(map_.input_shape, 0.5, theta),
        "map": Synapses(map_), "m": LIF(map_.output_shape, 0.5, theta), "output": Output(map_.output_shape),
    }  # fmt: skip
    names = list(nodes)
    return Graph("net", nodes, tuple(pairwise(names)), Settings(4))


def quantised(graph: Graph, rates: np.ndarray, bits: int = 4) -> tuple[Synapses, IntegerNeuron]:
    integer = quantise(graph, Calibration({"n": rates}, {}), bits=bits)
    synapses, node = integer.nodes["map"], integer.nodes["m"]
    assert isinstance(synapses, Synapses)
    assert isinstance(node, IntegerNeuron)
    return synapses, node


def back(synapses: Synapses, node: IntegerNeuron) -> np.ndarray:
    """Weights in float units, as a matrix."""
    assert synapses.exponent is not None
    return unroll(synapses.map).toarray() * (weight_unit(synapses.exponent) / node.scale)[:, None]


def with_outlier() -> np.ndarray:
    weight = RNG.normal(size=(3, 60)).astype(np.float32) * 0.1
    weight[:, 7] = 1.0
    return weight


def test_an_outlier_of_a_silent_input_is_clipped_and_one_of_a_busy_input_is_kept() -> None:
    weight, rates = with_outlier(), np.full(60, 0.3)
    kept, clipped = [], []
    for busy, found in ((1.0, kept), (0.0, clipped)):
        rates[7] = busy
        found.append(back(*quantised(behind(Dense(weight, (60,), (3,))), rates)))
    assert np.allclose(kept[0][:, 7], 1.0, rtol=0.05)
    assert (clipped[0][:, 7] < 0.6).all()


def test_clipping_lowers_the_expected_error_of_the_input() -> None:
    weight, rates = with_outlier(), np.full(60, 0.3)
    rates[7] = 0.01
    synapses, node = quantised(behind(Dense(weight, (60,), (3,))), rates)
    error = (((back(synapses, node) - weight) ** 2) * rates).sum(1)
    step = 1.0 / 7  # the largest weight at the top of four bits
    unclipped = (((np.rint(weight / step) * step - weight) ** 2) * rates).sum(1)
    assert (error < unclipped).all()


@pytest.mark.parametrize("bits", [2, 3, 5, 8])
def test_without_outliers_the_whole_range_of_weights_is_used(bits: int) -> None:
    weight = RNG.choice([-1.0, 1.0], size=(4, 20)).astype(np.float32)
    synapses, _ = quantised(behind(Dense(weight, (20,), (4,))), np.full(20, 0.5), bits)
    assert (np.abs(synapses.map.weight) == (1 << (bits - 1)) - 1).all()
    assert (np.sign(synapses.map.weight) == weight).all()


def test_the_exponent_is_the_highest_that_costs_no_range() -> None:
    """Few inputs leave room in the state, many do not: the exponent follows."""
    exponents = []
    for inputs in (2, 64, 1024):
        weight = RNG.uniform(-1, 1, (3, inputs)).astype(np.float32)
        synapses, _ = quantised(behind(Dense(weight, (inputs,), (3,))), np.full(inputs, 0.5), 8)
        assert np.abs(synapses.map.weight).max() >= 120
        exponents.append(synapses.exponent)
    assert exponents[0] == 7
    assert exponents == sorted(exponents, reverse=True)
    assert exponents[2] < exponents[0]


MAPS: dict[str, LinearMap] = {
    "grouped": Conv2d(
        RNG.normal(size=(6, 2, 3, 2)).astype(np.float32), (4, 5, 4), stride=(1, 2), dilation=(2, 1), groups=2
    ),
    "plain": Conv2d(RNG.normal(size=(3, 4, 2, 3)).astype(np.float32), (4, 5, 4)),
    "transposed": ConvTranspose2d(RNG.normal(size=(4, 3, 1, 1)).astype(np.float32), (4, 5, 4)),
}


@pytest.mark.parametrize("kind", MAPS)
@pytest.mark.parametrize("bits", [3, 6])
def test_the_bias_of_a_convolution_takes_off_what_rounding_adds_at_the_rates_of_its_channels(
    kind: str, bits: int
) -> None:
    rates = np.repeat(RNG.random(4), 20)  # the same in a whole channel: then the correction is exact
    synapses, node = quantised(behind(MAPS[kind], threshold=2.0), rates, bits)
    shift = node.scale * ((back(synapses, node) - unroll(MAPS[kind]).toarray()) @ (rates + 1e-3))
    value = bias_value(node.bias_mantissa, node.bias_exponent)
    grid = (1 << node.bias_exponent) / 2 + 0.5
    assert (np.abs(shift) > 3 * grid).any()  # there is something to take off
    assert (np.abs(value + shift) <= grid + 1e-6 * np.abs(value)).all()


def static(threshold: np.ndarray) -> Graph:
    graph = chain(np.random.default_rng(0), [6, 5, 4])
    graph = graph.with_node("input", replace(graph.nodes["input"], coding="direct"))
    return mark_static_inputs(graph.with_node("n0", LIF((5,), 0.5, threshold.astype(np.float32))))


@pytest.mark.parametrize("thresholds", [np.array([0.5]), np.linspace(0.25, 1.0, 5)])
def test_a_static_population_uses_the_whole_bias_or_the_whole_threshold(thresholds: np.ndarray) -> None:
    graph = static(thresholds)
    quiet = quantise(graph, Calibration({}, {"n0": 1e-3})).nodes["n0"]
    assert isinstance(quiet, IntegerNeuron)
    assert (quiet.threshold == THRESHOLD_MAX).all()
    loud = quantise(graph, Calibration({}, {"n0": 50.0})).nodes["n0"]
    assert isinstance(loud, IntegerNeuron)
    largest = loud.scale * 50.0 * STATIC_MARGIN
    assert (largest <= BIAS_MAX).all()
    assert (largest > 0.95 * BIAS_MAX).all()
    for node in (quiet, loud):
        exact = node.scale * thresholds.astype(np.float32).astype(np.float64) / 64
        assert np.abs(exact - node.threshold).max() < 1e-6


def test_a_static_population_of_one_scale_rounds_its_thresholds() -> None:
    integer = quantise(static(np.linspace(0.25, 1.0, 5)), Calibration({}, {"n0": 1.0}), per_channel=False)
    node = integer.nodes["n0"]
    assert isinstance(node, IntegerNeuron)
    assert np.ptp(node.scale) == 0
    assert np.abs(node.threshold - node.scale * np.linspace(0.25, 1.0, 5) / 64).max() <= 0.5


@given(st.floats(0, 1))
def test_a_decay_register_is_the_nearest_of_4097(beta: float) -> None:
    register = decay_register(beta)
    assert 0 <= register <= 4096
    assert abs(register / 4096 - (1 - beta)) <= 0.5 / 4096 + 1e-12
