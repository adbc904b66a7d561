"""Schedules: when each population starts, which branch waits, and what a cut leaves over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spikewright.export.errors import ExportError
from spikewright.export.float_run import run_float
from spikewright.export.graph import LI, LIF, Graph, HostStep, Input, Node, Output, Settings
from spikewright.export.passes.mark_static_inputs import mark_static_inputs
from spikewright.export.quantise import quantise
from spikewright.hardware import host, reference
from spikewright.hardware.compile import compile_program
from spikewright.hardware.program import Inputs, ProgramError
from spikewright.hardware.relays import balance_cost
from tests.export.graphs import calibrated, chain, dense, float_graphs

STEPS = 5
RNG = np.random.default_rng(0)


def branched(coding: str = "spikes", longest: int = 3, readout: bool = False) -> Graph:
    """One population feeds a last one directly and through ``longest`` others; the input is not square."""
    nodes: dict[str, Node] = {"input": Input((2, 3), coding)}  # type: ignore[arg-type]
    theta = np.array([0.4], np.float32)
    edges, last = [], "input"
    for index in range(longest + 1):
        source = (2, 3) if index == 0 else (5,)
        nodes[f"w{index}"], nodes[f"n{index}"] = dense(RNG, source, (5,), 2), LIF((5,), 0.5, theta)
        edges += [(last, f"w{index}"), (f"w{index}", f"n{index}")]
        last = f"n{index}"
    nodes |= {"long": dense(RNG, (5,), (4,), 2), "short": dense(RNG, (5,), (4,), 2), "output": Output((4,))}
    nodes["end"] = LI((4,), 0.5) if readout else LIF((4,), 0.5, theta)
    edges += [(last, "long"), ("n0", "short"), ("long", "end"), ("short", "end"), ("end", "output")]
    return mark_static_inputs(Graph("net", nodes, tuple(edges), Settings(STEPS)))


def samples_for(graph: Graph, count: int = 3) -> NDArray[np.float32]:
    rng = np.random.default_rng(1)
    node = graph.nodes["input"]
    assert isinstance(node, Input)
    if node.coding == "direct":
        return rng.normal(size=(count, *node.shape)).astype(np.float32)
    return (rng.random((count, graph.settings.timesteps, *node.shape)) < 0.5).astype(np.float32)


def integer(graph: Graph) -> Graph:
    return quantise(graph, calibrated(graph, samples_for(graph)))


@pytest.mark.parametrize(("coding", "first"), [("spikes", 1), ("direct", 0)])
def test_each_population_starts_after_its_longest_path_and_the_short_branch_waits(
    coding: str, first: int
) -> None:
    program = compile_program(integer(branched(coding)))
    starts = {p.name: p.start for p in program.populations}
    assert starts == {**{f"n{i}": first + i for i in range(4)}, "end": first + 4}
    assert {g.name: g.delay for g in program.synapses if g.delay} == {"short": 3}
    assert [s.name for s in program.sources] == (["input"] if coding == "spikes" else [])
    assert [p.name for p in program.populations if p.host_bias] == ([] if coding == "spikes" else ["n0"])
    assert [e["name"] for e in program.host["encoders"]] == ([] if coding == "spikes" else ["w0"])


@pytest.mark.parametrize(
    ("longest", "relays", "delays"), [(62, [], [62]), (63, [63], [62]), (130, [63, 126], [62, 62, 4])]
)
def test_a_branch_that_waits_longer_than_a_synapse_can_passes_relays(
    longest: int, relays: list[int], delays: list[int]
) -> None:
    program = compile_program(integer(branched(longest=longest)))
    first = program.population("n0").start
    assert [p.start - first for p in program.populations if p.relay] == relays
    assert sorted(g.delay for g in program.synapses if g.delay) == sorted(delays)
    assert balance_cost(program).relay_neurons == len(relays) * program.population("n0").size


def test_registers_and_weights_are_the_graphs() -> None:
    graph = integer(branched())
    program = compile_program(graph)
    for p in program.populations:
        node = graph.nodes[p.name]
        for field in (
            "threshold",
            "bias_mantissa",
            "bias_exponent",
            "scale",
            "shape",
            "membrane_decay",
            "current_decay",
        ):
            assert np.array_equal(getattr(p, field), getattr(node, field)), field
    for g in program.synapses:
        synapses: Any = graph.nodes[g.name]
        assert g.map is synapses.map
        assert g.exponent == synapses.exponent


@pytest.mark.parametrize("coding", ["spikes", "direct"])
@pytest.mark.parametrize("period", [None, STEPS, STEPS + 1, 16])
def test_the_period_changes_when_things_happen_and_nothing_else(coding: str, period: int | None) -> None:
    graph = branched(coding)
    given_samples = samples_for(graph)
    program = compile_program(integer(graph), period=period)
    assert program.period == (STEPS if period is None else period)
    recording = reference.run(program, host.encode(program, given_samples)[0])
    run = run_float(graph, given_samples)
    assert recording.overhead_spikes is not None
    for name, raster in run.spikes.items():
        assert (recording.spikes[name] != raster).mean() < 0.05, name
    plain = compile_program(integer(graph))
    wanted = reference.run(plain, host.encode(plain, given_samples)[0])
    assert all((recording.spikes[name] == raster).all() for name, raster in wanted.spikes.items())


def test_a_period_shorter_than_a_sample_is_refused() -> None:
    with pytest.raises(ProgramError, match="5 time steps do not fit a period of 4"):
        compile_program(integer(branched()), period=STEPS - 1)


def test_a_float_graph_is_refused() -> None:
    with pytest.raises(ExportError, match=r"weight_bits is None; quantise to 2\.\.8 or 15 bits"):
        compile_program(branched())


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(float_graphs(max_layers=4), st.data())
def test_a_cut_behaves_as_the_whole_behind_it(
    case: tuple[Graph, NDArray[np.float32]], data: st.DataObject
) -> None:
    """Inject what the whole network's population fired, and everything behind it fires the same."""
    graph, given_samples = case
    lowered = quantise(graph, calibrated(*case))
    whole = compile_program(lowered)
    cuttable = [p.name for p in whole.populations if not p.readout and whole.outputs_of(p.name)]
    if not cuttable:
        return
    cut_at = data.draw(st.sampled_from(cuttable))
    part = compile_program(lowered, inject=cut_at)
    assert [s.name for s in part.sources] == [cut_at]
    assert part.host["encoders"] == []
    recorded = reference.run(whole, host.encode(whole, given_samples)[0])
    behind = reference.run(part, Inputs({cut_at: recorded.spikes[cut_at]}))
    assert behind.counts.keys() <= recorded.counts.keys()
    for name, raster in behind.spikes.items():
        assert (raster == recorded.spikes[name]).all(), name
    for name, membrane in behind.readouts.items():
        assert (membrane == recorded.readouts[name]).all(), name


