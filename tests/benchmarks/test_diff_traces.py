"""Traces of every level: membranes decide spikes, replayed neurons do what the runs did, backends agree."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from spikewright.benchmarks.equivalence import norse_check
from spikewright.benchmarks.equivalence.cause import _margin
from spikewright.benchmarks.equivalence.constants import GraphModels, ProgramModels
from spikewright.benchmarks.equivalence.diff import diff
from spikewright.benchmarks.equivalence.observe import (
    trace_float,
    trace_module,
    trace_norse,
    trace_program,
    trace_recording,
)
from spikewright.benchmarks.equivalence.traces import DiffError, Trace
from spikewright.export.errors import ExportError
from spikewright.export.float_run import run_float
from spikewright.export.graph import Graph
from spikewright.export.nir_write import write_nir
from spikewright.export.passes import to_float
from spikewright.export.quantise import quantise
from spikewright.export.trace import trace
from spikewright.hardware import lava, reference
from spikewright.hardware.compile import compile_program
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.program import Inputs, Program
from tests.benchmarks.networks import STEPS, levels, one, with_population
from tests.export.graphs import calibrated, float_graphs
from tests.export.networks import leaky
from tests.programs import programs

FEW = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@FEW
@given(case=programs(subtract=True))
def test_what_was_held_against_the_threshold_decides_and_backends_agree(case: tuple[Program, Inputs]) -> None:
    program, inputs = case
    a = trace_recording(program, inputs, Emulator(program).run(inputs, detail="states"))
    b = trace_recording(program, inputs, reference.run(program, inputs))
    for layer in a.layers.values():
        if layer.raw is not None:
            assert ((layer.raw.held > layer.raw.threshold) == layer.spikes).all()
            kept = layer.spikes == 0
            assert (layer.raw.held == layer.raw.membranes)[kept].all()
    report = diff(a, b)
    assert report.exact
    assert report.equal


@FEW
@given(case=programs(subtract=True), data=st.data())
def test_one_changed_neuron_is_the_first_cause_in_loops_and_branches_too(
    case: tuple[Program, Inputs], data: st.DataObject
) -> None:
    program, inputs = case
    p = data.draw(st.sampled_from(program.populations))
    neuron = data.draw(st.integers(0, p.size - 1))
    threshold = one(p.threshold, neuron, data.draw(st.sampled_from([0, 5, 131071])))
    changed = with_population(program, p.name, threshold=threshold)
    a, b = (trace_recording(x, inputs, Emulator(x).run(inputs, detail="states")) for x in (program, changed))
    report = diff(a, b)
    assert report.exact
    assert report.equal == (not report.differing_spikes and not report.differing_states)
    if report.first is not None:
        assert (report.first.layer, report.first.neuron) == (p.name, neuron)
        assert {layer.name for layer in report.layers if layer.own_samples} == {p.name}


def replayed(trace: Trace, models: Any, rng: np.random.Generator) -> NDArray[np.float64]:
    """Differences of a replayed and a recorded margin, some neurons of each layer."""
    out = []
    for name, layer in trace.layers.items():
        if layer.kind == "input":
            continue
        for _ in range(3):
            sample, step, neuron = (int(rng.integers(n)) for n in layer.spikes.shape)

            def raster(source: str, sample: int = sample, step: int = step) -> NDArray[np.float64]:
                return trace.layers[source].spikes[sample, : step + 1].astype(np.float64)

            assert layer.held is not None
            constants = models.neuron(name, neuron, sample)
            past = layer.spikes[sample, :step, neuron]
            held = _margin(constants, raster, past) + constants.threshold
            out.append(abs(held - layer.held[sample, step, neuron]) / max(1, np.abs(layer.held).max()))
    return np.array(out)


@FEW
@given(case=float_graphs(), seed=st.integers(0, 99))
def test_a_replayed_neuron_does_what_it_did(case: tuple[Graph, NDArray[np.float32]], seed: int) -> None:
    graph, samples = case
    rng = np.random.default_rng(seed)
    trace = trace_float(graph, samples)
    assert (replayed(trace, GraphModels(graph, samples), rng) < 1e-5).all()
    for layer in trace.layers.values():
        if layer.kind == "neurons":
            assert layer.held is not None
            assert layer.threshold is not None
            assert ((layer.held > layer.threshold) == layer.spikes).all()
    try:
        program = compile_program(quantise(graph, calibrated(graph, samples)))
    except ExportError:
        return  # a threshold too fine for integers
    run = trace_program(program, samples)
    assert (
        replayed(run, ProgramModels(program, samples), rng) < 0.02
    ).all()  # states are cut off at each step


@pytest.mark.parametrize("name", ["residual", "generator", "sequential"])
def test_states_of_a_float_run_change_nothing_else(name: str) -> None:
    net = levels(name)
    plain, states = run_float(net.graph, net.samples), run_float(net.graph, net.samples, states=True)
    assert not plain.membranes
    assert states.membranes.keys() == states.spikes.keys() - {"input"} | states.readouts.keys()
    assert all((plain.spikes[n] == s).all() for n, s in states.spikes.items())
    assert all((states.membranes[n][:, -1] == r).all() for n, r in states.readouts.items())


def test_a_membrane_that_nobody_saw_is_not_called_nan() -> None:
    """A module that resets within the step shows only what is left."""
    torch.manual_seed(0)
    given = np.random.default_rng(0).uniform(0, 1, (3, 6)).astype(np.float32)
    module = nn.Sequential(
        nn.Linear(6, 9),
        snn.Leaky(beta=0.9, threshold=0.3, init_hidden=True, reset_mechanism="zero", reset_delay=False),
    )
    run = trace_module(module, given, 6)
    layer = run.layers["1"]
    assert layer.spikes.any()
    assert layer.held is not None
    assert (np.isnan(layer.held) == layer.spikes).all()
    assert diff(run, run).finite
    other = replace(layer, spikes=1 - layer.spikes, held=np.where(layer.spikes, 0.0, np.nan))
    at = diff(run, replace(run, layers={"1": other})).first
    assert at is not None
    assert at.quantity == "spikes"
    assert {at.a.membrane, at.b.membrane} & {None}


@pytest.mark.skipif(not norse_check.available()[0], reason="norse is not installed")
def test_norse_shows_spikes_and_no_membranes(tmp_path: Any) -> None:
    torch.manual_seed(0)
    given = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
    module = nn.Sequential(nn.Linear(6, 12), leaky(0.8, 0.3), nn.Linear(12, 5), leaky(0.5, 0.2))
    graph = to_float(trace(module, torch.zeros(6), timesteps=STEPS, coding="direct"))
    write_nir(graph, tmp_path / "net.nir")
    report = diff(trace_float(graph, given), trace_norse(tmp_path / "net.nir", graph, given))
    assert report.agreement is not None
    assert report.agreement > 0.99
    assert report.layers[0].rate_b > 0
    assert all(layer.largest_error is None for layer in report.layers)
    spikes = levels("residual-spikes")
    with pytest.raises(DiffError, match="directly coded"):
        trace_norse(tmp_path / "net.nir", spikes.graph, spikes.samples)


@pytest.mark.lava
@pytest.mark.skipif(not lava.available()[0], reason=lava.available()[1])
def test_lava_agrees_to_the_last_bit() -> None:
    net = levels("generator")
    a = trace_program(net.program, net.samples[:2])
    report = diff(a, trace_program(net.program, net.samples[:2], "lava"))
    assert report.exact
    assert report.equal
    assert report.timesteps == STEPS
