"""One live Lava, the emulator and the reference read the same in a session, whatever the host does to them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from spikewright.hardware import lava, reference
from spikewright.hardware.errors import SessionError
from spikewright.hardware.program import Inputs, Program
from spikewright.hardware.session import on_lava as backend
from spikewright.hardware.session import open_session
from tests.differential.test_lava import fits_lava
from tests.hardware.test_session import PROGRAM, names, opened
from tests.programs import programs
from tests.sessions import assert_all_same, assert_same, draw_inputs, play

available, reason = lava.available()
pytestmark = [pytest.mark.lava, pytest.mark.skipif(not available, reason=reason)]

# A failing example is not shrunk: every attempt costs a start of Lava.
EXAMPLES: dict[str, Any] = {
    "deadline": None,
    "phases": (Phase.explicit, Phase.reuse, Phase.generate),
    "suppress_health_check": list(HealthCheck),
}


def held_down(program: Program) -> bool:
    """Whether silence between samples holds down the program's currents; others are refused by name."""
    try:
        for p in program.populations if program.isolated else ():
            backend._refuse_loud(program, p)
    except SessionError:
        return False
    return True


def agree(program: Program, seed: int) -> None:
    """Whole evaluations are runs of the reference; then a script reads the same everywhere; all on one child."""
    rng, everything = np.random.default_rng(seed), names(program)
    with (
        opened(program, "lava") as live,
        opened(program, "emulator") as fast,
        opened(program, "reference") as slow,
    ):
        child = live.backend.pid  # type: ignore[attr-defined]
        for samples in (2, 1, 3):
            inputs = draw_inputs(program, rng, samples)
            wanted = reference.run(program, inputs)
            for session in (live, fast, slow):
                assert_same(session.run(inputs, detail="states"), wanted, everything)
        seen = [play(session, seed) for session in (slow, fast, live)]
        assert_all_same(seen[0], seen[1], everything)
        assert_all_same(seen[0], seen[2], everything)
        assert live.backend.pid == child  # type: ignore[attr-defined]


def test_a_program_on_one_child_and_in_runs_of_their_own() -> None:
    agree(PROGRAM, 3)
    inputs = draw_inputs(PROGRAM, np.random.default_rng(8), 3)
    with opened(PROGRAM, "lava") as session:
        for _ in range(2):
            assert_same(session.run(inputs, detail="states"), lava.run(PROGRAM, inputs), names(PROGRAM))


def test_rows_begin_anew_within_an_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "ROWS", 7)
    agree(PROGRAM, 4)


def test_only_outputs_are_recorded_by_default() -> None:
    inputs = draw_inputs(PROGRAM, np.random.default_rng(9), 2)
    wanted = reference.run(PROGRAM, inputs)
    with open_session(PROGRAM, "lava") as session:
        assert_same(session.run(inputs, detail="spikes"), wanted, ["out"])
        assert session.backend._live.files.spikes.keys() == {"out"}  # type: ignore[attr-defined]


@settings(max_examples=4, **EXAMPLES)
@given(programs(), st.integers(0, 2**32 - 1))
def test_random_programs(case: tuple[Program, Inputs], seed: int) -> None:
    assume(fits_lava(case[0]) and held_down(case[0]))
    agree(case[0], seed)


@settings(max_examples=2, **EXAMPLES)
@given(programs().filter(lambda case: case[0].isolated and fits_lava(case[0])), st.integers(0, 2**32 - 1))
def test_random_programs_with_loops(case: tuple[Program, Inputs], seed: int) -> None:
    assume(held_down(case[0]))
    agree(case[0], seed)


@pytest.mark.slow
@settings(max_examples=20, **EXAMPLES)
@given(programs(max_populations=6), st.integers(0, 2**32 - 1))
def test_many_random_programs(case: tuple[Program, Inputs], seed: int) -> None:
    assume(fits_lava(case[0]) and held_down(case[0]))
    agree(case[0], seed)


@pytest.mark.slow
@settings(max_examples=8, **EXAMPLES)
@given(programs().filter(lambda case: case[0].isolated and fits_lava(case[0])), st.integers(0, 2**32 - 1))
def test_many_random_programs_with_loops(case: tuple[Program, Inputs], seed: int) -> None:
    agree(case[0], seed)
