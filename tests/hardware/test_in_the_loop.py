"""Fine-tuning with the emulator in the loop."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from spikewright.export.calibration import Calibration
from spikewright.export.fine_tune import Schedule, fine_tune
from spikewright.export.float_run import run_float
from spikewright.export.graph import Graph
from spikewright.export.quantise import quantise
from spikewright.hardware import host
from spikewright.hardware.compile import compile_program
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.evaluation import evaluate
from spikewright.hardware.in_the_loop import emulated
from tests.export.graphs import chain

RNG = np.random.default_rng(0)


def case(readout: bool, count: int = 256) -> tuple[Graph, NDArray[np.float32], Calibration]:
    graph = chain(np.random.default_rng(1), [20, 30, 30, 7], timesteps=6, readout=readout)
    samples = (RNG.random((count, 6, 20)) < 0.4).astype(np.float32)
    return graph, samples, Calibration.of(run_float(graph, samples[:64]))


@pytest.mark.parametrize("readout", [True, False])
def test_what_is_observed_is_what_the_program_says(readout: bool) -> None:
    graph, samples, calibration = case(readout)
    integer = quantise(graph, calibration, bits=8)
    seen = emulated(integer, samples)
    program = compile_program(integer)
    said = evaluate(Emulator(program), samples).outputs.reshape(len(samples), -1)
    assert np.allclose(seen.outputs["n2"], said if readout else said / 6, atol=1e-6)
    spikes = Emulator(program).run(host.encode(program, samples)[0], "spikes").spikes
    assert all(np.array_equal(seen.spikes[name], spikes[name]) for name in ("n0", "n1"))
    plain = run_float(graph, samples)
    assert (seen.spikes["n0"] == plain.spikes["n0"]).mean() > 0.98


def test_tuning_with_the_chip_in_the_loop_lowers_the_chips_error() -> None:
    graph, samples, calibration = case(readout=True, count=512)
    fresh = (RNG.random((256, 6, 20)) < 0.4).astype(np.float32)
    schedule = Schedule(120, lr=0.01, judge_every=20)
    tuned = fine_tune(graph, samples, calibration, bits=3, schedule=schedule, chip=emulated)
    assert tuned.after < tuned.before
    wanted = run_float(graph, fresh).readouts["n2"]
    before, after = (
        float(((emulated(q, fresh).outputs["n2"] - wanted) ** 2).mean())
        for q in (quantise(graph, calibration, bits=3), tuned.graph)
    )
    assert after < 0.97 * before