@pytest.mark.parametrize(
    ("inject", "words"),
    [
        ("ghost", ("'ghost'", "no firing population", "n0, n1, n2, n3")),
        ("w1", ("'w1'", "no firing population")),
        ("input", ("'input'", "no firing population")),
        ("end", ("'end'", "no firing population", "n0, n1, n2, n3")),
        ("n1", ("end", "n0", "n1", "inject further back")),
    ],
)
def test_a_cut_that_cannot_be_is_refused(inject: str, words: tuple[str, ...]) -> None:
    with pytest.raises(ProgramError) as caught:
        compile_program(integer(branched(readout=True)), inject=inject)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_cut_at_the_last_population_is_refused() -> None:
    with pytest.raises(ProgramError, match="n1 is the last population"):
        compile_program(integer(chain(RNG, [4, 3, 2])), inject="n1")


def test_host_steps_go_with_the_part_that_they_stand_in() -> None:
    arrays = {"weight": np.eye(5, dtype=np.float32), "bias": np.zeros(5, np.float32)}
    graph = branched(readout=True)
    steps = (HostStep("resample", "n0"), HostStep("rate_prior", "n0", arrays), HostStep("tanh", "end"))
    lowered = replace(integer(graph), host_steps=steps)
    for program in (compile_program(lowered), compile_program(lowered, inject="n0")):
        assert [s["kind"] for s in program.host["steps"]] == ["resample", "rate_prior", "tanh"]
        assert (program.host_arrays["step1.weight"] == arrays["weight"]).all()
        assert host.prior_spikes(program, 3, seed=7).shape == (3, STEPS, 5)
    deeper = replace(lowered, host_steps=(HostStep("resample", "n0"), HostStep("tanh", "end")))
    deeper = replace(deeper, edges=tuple(e for e in deeper.edges if "short" not in e),
                     nodes={n: node for n, node in deeper.nodes.items() if n != "short"})  # fmt: skip
    assert [s["kind"] for s in compile_program(deeper, inject="n2").host["steps"]] == ["tanh"]
