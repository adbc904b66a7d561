"""From snnTorch module to program and back: the answer at the end of the whole way is the module's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from spikewright.export.calibration import Calibration
from spikewright.export.float_run import run_float
from spikewright.export.graph import LIF
from spikewright.export.nir_read import read_graph
from spikewright.export.nir_write import write_nir
from spikewright.export.passes import to_float
from spikewright.export.quantise import quantise
from spikewright.export.trace import trace
from spikewright.hardware import host, reference
from spikewright.hardware.compile import compile_program
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.program_io import load_program, save_program
from spikewright.hardware.recording import compare
from tests.export.networks import NETWORKS, build, samples, stepped

STEPS = 10


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("per_channel", [True, False])
def test_a_network_keeps_its_spikes_through_every_file_to_the_chips_arithmetic(
    name: str, per_channel: bool, tmp_path: Path
) -> None:
    _, shape, coding = NETWORKS[name]
    module, given = build(name), samples(name, count=12, timesteps=STEPS)
    graph = to_float(trace(module, torch.zeros(shape), timesteps=STEPS, coding=coding))
    write_nir(graph, tmp_path / "float.nir")
    graph = read_graph(tmp_path / "float.nir")
    integer = quantise(graph, Calibration.of(run_float(graph, given)), per_channel=per_channel)
    write_nir(integer, tmp_path / "integer.nir")
    save_program(compile_program(read_graph(tmp_path / "integer.nir")), tmp_path / "program.npz")
    program = load_program(tmp_path / "program.npz")

    inputs, clipped = host.encode(program, given)
    slow, fast = reference.run(program, inputs), Emulator(program).run(inputs, "states")
    assert clipped == 0
    assert compare(slow, fast, list(fast.spikes)).equal
    spikes, output = stepped(module, given, STEPS, coding)
    agreement = [(slow.spikes[n] == spikes[n]).mean() for n in graph.select(LIF)]
    assert np.mean(agreement) > 0.97, dict(zip(graph.select(LIF), agreement, strict=True))
    if program.populations[-1].readout:
        assert np.abs(host.decode(program, slow) - output).mean() < 0.05
