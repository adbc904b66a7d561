"""A comparison on screen, as JSON and as a picture: every case has a view, and the views agree."""

from __future__ import annotations

import json
from dataclasses import replace
from io import BytesIO, StringIO

import numpy as np
import pytest
from rich.console import Console

from spikewright.benchmarks.equivalence.constants import GraphModels, ProgramModels
from spikewright.benchmarks.equivalence.diff import diff
from spikewright.benchmarks.equivalence.diff_figure import diff_figure
from spikewright.benchmarks.equivalence.diff_report import Report
from spikewright.benchmarks.equivalence.explain import print_report, sentence, to_json
from spikewright.benchmarks.equivalence.observe import trace_float, trace_program
from spikewright.benchmarks.equivalence.traces import Trace
from tests.benchmarks.networks import STEPS, levels, with_population

NET = "generator"  # ends in a read-out
CASES = ["equal", "exact", "lossy", "without membranes", "nan", "long"]


def case(kind: str) -> tuple[Trace, Trace, Report]:
    net = levels(NET)
    a, b = trace_program(net.program, net.samples), trace_program(net.program, net.samples, "reference")
    models = None
    if kind == "exact":
        p = net.program.population("up_neuron")
        b = trace_program(with_population(net.program, p.name, threshold=p.threshold * 2), net.samples)
    elif kind == "lossy":
        a = trace_float(net.graph, net.samples)
        p = net.program.population("seed")
        changed = with_population(net.program, p.name, threshold=p.threshold * 2)
        b = trace_program(changed, net.samples)
        models = (GraphModels(net.graph, net.samples), ProgramModels(changed, net.samples))
    elif kind in ("without membranes", "nan"):
        a = b = trace_float(net.graph, net.samples)
        seed = b.layers["seed"]
        held = np.full(seed.spikes.shape, np.nan)
        changes = {"spikes": 1 - seed.spikes, "held": None} if kind != "nan" else {"held": held}
        b = replace(b, layers={**b.layers, "seed": replace(seed, **changes)})
        if kind != "nan":
            a = replace(a, layers={**a.layers, "seed": replace(seed, held=None)})
    elif kind == "long":
        program = replace(net.program, timesteps=40, period=40)
        given = np.random.default_rng(0).random((2, 40, 5)).round().astype(np.float32)
        p = program.population("up_neuron")
        quieter = with_population(program, p.name, threshold=p.threshold + 300)
        a, b = trace_program(program, given), trace_program(quieter, given)
    return a, b, diff(a, b, models)


@pytest.mark.parametrize("kind", CASES)
def test_the_screen_fits_eighty_columns_and_says_what_the_report_says(kind: str) -> None:
    _, _, report = case(kind)
    out = StringIO()
    print_report(report, Console(file=out, width=80))
    said = out.getvalue()
    assert len(said.splitlines()) < 25
    assert all(len(line) <= 80 for line in said.splitlines())
    flat = " ".join(said.split())
    assert all(layer.name in flat for layer in report.layers)
    if report.first is None:
        assert "Equal: no spike of" in flat
        assert kind == "equal"
    else:
        assert " ".join(sentence(report.first).split()) in flat
    assert ("to the last bit" in flat) == report.exact


@pytest.mark.parametrize("kind", CASES)
def test_the_json_is_plain_and_complete(kind: str) -> None:
    _, _, report = case(kind)
    data = json.loads(json.dumps(to_json(report), allow_nan=False))
    assert data["equal"] == report.equal
    assert [layer["name"] for layer in data["layers"]] == [layer.name for layer in report.layers]
    assert sum(layer["differing_spikes"] for layer in data["layers"]) == data["differing_spikes"]
    assert (data["first"] is None) == (data["sentence"] is None) == report.equal


@pytest.mark.parametrize("kind", CASES)
def test_every_case_has_a_picture(kind: str) -> None:
    a, b, report = case(kind)
    figure = diff_figure(report, a, b)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=60)
    assert buffer.getvalue().startswith(b"\x89PNG")
    heat = figure.axes[0]
    shown = [layer for layer in report.layers if layer.by_step]
    assert [tick.get_text() for tick in heat.get_yticklabels()] == [layer.name for layer in shown]
    assert np.allclose(heat.images[0].get_array(), [layer.by_step for layer in shown])
    assert len(heat.images[0].get_array()[0]) == (40 if kind == "long" else STEPS)
    texts = " ".join(
        t.get_text() for axes in figure.axes for t in [axes.title, axes._left_title, *axes.texts]
    )
    if report.first is not None:
        assert f"neuron {report.first.neuron}" in texts
    assert "neither run shows membranes" in texts or kind != "without membranes"


def test_the_lossy_case_names_the_threshold() -> None:
    _, _, report = case("lossy")
    assert report.first is not None
    assert report.first.layer == "seed"
    assert report.first.reason == "threshold 0.5 against 1"
