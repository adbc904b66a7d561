"""Empirical correction of biases: the mean currents of every layer are the float network's again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from spikewright.export.calibration import Calibration
from spikewright.export.correct_biases import quantise_corrected
from spikewright.export.float_run import Numbers, outputs, run_float
from spikewright.export.graph import Graph, Synapses
from spikewright.export.quantise import quantise
from tests.export.test_fine_tune import convolutions, dequantised

RNG = np.random.default_rng(0)


def case() -> tuple[Graph, NDArray[np.float32], Calibration]:
    graph = convolutions(RNG)
    samples = (RNG.random((48, 5, 2, 5, 6)) < 0.4).astype(np.float32)
    return graph, samples, Calibration.of(run_float(graph, samples))


def currents(graph: Graph, samples: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Mean current of each population's channels."""
    arriving: dict[str, NDArray[np.float32]] = {}

    class Heard(Numbers):
        def arrived(self, name: str, node: Synapses, current: torch.Tensor) -> torch.Tensor:
            target = graph.targets(name)[0]
            channels = graph.nodes[target].shape[0]
            mean = current.mean((0, 1)).reshape(channels, -1).mean(1).numpy()
            arriving[target] = arriving.get(target, 0) + mean
            return current

    with torch.no_grad():
        outputs(graph, samples, Heard())
    return arriving


@pytest.mark.parametrize("bits", [2, 4])
def test_mean_currents_come_back_layer_by_layer(bits: int) -> None:
    graph, samples, calibration = case()
    wanted = currents(graph, samples)
    off = []
    for integer in (
        quantise(graph, calibration, bits=bits),
        quantise_corrected(graph, samples, calibration, bits=bits),
    ):
        found = currents(dequantised(graph, integer), samples)
        off.append([float(np.abs(found[name] - wanted[name]).max()) for name in wanted])
    assert max(off[1]) < 0.02  # biases are on a grid of their own
    assert max(off[0]) > 2 * max(off[1])


def test_weights_scales_and_thresholds_stay() -> None:
    graph, samples, calibration = case()
    before = quantise(graph, calibration, bits=3)
    after = quantise_corrected(graph, samples, calibration, bits=3)
    for name in graph.select(Synapses):
        assert np.array_equal(before.nodes[name].map.weight, after.nodes[name].map.weight)
        neuron, same = before.nodes[graph.targets(name)[0]], after.nodes[graph.targets(name)[0]]
        assert np.array_equal(neuron.threshold, same.threshold)
        assert np.array_equal(neuron.scale, same.scale)


def test_eight_bits_are_left_alone() -> None:
    graph, samples, calibration = case()
    plain = quantise(graph, calibration)
    same = quantise_corrected(graph, samples, calibration, bits=8)
    for name in graph.nodes:
        one, other = plain.nodes[name], same.nodes[name]
        for field in ("bias_mantissa", "bias_exponent"):
            assert np.array_equal(getattr(one, field, 0), getattr(other, field, 0)), name
