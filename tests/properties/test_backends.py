"""The emulator is the reference, bit for bit, whichever kernel makes its sums and however samples are spread."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikewright.hardware import reference
from spikewright.hardware.device_emulator import DeviceEmulator
from spikewright.hardware.emulation.feed import KERNELS, Kernel
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.program import Inputs, Program
from spikewright.hardware.recording import Recording, compare
from tests.programs import programs


def same(slow: Recording, fast: Recording) -> None:
    """Whatever the fast run kept is what the reference has."""
    for kept in ("counts", "readouts", "spikes", "currents", "membranes"):
        for name, values in getattr(fast, kept).items():
            assert (values == getattr(slow, kept)[name]).all(), (kept, name)


@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(subtract=True), st.integers(1, 2))
def test_emulator_equals_reference(case: tuple[Program, Inputs], threads: int) -> None:
    program, inputs = case
    slow = reference.run(program, inputs)
    fast = Emulator(program, threads=threads).run(inputs, detail="states")
    result = compare(slow, fast, [*fast.spikes])
    assert result.equal, result.first
    assert result.compared_states > 0
    same(slow, fast)


@pytest.mark.parametrize("kernel", KERNELS)
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=programs(subtract=True), threads=st.integers(1, 2))
def test_every_kernel_gives_the_same(kernel: Kernel, case: tuple[Program, Inputs], threads: int) -> None:
    program, inputs = case
    slow = reference.run(program, inputs)
    emulator = Emulator(program, kernel=kernel, threads=threads)
    fast = emulator.run(inputs, detail="spikes")  # in 32 bits where they suffice
    assert fast.spikes.keys() == slow.spikes.keys()
    assert fast.readouts.keys() == slow.readouts.keys()
    same(slow, fast)
    same(slow, emulator.run(inputs, detail="states"))
    for feed in emulator.feeds.values():
        assert feed.last is None or feed.last[0] == kernel or kernel not in feed.kernels


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(subtract=True))
def test_on_a_device_of_torch_it_is_the_same(case: tuple[Program, Inputs]) -> None:
    program, inputs = case
    slow = reference.run(program, inputs)
    emulator = DeviceEmulator(program, "cpu")
    fast = emulator.run(inputs, detail="states")
    assert fast.membranes.keys() == slow.membranes.keys()
    same(slow, fast)
    emulator.tile = 1
    same(slow, emulator.run(inputs))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(), st.integers(1, 2))
def test_counts_and_readouts_do_not_depend_on_detail_or_tiling(
    case: tuple[Program, Inputs], threads: int
) -> None:
    program, inputs = case
    whole, tiled = Emulator(program), Emulator(program, threads=threads)
    tiled.tile = 1
    full, lean = whole.run(inputs, detail="states"), tiled.run(inputs)
    assert not lean.spikes
    for name, count in full.counts.items():
        assert (count == lean.counts[name]).all()
        assert (count == np.count_nonzero(full.spikes[name], 1)).all()
    for name, membrane in full.readouts.items():
        assert (membrane == lean.readouts[name]).all()
        assert (membrane == full.membranes[name][:, -1]).all()
    totals = tiled.run(inputs, "totals")
    assert all((totals.total(name) == count.sum(0)).all() for name, count in full.counts.items())
    results = {p.name for p in program.populations if p.readout or not program.outputs_of(p.name)}
    assert set(totals.counts) == results
