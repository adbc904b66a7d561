"""The module itself, stepped and recorded: what every later level is held against."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spikewright.export.record import run_module
from tests.export.networks import NETWORKS, build, samples, stepped
from tests.export.test_trace import state_of

STEPS = 6


@pytest.mark.parametrize("name", NETWORKS)
def test_a_recording_holds_what_stepping_by_hand_gives(name: str) -> None:
    coding, given = NETWORKS[name][2], samples(name, timesteps=STEPS)
    spikes, output = stepped(build(name), given, STEPS, coding)
    run = run_module(build(name), torch.from_numpy(given), STEPS, coding=coding)
    assert run.spikes.keys() == run.membranes.keys() == spikes.keys()
    assert all((run.spikes[n] == raster).all() for n, raster in spikes.items())
    assert np.array_equal(run.output, output)


def test_membranes_are_those_that_made_a_neuron_fire() -> None:
    module, given = build("sequential"), samples("sequential", timesteps=STEPS)
    run = run_module(module, torch.from_numpy(given), STEPS, coding="spikes")
    for name, membrane in run.membranes.items():
        threshold = float(module.get_submodule(name).threshold)
        assert ((membrane > threshold) == run.spikes[name]).all()


@pytest.mark.parametrize("name", ["residual", "explicit"])
def test_the_module_is_left_as_it_was(name: str) -> None:
    module, given = build(name), torch.from_numpy(samples(name, timesteps=STEPS))
    module.train()
    next(module.children()).eval()
    before = state_of(module)
    run_module(module, given, STEPS, coding=NETWORKS[name][2])
    after = state_of(module)
    assert before.keys() == after.keys()
    for key, value in before.items():
        same = torch.equal(value, after[key]) if isinstance(value, torch.Tensor) else value == after[key]
        assert same, key


def test_a_second_run_starts_from_rest() -> None:
    module, given = build("generator"), torch.from_numpy(samples("generator", timesteps=STEPS))
    runs = [run_module(module, given, STEPS, coding="spikes") for _ in range(2)]
    assert all((raster == runs[1].spikes[name]).all() for name, raster in runs[0].spikes.items())
    assert np.array_equal(runs[0].output, runs[1].output)
