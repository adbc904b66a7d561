"""The step that first changes a spike is named, whatever the passes are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikewright.benchmarks.equivalence.stages import (
    FILE,
    GIVEN,
    MODULE,
    PROGRAM,
    after_each_pass,
    first_change,
)
from spikewright.export.graph import LIF, Graph
from spikewright.export.nir_write import write_nir
from spikewright.export.passes import TO_FLOAT
from spikewright.verification import LoweringStep, Verification
from tests.benchmarks.networks import Levels, levels


def every_step(net: Levels, **settings: object) -> list:
    return after_each_pass(net.traced, net.samples, module=net.module, coding=net.coding, **settings)


@pytest.mark.parametrize("name", ["residual", "generator", "explicit"])
def test_every_step_that_runs_is_compared_with_the_one_before(name: str, tmp_path: Path) -> None:
    net = levels(name)
    stages = every_step(net, written=write_nir(net.graph, tmp_path / "net.nir"), program=net.program)
    assert [s.name for s in stages] == [*(p.__name__ for p in TO_FLOAT), FILE, PROGRAM]
    compared = [s for s in stages if s.outcome == "compared"]
    assert compared[0].against == MODULE
    assert [s.against for s in compared[1:]] == [s.name for s in compared[:-1]]
    assert all(s.report is not None and s.report.agreement > 0.97 for s in compared)
    file = next(s.report for s in stages if s.name == FILE)
    assert file is not None
    assert file.equal
    assert all(layer.largest_error == 0 for layer in file.layers if layer.kind != "input")
    assert all(s.report is None for s in stages if s.outcome != "compared")


def lower_a_threshold(graph: Graph) -> Graph:
    node = graph.nodes["joined"]
    assert isinstance(node, LIF)
    return graph.with_node("joined", replace(node, threshold=np.array([0.3], np.float32)))


def nothing(graph: Graph) -> Graph:
    return graph


def test_a_faulty_pass_is_found() -> None:
    net = levels("residual")
    stages = every_step(net, passes=(*TO_FLOAT, nothing, lower_a_threshold, nothing), written=net.graph)
    outcomes = {s.name: s.outcome for s in stages}
    assert outcomes["nothing"] == "unchanged"
    changed = first_change(stages)
    assert changed is not None
    assert changed.name == "lower_a_threshold"
    assert changed.report is not None
    assert changed.report.first is not None
    assert changed.report.first.layer == "joined"
    assert changed.report.first.reason == "threshold 0.6 against 0.3"
    assert stages[-1].against == "lower_a_threshold"
    assert not stages[-1].report.equal  # the file was written from the right graph


def test_a_fault_in_an_early_pass_shows_at_the_first_graph_that_runs() -> None:
    net = levels("residual")
    stages = every_step(net, passes=(lower_a_threshold, *TO_FLOAT))
    assert stages[0].outcome == "not runnable"
    changed = first_change(stages)
    assert changed is not None
    assert changed.against == MODULE
    assert changed.report is not None
    assert changed.report.first is not None
    assert changed.report.first.layer == "joined"


def test_no_step_changes_a_spike_where_none_does() -> None:
    net = levels("explicit")
    assert first_change(every_step(net)) is None


def test_a_step_is_kept_with_what_it_changed_and_older_files_are_read() -> None:
    stages = every_step(levels("residual"), passes=(*TO_FLOAT, lower_a_threshold))
    *rest, changed = (LoweringStep.of(stage) for stage in stages)
    assert changed.outcome == "compared"
    assert changed.differing_spikes > 0
    assert changed.first is not None
    assert changed.first.startswith("joined neuron ")
    assert changed.layers["joined"] < 1 == changed.layers["stem_2"]
    assert all(step.layers == {} for step in rest if step.outcome != "compared")
    assert LoweringStep.model_validate_json(changed.model_dump_json()) == changed
    assert not Verification.model_fields["lowering"].is_required()  # files of before have none
    assert not Verification.model_fields["lowering_images"].is_required()


def test_without_a_module_the_first_graph_that_runs_is_the_measure() -> None:
    net = levels("residual")
    stages = after_each_pass(net.traced, net.samples, written=net.graph)
    assert [s.outcome for s in stages].count("first") == 1
    assert [s.outcome for s in stages][-1] == "compared"
    assert first_change(stages) is None
    stages = after_each_pass(net.graph, net.samples, passes=(nothing, lower_a_threshold))
    assert [s.outcome for s in stages] == ["unchanged", "compared"]
    assert stages[1].against == GIVEN
    assert first_change(stages) is stages[1]
