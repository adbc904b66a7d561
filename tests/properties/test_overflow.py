"""Proven intervals hold every state that the reference produces, and a proof of no overflow means that no limit is met."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings

from spikewright.export.formats import STATE_LIMIT, Ints
from spikewright.hardware import arithmetic, reference
from spikewright.hardware.overflow import calibrate, prove
from spikewright.hardware.program import Inputs, Program
from spikewright.hardware.recording import compare
from tests.programs import programs


@contextmanager
def limits_watched() -> Iterator[Counter[str]]:
    """Count in the arithmetic itself how often a current wraps and a membrane saturates below or above."""
    met: Counter[str] = Counter()
    wrap, saturate = arithmetic.wrap_current, arithmetic.saturate_membrane

    def wrap_current(current: Ints) -> Ints:
        out = wrap(current)
        met["wrapped"] += int((out != current).sum())
        return out

    def saturate_membrane(membrane: Ints) -> Ints:
        out = saturate(membrane)
        met["below"] += int((out > membrane).sum())
        met["above"] += int((out < membrane).sum())
        return out

    with (
        patch.object(arithmetic, "wrap_current", wrap_current),
        patch.object(arithmetic, "saturate_membrane", saturate_membrane),
    ):
        yield met


@contextmanager
def no_limits() -> Iterator[None]:
    """The same arithmetic in as many bits as it needs."""
    with (
        patch.object(arithmetic, "wrap_current", lambda current: current),
        patch.object(arithmetic, "saturate_membrane", lambda membrane: membrane),
    ):
        yield


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(subtract=True))
def test_every_state_lies_inside_its_interval(case: tuple[Program, Inputs]) -> None:
    program, inputs = case
    proof, recording = prove(program), reference.run(program, inputs)
    for p in proof.populations:
        for proven, states in (
            (p.by_weights.current_after, recording.currents[p.name]),
            (p.by_weights.membrane_after, recording.membranes[p.name]),
        ):
            assert (proven.low <= states).all()
            assert (states <= proven.high).all()
        assert not recording.spikes[p.name][..., ~p.by_weights.may_fire].any()


def _holds(program: Program, inputs: Inputs) -> bool:
    """Whether the proof holds by weights; if so no limit may matter, not even outside the samples."""
    proof = prove(program)
    if not proof.by_weights:
        return False
    with limits_watched() as met:
        limited = reference.run(program, inputs)
    assert not met["wrapped"]
    assert not met["below"]
    if not any(p.harmless for p in proof.populations):
        assert not met["above"]
    with no_limits():
        free = reference.run(program, inputs)
    result = compare(limited, free, [*limited.spikes])
    assert result.equal, result.first
    assert limited.overhead_spikes == free.overhead_spikes
    return True


def test_what_cannot_overflow_computes_the_same_without_limits() -> None:
    held: Counter[bool] = Counter()

    # Always the same examples, so that the balance below does not depend on the day; nothing to shrink.
    @settings(
        max_examples=150,
        deadline=None,
        derandomize=True,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(programs(subtract=True))
    def examples(case: tuple[Program, Inputs]) -> None:
        held[_holds(*case)] += 1

    examples()
    assert held[True] > 30, held
    assert held[False] > 30, held


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(subtract=True))
def test_calibration_sees_what_the_arithmetic_met_and_no_more_than_is_proven(
    case: tuple[Program, Inputs],
) -> None:
    program, inputs = case
    proof = prove(program, calibrate(program, inputs, margin=0))
    for p in proof.populations:
        assert p.observed is not None
        for seen, proven in (
            (p.observed.synaptic_sum, p.by_weights.synaptic_sum),
            (p.observed.current, p.by_weights.current),
            (p.observed.membrane, p.by_weights.membrane),
        ):
            assert (proven.low <= seen.low).all()
            assert (seen.high <= proven.high).all()
    with limits_watched() as met:
        reference.run(program, inputs)
    wrapped = any(
        (p.observed.current.high > STATE_LIMIT).any() or (p.observed.current.low <= -STATE_LIMIT).any()
        for p in proof.populations
        if p.observed is not None
    )
    # The arithmetic may also have met a limit outside the samples, where calibration does not look.
    assert met["wrapped"] or not wrapped


def test_the_watch_sees_a_wrap() -> None:
    with limits_watched() as met:
        arithmetic.lif_step(
            np.zeros(2, np.int64), np.array([-STATE_LIMIT + 5, 0]), np.array([-1, 131072]),
            current_decay=4095, membrane_decay=0, threshold=np.zeros(2, np.int64), bias=0,
        )  # fmt: skip
    assert met == Counter({"wrapped": 0, "below": 1, "above": 1})
