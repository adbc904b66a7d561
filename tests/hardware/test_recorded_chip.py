"""One neuron as a Loihi 2 chip ran it, against every backend: the only trace from silicon that is public.

Recorded by the authors of the NIR paper (neuromorphs/NIR, ``paper/01_lif``, BSD-3): a weight of 10, du = 4095, dv = 163,
vth = 25, 34 input spikes in 1,000 steps. The chip shows each state one step later than the step that computed it, and
128 where it has just fired.
"""

from __future__ import annotations

import numpy as np
import pytest

from spikewright.export.linear import Dense
from spikewright.hardware import reference
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.program import Inputs, Population, Program, SpikeSource, SynapseGroup
from spikewright.hardware.recording import Recording

STEPS = 1000
INPUT_SPIKES = (
    60, 220, 270, 310, 320, 350, 370, 400, 410, 430, 440, 450, 460, 470, 480, 490, 500, 510, 520, 530,
    670, 680, 690, 700, 710, 720, 730, 740, 750, 760, 770, 780, 840, 850,
)
OUTPUT_SPIKES = (461, 511, 711, 761)
#: The chip's membrane at steps 1, 8, 15, ...
MEMBRANES = (
    0, 0, 0, 0, 0, 0, 0, 0, 0, 565, 422, 314, 233, 172, 126, 92, 66, 46, 32, 21, 14, 7, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 542, 405, 301, 223, 165, 120, 88, 628, 469, 350, 261, 193, 142, 626, 1059, 794, 595,
    445, 972, 728, 546, 1022, 766, 574, 429, 319, 739, 1119, 839, 627, 1013, 1374, 1031, 1295, 0, 0,
    499, 939, 1343, 1007, 1299, 0, 0, 520, 978, 733, 550, 410, 305, 226, 168, 123, 90, 65, 46, 32, 21,
    14, 7, 0, 0, 0, 0, 0, 589, 440, 830, 1187, 1530, 1149, 0, 614, 459, 865, 1237, 927, 1197, 0, 640,
    479, 901, 675, 506, 377, 280, 208, 154, 113, 722, 540, 948, 711, 531, 396, 295, 219, 162, 119, 87,
    63, 44, 30, 20, 13, 6, 0, 0, 0, 0, 0, 0,
)


def program() -> Program:
    one = np.ones(1, np.int64)
    neuron = Population("n", (1,), 4095, 163, 25 * one, 0 * one, 0 * one, np.ones(1), start=1)
    synapse = SynapseGroup("w", "in", "n", Dense(np.array([[5]], np.int8), (1,), (1,)), exponent=0)
    return Program("recorded", STEPS, STEPS, (SpikeSource("in", (1,)),), (neuron,), (synapse,))


def spikes_in() -> Inputs:
    raster = np.zeros((1, STEPS, 1), np.uint8)
    raster[0, list(INPUT_SPIKES)] = 1
    return Inputs({"in": raster})


@pytest.mark.parametrize(
    "run", [reference.run, lambda p, i: Emulator(p).run(i, detail="states")], ids=["reference", "emulator"]
)
def test_the_neuron_does_what_the_chip_did(run: object) -> None:
    recording: Recording = run(program(), spikes_in())  # type: ignore[operator]
    fired = np.flatnonzero(recording.spikes["n"][0, :, 0])
    assert (fired + 1).tolist() == list(OUTPUT_SPIKES)
    membranes = recording.membranes["n"][0, : STEPS - 1, 0].copy()
    membranes[fired] = 128  # the chip's flag
    assert membranes[::7].tolist() == list(MEMBRANES)
