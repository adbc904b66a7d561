"""A data set of any size: batches, memory-mapped files and threads change nothing, and only totals are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from spikewright.export.calibration import Calibration
from spikewright.export.float_run import run_float
from spikewright.export.passes import to_float
from spikewright.export.quantise import quantise
from spikewright.export.trace import trace
from spikewright.hardware import evaluation, host
from spikewright.hardware.compile import compile_program
from spikewright.hardware.device_emulator import DeviceEmulator
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.evaluation import evaluate
from spikewright.hardware.program import Program, ProgramError
from tests.export.test_trace_networks import STEPS, network


@pytest.fixture(scope="module")
def program() -> Program:
    some = (np.random.default_rng(0).random((3, STEPS, 2, 6, 8)) < 0.4).astype(np.float32)
    graph = to_float(
        trace(network("residual of spikes"), torch.from_numpy(some[0, 0]), timesteps=STEPS, coding="spikes")
    )
    return compile_program(quantise(graph, Calibration.of(run_float(graph, some))))


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    return (np.random.default_rng(3).random((11, STEPS, 2, 6, 8)) < 0.4).astype(np.float32)


@pytest.mark.parametrize("batch", [1, 4, 100])
def test_batches_change_nothing(
    batch: int, program: Program, samples: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "BATCH", batch)
    inputs, _ = host.encode(program, samples)
    whole, seen = Emulator(program).run(inputs), []
    for emulator in (Emulator(program, threads=2), DeviceEmulator(program, "cpu")):
        seen.clear()
        ran = evaluate(emulator, samples, lambda done, of: seen.append((done, of)))
        assert (ran.outputs == host.decode(program, whole)).all()
        assert ran.samples == 11
        assert ran.clipped == 0
        means = ran.means()
        assert all((means[name] == counts.mean(0)).all() for name, counts in whole.counts.items())
        assert set(ran.recording.counts) == {program.populations[-1].name}
        assert seen[-1] == (11, 11)
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_samples_may_lie_on_disk(tmp_path: Path, program: Program, samples: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", samples.astype(np.uint8))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    ran = evaluate(Emulator(program), mapped)
    assert (ran.outputs == evaluate(Emulator(program), samples).outputs).all()


def test_bad_samples_are_refused(program: Program, samples: np.ndarray) -> None:
    with pytest.raises(ProgramError, match="no samples"):
        evaluate(Emulator(program), samples[:0])
    with pytest.raises(ProgramError, match=r"samples of shape \(6, 2, 6, 7\)"):
        evaluate(Emulator(program), samples[..., :7])
    spoiled = samples.copy()
    spoiled[10, 0, 0, 0, 0] = np.nan
    with pytest.raises(ProgramError, match="NaN"):
        evaluate(Emulator(program), spoiled)
