"""Programs with graded relays: every backend is the reference, bit for bit."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikewright.hardware import reference
from spikewright.hardware.device_emulator import DeviceEmulator
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.intervals import payloads
from spikewright.hardware.overflow import prove
from spikewright.hardware.program import Inputs, Program
from spikewright.hardware.recording import compare
from tests.graded import with_relays
from tests.programs import programs

from .test_backends import same

Case = tuple[Program, Inputs]


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(subtract=True), st.integers(0, 2**32 - 1), st.integers(1, 2))
def test_emulator_equals_reference(case: Case, seed: int, threads: int) -> None:
    program, inputs = with_relays(case[0], np.random.default_rng(seed)), case[1]
    slow = reference.run(program, inputs)
    emulator = Emulator(program, threads=threads)
    fast = emulator.run(inputs, detail="states")
    result = compare(slow, fast, [*fast.spikes])
    assert result.equal, result.first
    same(slow, fast)
    emulator.tile = 1
    same(slow, emulator.run(inputs))
    same(slow, emulator.run(inputs, detail="spikes"))


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(subtract=True), st.integers(0, 2**32 - 1))
def test_on_a_device_of_torch_it_is_the_same(case: Case, seed: int) -> None:
    program, inputs = with_relays(case[0], np.random.default_rng(seed)), case[1]
    fast = DeviceEmulator(program, "cpu").run(inputs, detail="states")
    same(reference.run(program, inputs), fast)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(subtract=True), st.integers(0, 2**32 - 1))
def test_a_spike_is_counted_where_its_value_is_not_zero(case: Case, seed: int) -> None:
    program, inputs = with_relays(case[0], np.random.default_rng(seed)), case[1]
    found = Emulator(program).run(inputs, detail="spikes")
    for p in program.populations:
        assert (found.counts[p.name] == np.count_nonzero(found.spikes[p.name], 1)).all()
        assert int(np.abs(found.spikes[p.name].astype(np.int64)).max(initial=0)) <= p.peak


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(subtract=True), st.integers(0, 2**32 - 1))
def test_every_state_and_value_lies_inside_its_interval(case: Case, seed: int) -> None:
    program, inputs = with_relays(case[0], np.random.default_rng(seed)), case[1]
    proof, found = prove(program), reference.run(program, inputs)
    for p in program.populations:
        proven = proof[p.name].by_weights
        for interval, states in (
            (proven.current_after, found.currents[p.name]),
            (proven.membrane_after, found.membranes[p.name]),
        ):
            assert (interval.low <= states).all()
            assert (states <= interval.high).all()
        assert not found.spikes[p.name][..., ~proven.may_fire].any()
        if p.graded:
            sent = payloads(p, proven.membrane_after)
            assert (sent.low <= found.spikes[p.name]).all()
            assert (found.spikes[p.name] <= sent.high).all()
