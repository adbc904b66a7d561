"""A changed constant is found at its layer, neuron and step, and called by its name; equal runs are called equal."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikewright.benchmarks.equivalence.constants import GraphModels, ProgramModels
from spikewright.benchmarks.equivalence.diff import diff
from spikewright.benchmarks.equivalence.diff_report import Report
from spikewright.benchmarks.equivalence.explain import sentence, to_json, verdict
from spikewright.benchmarks.equivalence.observe import trace_float, trace_module, trace_program
from spikewright.benchmarks.equivalence.traces import DiffError, Trace, place
from spikewright.export.calibration import Calibration
from spikewright.export.float_run import run_float
from spikewright.export.graph import LIF
from spikewright.export.quantise import quantise
from spikewright.hardware.compile import compile_program
from spikewright.hardware.program import Program
from tests.benchmarks.networks import STEPS, levels, one, with_population, with_weight_at

NET = "residual-spikes"  # stem_2 -> joined -> out, with two branches into joined


def against(changed: Program, name: str = NET) -> Report:
    """The program of a network against a changed one, emulator on both sides."""
    net = levels(name)
    a, b = trace_program(net.program, net.samples), trace_program(changed, net.samples)
    return diff(a, b, (ProgramModels(net.program, net.samples), ProgramModels(changed, net.samples)))


def firing(name: str, layer: str) -> np.ndarray:
    """Spikes of a layer in the unchanged program."""
    return trace_program(levels(name).program, levels(name).samples).layers[layer].spikes


def test_equal_runs_are_equal() -> None:
    net = levels(NET)
    emulator, reference = (trace_program(net.program, net.samples, b) for b in ("emulator", "reference"))
    report = diff(emulator, reference)
    assert report.exact
    assert report.equal
    assert not report.failed()
    assert report.first is None
    neurons = sum(p.size for p in net.program.populations)
    assert report.neuron_steps == 4 * STEPS * neurons
    assert report.compared_states == 2 * report.neuron_steps
    assert all(layer.agreement == 1 and layer.correlation == 1 for layer in report.layers)
    assert all(layer.by_step == (1.0,) * STEPS for layer in report.layers)
    assert verdict(report).startswith("equal: no spike of")


def test_a_changed_weight() -> None:
    net = levels(NET)
    group = next(g for g in net.program.synapses if g.target == "out")
    source, neuron = 7, 3
    old = int(group.map.weight[neuron, source])
    report = against(
        with_weight_at(net.program, group.name, (neuron, source), old - 9 if old > 0 else old + 9)
    )
    sample, step = (int(i) for i in np.argwhere(firing(NET, "joined")[:, :, source])[0])
    at = report.first
    assert at is not None
    assert report.exact
    assert report.failed()
    assert (at.layer, at.neuron, at.sample, at.timestep) == ("out", neuron, sample, step)
    assert at.quantity == "currents"
    assert at.reason.startswith(f"weight from joined neuron {source}: ")
    assert [layer.name for layer in report.layers if layer.first] == ["out"]


@pytest.mark.parametrize(
    ("register", "change", "reason"),
    [
        ("threshold", lambda r: r - r // 3, "threshold"),
        ("membrane_decay", lambda r: r + 600, "membrane factor"),
        ("current_decay", lambda r: r - 900, "current factor"),
        ("bias_mantissa", lambda r: r + 500, "bias"),
    ],
)
def test_a_changed_register(register: str, change: Any, reason: str) -> None:
    net = levels(NET)
    fired = firing(NET, "joined").sum((0, 1))
    neuron = int(np.abs(fired - fired.max() // 2).argmin())  # one whose membrane lives on for a while
    before = getattr(net.program.population("joined"), register)
    changed = with_population(
        net.program, "joined", **{register: one(before, neuron, change(before[neuron]))}
    )
    report = against(changed)
    at = report.first
    assert at is not None
    assert (at.layer, at.neuron) == ("joined", neuron)
    assert reason in at.reason
    # By hand: the first place at which any state of that neuron differs, sample after sample.
    a, b = (trace_program(p, net.samples).layers["joined"] for p in (net.program, changed))
    assert a.raw is not None
    assert b.raw is not None
    unequal = (
        (a.raw.membranes != b.raw.membranes) | (a.raw.currents != b.raw.currents) | (a.spikes != b.spikes)
    )
    assert tuple(np.argwhere(unequal)[0]) == (at.sample, at.timestep, at.neuron)
    joined = next(layer for layer in report.layers if layer.name == "joined")
    assert joined.own_samples == joined.differing_samples > 0
    assert joined.differing_states == int((a.raw.membranes != b.raw.membranes).sum()) + int(
        (a.raw.currents != b.raw.currents).sum()
    )


def test_a_changed_reset() -> None:
    report = against(with_population(levels(NET).program, "joined", reset="subtract"))
    at = report.first
    assert at is not None
    sample, step, neuron = (int(i) for i in np.argwhere(firing(NET, "joined"))[0])
    # What was held against the threshold is equal; what is left behind is not.
    assert (at.layer, at.sample, at.timestep, at.neuron) == ("joined", sample, step, neuron)
    assert at.quantity == "membranes"
    assert at.a.raw_membrane == at.b.raw_membrane
    assert at.reason == "reset to zero against reset by subtraction"


def test_a_changed_current_of_the_host() -> None:
    net = levels("residual")
    other = replace(net.program, host_arrays={k: 1.5 * v for k, v in net.program.host_arrays.items()})
    at = against(other, "residual").first
    assert at is not None
    assert at.layer == "stem_2"
    assert at.timestep == 0
    assert "input current" in at.reason


def test_a_cause_is_the_first_layer_whose_inputs_agree() -> None:
    """Two layers are changed: the deeper one parts earlier, and is not blamed on the other, nor named first."""
    net = levels(NET)
    joined, out = (net.program.population(n) for n in ("joined", "out"))
    changed = with_population(net.program, "out", bias_mantissa=out.bias_mantissa + 900)
    quieter = joined.threshold.copy()
    quieter[2] = 131071
    report = against(with_population(changed, "joined", threshold=quieter))
    assert report.first is not None
    assert report.first.layer == "joined"
    by_name = {layer.name: layer for layer in report.layers}
    assert by_name["stem_2"].first is None
    assert by_name["out"].first is not None
    assert by_name["out"].first.timestep == 0
    assert 1 <= by_name["out"].own_samples < by_name["out"].differing_samples == 4


def test_rounding_is_told_from_a_change() -> None:
    net = levels(NET)
    float_, program = trace_float(net.graph, net.samples), net.program
    models = GraphModels(net.graph, net.samples)
    report = diff(float_, trace_program(program, net.samples), (models, ProgramModels(program, net.samples)))
    assert not report.exact
    assert not report.failed()
    assert report.failed(limit=1.0) == (not report.equal)
    assert report.first is None or "rounding" in report.first.reason or "rounded" in report.first.reason
    assert max(x.largest_error or 0.0 for x in report.layers) < 0.1

    p = program.population("joined")
    changed = with_population(program, "joined", threshold=one(p.threshold, 4, int(p.threshold[4] * 0.5)))
    report = diff(float_, trace_program(changed, net.samples), (models, ProgramModels(changed, net.samples)))
    at = next(layer for layer in report.layers if layer.name == "joined").first
    assert report.first is not None
    assert at is not None
    assert report.first.neuron == at.neuron == 4
    assert report.first.reason.startswith("threshold 0.6 against 0.3")
    assert at.a.spike != at.b.spike
    assert at.a.margin is not None
    assert at.b.margin is not None
    assert at.a.margin <= 0 < at.b.margin


def test_a_module_and_its_graph_in_float() -> None:
    for name in ("residual", "generator", "explicit", "sequential"):
        net = levels(name)
        module = trace_module(net.module, net.samples, STEPS, graph=net.graph, coding=net.coding)
        report = diff(module, trace_float(net.graph, net.samples))
        assert not report.exact
        assert report.agreement is not None
        assert report.agreement > 0.999
        assert report.first is None or report.first.reason.startswith("float32 rounding")
        assert all(x.readout_error is None or x.readout_error < 1e-4 for x in report.layers)
        alone = trace_module(net.module, net.samples, STEPS, coding=net.coding)
        assert diff(alone, module).equal


def test_layers_without_a_counterpart_are_listed_and_seen_through() -> None:
    net = levels(NET)
    a = trace_program(net.program, net.samples)
    b = replace(a, layers={n: x for n, x in a.layers.items() if n != "joined"})
    report = diff(a, b)
    assert report.equal
    assert [(u.name, u.side, u.why) for u in report.unmatched] == [("joined", "A", "no such layer in B")]
    # The layer behind the missing one still counts as fed by the one before it.
    p = net.program.population("stem_2")
    changed = with_population(net.program, "stem_2", threshold=p.threshold // 2)
    b = trace_program(changed, net.samples)
    report = diff(a, replace(b, layers={n: x for n, x in b.layers.items() if n != "joined"}))
    last = report.layers[-1]
    assert last.name == "out"
    assert last.differing_samples > last.own_samples == 0


def test_two_different_networks() -> None:
    one_, other = levels(NET), levels("generator")
    a = trace_program(one_.program, one_.samples)
    b = trace_program(other.program, other.samples)
    for trace in (b, replace(b, samples=None)):
        with pytest.raises(DiffError, match=r"different samples|no layer of the same name"):
            diff(a, trace)
    renamed = {"out": b.layers["read"]}
    with pytest.raises(DiffError, match="no layer of the same name and size"):
        diff(replace(a, samples=None), replace(b, samples=None, layers=renamed))


def test_other_samples_are_refused() -> None:
    net = levels(NET)
    a = trace_program(net.program, net.samples)
    b = trace_program(net.program, 1 - net.samples)
    with pytest.raises(DiffError, match=r"different samples.*--data"):
        diff(a, b)
    report = diff(a, replace(b, samples=None))  # nobody knows what went in, but the input spikes show it
    assert report.first is not None
    assert report.first.layer == "input"
    assert report.first.reason == "the inputs differ"


def cut(trace: Trace, samples: int, timesteps: int) -> Trace:
    net = levels(NET)
    shorter = replace(net.program, timesteps=timesteps, period=timesteps)
    return trace_program(shorter, net.samples[:samples, :timesteps])


def test_other_lengths_are_compared_as_far_as_both_go() -> None:
    net = levels(NET)
    whole = trace_program(net.program, net.samples)
    report = diff(whole, cut(whole, 3, 5))
    assert report.equal
    assert (report.samples, report.timesteps) == (3, 5)
    assert report.notes == (
        "A has 4 samples, B has 3: the first 3 are compared",
        "A has 8 time steps, B has 5: the first 5 are compared",
    )
    assert len(report.layers[-1].by_step) == 5


@pytest.mark.parametrize("side", [0, 1])
def test_nan_is_a_failure_wherever_it_is(side: int) -> None:
    net = levels(NET)
    traces = [trace_float(net.graph, net.samples), trace_float(net.graph, net.samples)]
    layer = traces[side].layers["joined"]
    held = np.array(layer.held)
    held[1, 3, 6] = np.nan
    fired = layer.spikes.copy()
    fired[1, 3, 6] = 0  # NaN is above no threshold
    layers = {**traces[side].layers, "joined": replace(layer, held=held, spikes=fired)}
    traces[side] = replace(traces[side], layers=layers)
    report = diff(traces[0], traces[1])
    at = report.first
    assert at is not None
    assert report.failed()
    assert not report.finite
    assert (at.quantity, at.layer, at.sample, at.timestep, at.neuron) == ("not finite", "joined", 1, 3, 6)
    assert "nan" in sentence(at)
    assert verdict(report).startswith("not finite")
    json.dumps(to_json(report), allow_nan=False)


def test_nothing_to_compare() -> None:
    net = levels(NET)
    a = trace_float(net.graph, net.samples)
    with pytest.raises(DiffError, match="holds no layer"):
        diff(a, replace(a, layers={}))


def test_the_sentence_names_both_values() -> None:
    net = levels(NET)
    theta = next(n.threshold for n in net.graph.nodes.values() if isinstance(n, LIF))
    assert theta.size == 1
    p = net.program.population("stem_2")
    at = against(with_population(net.program, "stem_2", threshold=p.threshold * 2)).first
    assert at is not None
    said = sentence(at)
    assert said.startswith("stem_2 neuron ")
    assert "(channel " in said
    assert "emulator A " in said
    assert "threshold 0.7" in said
    assert "threshold 1.4" in said
    assert said.count(";") == 1


def test_places_are_named_by_axis() -> None:
    assert place((4,), 3) == ()
    assert place((2, 3), 4) == (("channel", 1), ("position", 1))
    assert place((2, 3, 4), 17) == (("channel", 1), ("row", 1), ("column", 1))
    assert [axis for axis, _ in place((2, 2, 2, 2), 3)] == ["axis 0", "axis 1", "axis 2", "axis 3"]


def test_programs_in_other_units_are_compared_by_their_spikes() -> None:
    net = levels(NET)
    calibration = Calibration.of(run_float(net.graph, net.samples))
    coarse = compile_program(quantise(net.graph, calibration, bits=4))
    a, b = trace_program(net.program, net.samples), trace_program(coarse, net.samples)
    report = diff(a, b, (ProgramModels(net.program, net.samples), ProgramModels(coarse, net.samples)))
    assert not report.exact
    assert not report.failed()
    assert report.first is not None
    assert report.first.quantity == "spikes"
    assert report.first.reason
