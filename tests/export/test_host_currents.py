"""Populations that the host writes a bias for and that spikes feed as well, from the float graph to the program."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nir
import numpy as np
import pytest
import snntorch as snn
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from spikewright.export.calibration import Calibration
from spikewright.export.float_run import run_float
from spikewright.export.formats import bias_value, weight_unit
from spikewright.export.graph import IntegerNeuron
from spikewright.export.levels import check
from spikewright.export.linear import expand_channels
from spikewright.export.nir_build import build
from spikewright.export.nir_read import read_graph
from spikewright.export.nir_write import write_nir
from spikewright.export.passes import to_float
from spikewright.export.quantise import quantise
from spikewright.export.record import run_module
from spikewright.export.trace import trace
from spikewright.export.unroll import unroll
from spikewright.hardware import host, reference
from spikewright.hardware.compile import compile_program
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.recording import compare
from tests.export.graphs import calibrated, float_graphs
from tests.export.test_nir import differences

Case = tuple[Any, np.ndarray[Any, Any]]
random_graphs = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


def mixed_populations(graph: Any) -> list[tuple[str, IntegerNeuron, list[str], list[str]]]:
    """Name, node, direct synapses and those of spikes."""
    found = []
    for name in graph.select(IntegerNeuron):
        direct = graph.direct(name)
        spiking = [s for s in graph.sources(name) if s not in direct]
        if direct and spiking:
            found.append((name, graph.nodes[name], direct, spiking))
    return found


@random_graphs
@given(float_graphs(mixed=True), st.integers(4, 8), st.booleans())
def test_the_host_writes_all_of_their_bias(case: Case, bits: int, wide: bool) -> None:
    graph, samples = case
    calibration = replace(calibrated(*case), rates={})  # nothing is known of rounded weights to be taken off
    integer = quantise(graph, calibration, bits=15 if wide else bits)
    assert check(integer, "integer") == []
    assert mixed_populations(integer)
    program = compile_program(integer)
    inputs, clipped = host.encode(program, samples)
    assert clipped == 0
    for name, node, direct, _ in mixed_populations(integer):
        assert node.static
        assert not node.bias_mantissa.any()
        wanted = np.zeros((len(samples), node.scale.size))
        for s in graph.sources(name):
            source = graph.nodes[s]
            if source.bias is not None:
                wanted += expand_channels(source.bias.astype(np.float64), node.shape)
            if s in direct:
                wanted += samples.reshape(len(samples), -1) @ unroll(source.map).toarray().T
        mantissa, exponent = inputs.biases[name]
        given_ = bias_value(mantissa, exponent)
        off = np.abs(given_ - wanted * node.scale).max()
        assert off <= 2 + 1e-3 * np.abs(wanted * node.scale).max(), (name, off, wanted * node.scale, given_)


@random_graphs
@given(float_graphs(mixed=True), st.integers(4, 8))
def test_the_program_runs_alike_and_stays_within_24_bits(case: Case, bits: int) -> None:
    integer = quantise(case[0], calibrated(*case), bits=bits)
    program = compile_program(integer)
    assert any(p.host_bias and p.start for p in program.populations)
    inputs, _ = host.encode(program, case[1])
    slow = reference.run(program, inputs)
    assert compare(slow, Emulator(program).run(inputs, detail="states"), [*slow.spikes]).equal
    assert all(np.abs(v).max() < (1 << 23) - 1 for v in slow.membranes.values())


@random_graphs
@given(case=float_graphs(mixed=True), limit=st.sampled_from([0, 1 << 26]))
def test_their_file_comes_back_and_says_the_same_to_others(
    case: Case, limit: int, tmp_path_factory: Any
) -> None:
    folder = tmp_path_factory.mktemp("nir")
    assert differences(case[0], write_nir(case[0], folder / "float.nir", limit)) == []
    integer = quantise(case[0], calibrated(*case))
    back = write_nir(integer, folder / "integer.nir", limit)
    assert set(back.edges) == set(integer.edges)
    assert differences(integer, read_graph(folder / "integer.nir")) == []
    fields = build(integer)
    for name, node, direct, spiking in mixed_populations(integer):
        unit = max(weight_unit(integer.nodes[s].exponent) for s in spiking)
        for s in direct:
            before = {a for a, b in fields.edges if b == name and a.startswith(s)}
            scale = fields.nodes[before.pop()]
            assert isinstance(scale, nir.Scale)
            assert np.allclose(scale.scale.ravel() * unit, node.scale)


class Recurrent(nn.Module):
    """A direct input into neurons that hear themselves."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.layer, self.head = nn.Linear(6, 8), nn.Linear(8, 3)
        self.neuron = snn.RLeaky(
            beta=0.8, all_to_all=True, linear_features=8, init_hidden=True, reset_mechanism="zero",
            reset_delay=False,
        )  # fmt: skip
        self.last = snn.Leaky(beta=0.9, init_hidden=True, reset_mechanism="zero")

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.head(self.neuron(2 * self.layer(x))))  # type: ignore[no-any-return]


def test_a_direct_input_may_feed_a_loop() -> None:
    samples = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    module, steps = Recurrent(), 7
    graph = to_float(trace(module, torch.from_numpy(samples[0]), timesteps=steps, coding="direct"))
    run = run_float(graph, samples)
    source = run_module(module, torch.from_numpy(samples), steps)
    for name, spikes in run.spikes.items():
        assert (spikes == source.spikes[name]).all()
        assert spikes.any()
    with torch.no_grad():
        written = 2 * module.layer(torch.from_numpy(samples)) + module.neuron.recurrent.bias
    assert run.static_peak["neuron"] == pytest.approx(float(written.abs().max()), rel=1e-5)
    program = compile_program(quantise(graph, Calibration.of(run)))
    assert program.isolated
    assert program.population("neuron").host_bias
    inputs, _ = host.encode(program, samples)
    slow = reference.run(program, inputs)
    assert compare(slow, Emulator(program).run(inputs, detail="states"), [*slow.spikes]).equal
    wrong = {name: float((slow.spikes[name] != run.spikes[name]).mean()) for name in run.spikes}
    assert max(wrong.values()) < 0.1, wrong
    # What rounded weights add is taken off where the host writes: with wide weights there is nothing left to add.
    fine = compile_program(quantise(graph, Calibration.of(run), bits=15))
    spikes = Emulator(fine).run(host.encode(fine, samples)[0], detail="states").spikes
    assert max(float((spikes[name] != run.spikes[name]).mean()) for name in run.spikes) < 0.02
