"""The emulator is the reference, bit for bit."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings

from spikewright.hardware import reference
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.program import Inputs, Program
from spikewright.hardware.recording import compare
from tests.programs import programs


@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(subtract=True))
def test_emulator_equals_reference(case: tuple[Program, Inputs]) -> None:
    program, inputs = case
    slow, fast = reference.run(program, inputs), Emulator(program).run(inputs, detail="states")
    result = compare(slow, fast, [*fast.spikes])
    assert result.equal, result.first
    assert result.compared_states > 0


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs())
def test_counts_and_readouts_do_not_depend_on_detail_or_tiling(case: tuple[Program, Inputs]) -> None:
    program, inputs = case
    whole, tiled = Emulator(program), Emulator(program)
    tiled.tile = 1
    full, lean = whole.run(inputs, detail="states"), tiled.run(inputs)
    assert not lean.spikes
    for name, count in full.counts.items():
        assert (count == lean.counts[name]).all()
        assert (count == np.count_nonzero(full.spikes[name], 1)).all()
    for name, membrane in full.readouts.items():
        assert (membrane == lean.readouts[name]).all()
        assert (membrane == full.membranes[name][:, -1]).all()
