"""One neuron as a Loihi 2 chip ran it, against our backends: the only trace from silicon that is public.

Recorded by the authors of the NIR paper (neuromorphs/NIR, ``paper/01_lif``, BSD-3): a weight of 10, du = 4095, dv = 163,
vth = 25, 34 input spikes in 1,000 steps. Columns are input, membrane and spike. The chip shows each state one step later
than the step that computed it, and 128 where it has just fired. The files are looked for under ``SPIKEWRIGHT_DATA``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spikewright.export.linear import Dense
from spikewright.hardware import reference
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.program import Inputs, Population, Program, SpikeSource, SynapseGroup
from spikewright.hardware.recording import Recording

TRACE = Path(os.environ.get("SPIKEWRIGHT_DATA", "missing")) / "nir_lif" / "lif_lava_loihi_fixed.csv"
FLAG = 128  # what the chip's probe shows in place of a membrane that has just been reset


def program(steps: int) -> Program:
    one = np.ones(1, np.int64)
    neuron = Population("n", (1,), 4095, 163, 25 * one, 0 * one, 0 * one, np.ones(1), start=1)
    synapse = SynapseGroup("w", "in", "n", Dense(np.array([[5]], np.int8), (1,), (1,)), exponent=0)
    return Program("recorded", steps, steps, (SpikeSource("in", (1,)),), (neuron,), (synapse,))


@pytest.mark.skipif(
    not TRACE.exists(), reason="needs the NIR paper's single-neuron traces under SPIKEWRIGHT_DATA/nir_lif"
)
@pytest.mark.parametrize(
    "run", [reference.run, lambda p, i: Emulator(p).run(i, detail="states")], ids=["reference", "emulator"]
)
def test_the_neuron_does_what_the_chip_did(run: Callable[[Program, Inputs], Recording]) -> None:
    recorded_in, recorded_membrane, recorded_spikes = np.loadtxt(TRACE, delimiter=",").T
    steps = len(recorded_in)
    assert steps == 1000
    raster = (recorded_in > 0).astype(np.uint8).reshape(1, steps, 1)
    assert raster.sum() == 34
    recording = run(program(steps), Inputs({"in": raster}))
    fired = recording.spikes["n"][0, :, 0]
    # The program's step t is the chip's row t + 1.
    assert (fired[:-1] == recorded_spikes[1:]).all()
    assert fired.sum() == recorded_spikes.sum() == 4
    membranes = np.where(fired, FLAG, recording.membranes["n"][0, :, 0])
    assert (membranes[:-1] == recorded_membrane[1:]).all()
