"""The float interpreter against the equation in plain numpy, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.typing import NDArray

from spikewright.export.errors import ExportError
from spikewright.export.float_run import Numbers, _Run, run_float
from spikewright.export.graph import LI, LIF, Graph, Input, Output, Synapses
from spikewright.export.linear import expand_channels
from spikewright.export.unroll import unroll
from tests.export.graphs import chain, float_graphs

Case = tuple[Graph, NDArray[np.float32]]


def plain(
    graph: Graph, samples: NDArray[np.float32]
) -> tuple[dict[str, NDArray], dict[str, NDArray], dict[str, NDArray]]:
    """Spikes, read-outs, and distances from the threshold, in double precision, one step at a time."""
    timesteps, count = graph.settings.timesteps, len(samples)
    entry = graph.nodes["input"]
    assert isinstance(entry, Input)
    flat = samples.reshape(count, -1, int(np.prod(entry.shape))).astype(np.float64)
    values = {"input": np.broadcast_to(flat, (count, timesteps, flat.shape[2]))}
    readouts, margins = {}, {}
    for name in graph.order():
        node = graph.nodes[name]
        if isinstance(node, Synapses):
            bias = 0 if node.bias is None else expand_channels(node.bias.astype(np.float64), node.shape)
            values[name] = (
                values[graph.sources(name)[0]] @ unroll(node.map).toarray().astype(np.float64).T + bias
            )
        elif isinstance(node, LIF | LI):
            current = sum(values[s] for s in graph.sources(name))
            threshold = node.threshold.astype(np.float64) if isinstance(node, LIF) else np.inf
            membrane, spikes, margin = (
                np.zeros_like(current[:, 0]),
                np.zeros_like(current),
                np.zeros_like(current),
            )
            fired = np.zeros_like(membrane)
            for t in range(timesteps):
                membrane = node.beta * membrane * (1 - fired) + current[:, t]
                fired = (membrane > threshold).astype(float)
                spikes[:, t], margin[:, t] = fired, np.abs(membrane - threshold)
            if isinstance(node, LI):
                readouts[name] = membrane
            values[name], margins[name] = spikes, margin
    populations = graph.select(LIF)
    return {name: values[name] for name in populations}, readouts, margins


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(float_graphs())
def test_a_run_is_the_equation_step_by_step(case: Case) -> None:
    graph, samples = case
    run = run_float(graph, samples)
    spikes, readouts, margins = plain(graph, samples)
    assert run.spikes.keys() == spikes.keys()
    assert run.readouts.keys() == readouts.keys()
    exact = np.ones(len(samples), bool)  # samples in which no membrane came within rounding of a threshold
    for name in graph.select(LIF):
        exact &= (margins[name] > 1e-5).all((1, 2))
        assert (run.spikes[name][exact] == spikes[name][exact]).all(), name
        assert run.rates()[name] == pytest.approx(run.spikes[name].mean((0, 1)))
    for name, membrane in readouts.items():
        assert np.allclose(run.readouts[name][exact], membrane[exact], atol=1e-4)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(float_graphs())
def test_values_that_nothing_reads_any_more_are_let_go(case: Case) -> None:
    graph, samples = case
    run = _Run(graph, Numbers(), {}, None, False)
    run.through(samples, set())
    ends = {graph.sources(name)[0] for name in graph.select(Output)}
    assert run.values.keys() <= ends | {name for name in graph.nodes if not graph.targets(name)}


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(float_graphs())
def test_the_peak_of_a_static_current_is_that_of_the_first_layers(case: Case) -> None:
    graph, samples = case
    static = [n for n in graph.select(LIF) if graph.nodes[n].static]  # type: ignore[union-attr]
    run = run_float(graph, samples)
    assert list(run.static_peak) == static
    for name in static:
        current = np.zeros(1)
        for s in graph.sources(name):
            node = graph.nodes[s]
            assert isinstance(node, Synapses)
            bias = 0 if node.bias is None else expand_channels(node.bias.astype(np.float64), node.shape)
            current = (
                current
                + samples.reshape(len(samples), -1).astype(np.float64) @ unroll(node.map).toarray().T
                + bias
            )
        assert run.static_peak[name] == pytest.approx(np.abs(current).max(), rel=1e-4)


def test_what_is_injected_takes_the_place_of_a_population_and_of_all_before_it() -> None:
    rng = np.random.default_rng(0)
    graph = chain(rng, [6, 5, 4, 3], readout=True)
    samples = (rng.random((3, 8, 6)) < 0.5).astype(np.float32)
    whole = run_float(graph, samples)
    cut = run_float(graph, injected={"n0": whole.spikes["n0"]})
    assert cut.spikes.keys() == {"n0", "n1"}
    assert (cut.spikes["n1"] == whole.spikes["n1"]).all()
    assert (cut.readouts["n2"] == whole.readouts["n2"]).all()
    other = run_float(graph, injected={"n0": 1 - whole.spikes["n0"]})
    assert (other.spikes["n1"] != whole.spikes["n1"]).any()


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((3, 8, 5), ("input", "(3, 8, 5)", "(samples, 8, 6)")),
        ((3, 7, 6), ("input", "(3, 7, 6)", "(samples, 8, 6)")),
        ((8, 6), ("input", "(8, 6)", "(samples, 8, 6)")),
        ((0, 8, 6), ("input", "no samples")),
    ],
)
def test_samples_of_another_shape_are_refused(shape: tuple[int, ...], words: tuple[str, ...]) -> None:
    with pytest.raises(ExportError) as caught:
        run_float(chain(np.random.default_rng(0), [6, 3]), np.zeros(shape, np.float32))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_no_samples_and_bad_samples_are_refused() -> None:
    graph = chain(np.random.default_rng(0), [6, 3])
    with pytest.raises(ExportError, match=r"input: the graph needs samples of shape \(6,\)"):
        run_float(graph)
    with pytest.raises(ExportError, match="input: the samples hold NaN"):
        run_float(graph, np.full((1, 8, 6), np.nan, np.float32))
