"""Whatever the graph, the float level spikes as NIR's equations do: against an interpreter of its own."""

from __future__ import annotations

from collections import Counter
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikewright.export.float_run import FloatRun, run_float
from spikewright.export.foreign.choices import Choices
from spikewright.export.foreign.convert import read_foreign
from spikewright.export.formats import RESETS
from spikewright.export.graph import Graph

from . import nir_interpreter
from .foreign_graphs import DT, Maker, write

GRAPHS, STEPS, SAMPLES = 160, 12, 2
#: Distance of a membrane from its threshold, relative to it, within which float32 may decide otherwise.
NEAR = 1e-4


def held_against(readings: list[nir_interpreter.Run], mine: FloatRun, graph: Graph) -> str:
    """Compare spikes; a difference counts as rounding where the first is at a membrane near its threshold."""
    for index, reading in enumerate(readings):
        for t in range(STEPS):
            for name in reading.order:
                if name in mine.spikes:
                    unequal = reading.spikes[name][t] != mine.spikes[name][index, t]
                    if unequal.any():
                        near = reading.margins[name][t][unequal].min() < NEAR
                        assert near, (name, t, reading.margins[name][t][unequal])
                        return "rounding"
        for name, membrane in mine.readouts.items():
            largest = np.abs(reading.membranes[name]).max() + 1e-9
            volts = membrane[index] / graph.nodes[name].unit  # type: ignore[union-attr]
            assert np.allclose(volts / largest, reading.membranes[name][-1] / largest, atol=1e-3), name
    return "equal"


@pytest.mark.parametrize("reset", RESETS)
def test_random_graphs_spike_as_the_equations_say(
    reset: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("nir")
    seen: Counter[str] = Counter()

    @settings(max_examples=GRAPHS, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.integers(0, 2**32 - 1), st.sampled_from(["impulse", "current"]))
    def check(seed: int, integrate: str) -> None:
        maker = Maker(Random(seed), reset)
        graph, shape = maker.graph()
        seen["graphs"] += 1
        for _, node in nir_interpreter.nodes_of(graph):
            seen[node["type"]] += 1
            if integrate == "current" and node["type"] in ("I", "IF"):
                node["r"] = np.asarray(node["r"]) / DT
        path = write(folder / "a.nir", graph)
        samples = (maker.numbers.random((SAMPLES, STEPS, *shape)) < 0.5).astype(np.float32)
        choices = Choices(DT, reset, STEPS, integrate=integrate)  # type: ignore[arg-type]
        read = read_foreign(path, choices)
        mine = run_float(read, samples)
        loaded = nir_interpreter.load(path)
        readings = [nir_interpreter.run(loaded, sample, DT, reset, integrate) for sample in samples]
        seen["spikes"] += int(sum(s.sum() for s in mine.spikes.values()))
        seen["neuron steps"] += sum(s.size for s in mine.spikes.values())
        seen[held_against(readings, mine, read)] += 1

    check()
    print(dict(seen))
    assert seen["graphs"] >= GRAPHS
    assert seen["rounding"] <= 0.03 * seen["graphs"]
    assert 0.05 < seen["spikes"] / seen["neuron steps"] < 0.6
    everything = {
        "Input",
        "Output",
        "Affine",
        "Linear",
        "Scale",
        "Conv1d",
        "Conv2d",
        "SumPool2d",
        "AvgPool2d",
        "Flatten",
    }
    everything |= {"Delay", "Threshold", "I", "IF", "LI", "LIF", "CubaLI", "CubaLIF", "Pass"}
    assert everything <= set(seen), everything - set(seen)
