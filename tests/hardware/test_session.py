"""The session's contract, on the backends that run in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from spikewright.hardware import reference
from spikewright.hardware.program import Inputs, Program, ProgramError, SynapseGroup
from spikewright.hardware.recording import Recording
from spikewright.hardware.session import BACKENDS, Session, SessionError, on_lava, open_session, opening
from spikewright.hardware.session.timeline import Timeline
from tests.programs import programs
from tests.sessions import (
    ALL,
    PROGRAM,
    ZERO,
    assert_all_same,
    assert_same,
    dense,
    draw_inputs,
    inputs,
    play,
    population,
)

RANDOM: dict[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@pytest.fixture(params=["emulator", "reference"])
def session(request: pytest.FixtureRequest) -> Session:
    return open_session(PROGRAM, request.param, record=ALL, states=ALL)


def names(program: Program) -> list[str]:
    return [p.name for p in program.populations]


def opened(program: Program, backend: str) -> Session:
    return open_session(program, backend, record=names(program), states=names(program))


@settings(max_examples=60, **RANDOM)
@given(programs(subtract=True))
def test_evaluations_are_runs_of_the_reference(case: tuple[Program, Inputs]) -> None:
    program, first = case
    rng = np.random.default_rng(0)
    with opened(program, "emulator") as session:
        for given_ in (first, draw_inputs(program, rng, 2), draw_inputs(program, rng, 1)):
            assert_same(session.run(given_, detail="states"), reference.run(program, given_), names(program))


@settings(max_examples=60, **RANDOM)
@given(programs(subtract=True))
def test_a_script_reads_the_same_on_the_emulator_and_the_reference(case: tuple[Program, Inputs]) -> None:
    program = case[0]
    seen = [play(opened(program, backend), 5) for backend in ("emulator", "reference")]
    assert_all_same(*seen, names(program))


def test_step_by_step_equals_whole_windows(session: Session) -> None:
    whole = session.run(inputs(), detail="states")
    length = session.timeline.length(2)
    for left in reversed(range(length)):
        assert session.step(1) == session.remaining == left
        reading = session.read(detail="states")
        for name in ALL:
            for sample, done in enumerate(session.progress(name)):
                for quantity in ("spikes", "currents", "membranes"):
                    here = getattr(reading, quantity)[name][sample]
                    assert (here[:done] == getattr(whole, quantity)[name][sample, :done]).all()
                    assert not here[done:].any()
        assert ("out" in reading.readouts) == (left == 0)
    assert_same(reading, whole, ALL)


def test_a_loop_closed_through_the_host_is_a_run_with_the_spikes_it_made(session: Session) -> None:
    session.write(replace(inputs(2), spikes={}))
    session.write_step(0, {"in": np.ones((2, 3), np.uint8)})
    session.step(2)
    for t in range(2, 4):  # what the hidden population did last is what it sees next
        fired = session.read(["hidden"], "spikes").spikes["hidden"][0, t - 2]
        session.write_step(t, {"in": [*fired, 1]}, sample=0)
        session.step(1)
    session.write_step(3, {"in": [0, 1, 0]}, sample=1)
    session.step()
    made = np.zeros((2, 4, 3), np.uint8)
    made[:, 0], made[1, 3] = 1, (0, 1, 0)
    wanted = reference.run(PROGRAM, Inputs({"in": made}, inputs(2).biases))
    made[0, 2:, :2], made[0, 2:, 2] = wanted.spikes["hidden"][0, :2], 1
    wanted = reference.run(PROGRAM, Inputs({"in": made}, inputs(2).biases))
    assert wanted.counts["hidden"].any()
    assert_same(session.read(detail="states"), wanted, ALL)


def test_what_is_written_holds_until_it_is_written_anew(session: Session) -> None:
    first, second = inputs(2, 1), inputs(2, 2)
    wanted = session.run(first, detail="states")
    session.step()
    assert_same(session.read(detail="states"), wanted, ALL)
    mixed = Inputs(first.spikes, second.biases)
    assert_same(
        session.run(Inputs(biases=second.biases), detail="states"), reference.run(PROGRAM, mixed), ALL
    )
    raster = first.spikes["in"].copy()
    session.write(Inputs({"in": raster}))
    raster[:] = 0  # the session keeps a copy
    session.step()
    assert_same(session.read(detail="states"), reference.run(PROGRAM, mixed), ALL)


def test_what_is_written_for_one_sample_holds_for_all(session: Session) -> None:
    one, several = inputs(1), inputs(3, 4)
    expected = Inputs(
        several.spikes, {k: tuple(np.repeat(a, 3, 0) for a in v) for k, v in one.biases.items()}
    )  # type: ignore[misc]
    session.write(one)
    assert_same(session.run(Inputs(several.spikes), detail="states"), reference.run(PROGRAM, expected), ALL)
    # The one bias crossed the border once, and is not tied to three samples.
    assert session.exchange.bias_words_written == 2
    session.run(Inputs(inputs(2).spikes))
    assert (session.exchange.samples, session.exchange.bias_words_written) == (5, 2)


def test_a_bias_is_latched_one_step_before_its_window(session: Session) -> None:
    given_ = inputs(2)

    def bias(value: int) -> Inputs:
        return Inputs(biases={"biased": (np.full((1, 2), value), ZERO[None])})

    session.write(given_)
    session.write(bias(10))
    session.step(1)  # the first window of what starts at 1 has its bias
    session.write(bias(1000))
    session.step(4)  # the end of step 5, before the second window
    session.write(bias(2000))
    session.step(1)
    session.step()
    latched = np.array([[10, 10], [2000, 2000]]), np.zeros((2, 2), np.int64)
    wanted = reference.run(PROGRAM, Inputs(given_.spikes, {"biased": latched}))
    assert_same(session.read(detail="states"), wanted, ALL)
    assert session.exchange.bias_words_written == 4  # the 1000 never crossed


def test_only_what_is_recorded_can_be_read() -> None:
    session = open_session(PROGRAM)
    reading = session.run(inputs())
    assert reading.counts.keys() == reading.readouts.keys() == {"out"}
    assert not reading.spikes
    with pytest.raises(SessionError, match=r"'hidden': is not among .*record=\['hidden', \.\.\.\]"):
        session.read(["hidden"])
    with pytest.raises(SessionError, match=r"open the session with states=\['out'"):
        session.read(detail="states")
    with pytest.raises(SessionError, match="no population is named 'hiden'"):
        session.read(["hiden"])
    with pytest.raises(SessionError, match="one string"):
        session.read("out")
    with pytest.raises(SessionError, match="choose counts, spikes or states"):
        session.read(detail="everything")  # type: ignore[arg-type]


def test_a_reset_forgets_everything_but_the_counts(session: Session) -> None:
    session.write(inputs(2))
    session.step(3)
    session.reset()
    assert session.remaining == 0
    assert session.exchange.chip_steps == 11
    with pytest.raises(SessionError, match="nothing to read"):
        session.read()
    with pytest.raises(SessionError, match="source 'in': nothing is written"):
        session.step()
    assert_same(session.run(inputs(1), detail="states"), reference.run(PROGRAM, inputs(1)), ALL)


BIAS = (np.zeros((1, 2), np.int64), np.zeros((1, 2), np.int64))


@pytest.mark.parametrize(
    ("given_", "told"),
    [
        (Inputs({"inn": np.zeros((1, 4, 3), np.uint8)}), "no source is named 'inn'; there is 'in'"),
        (Inputs({"line": np.zeros((1, 4, 1), np.uint8)}), "'line': is always on"),
        (Inputs({"in": np.zeros((1, 3, 3), np.uint8)}), r"shape \(1, 3, 3\), wanted \(samples, 4, 3\)"),
        (Inputs({"in": np.zeros((0, 4, 3), np.uint8)}), "at least one of the samples"),
        (Inputs({"in": np.full((1, 4, 3), np.nan)}), "NaN or infinite values, float64 is no integer type"),
        (Inputs({"in": np.zeros((1, 4, 3), np.float32)}), "float32 is no integer type"),
        (Inputs({"in": np.full((1, 4, 3), 2, np.uint8)}), r"2 is outside 0\.\.1"),
        (Inputs({"in": np.full((1, 4, 3), -1)}), r"-1 is outside 0\.\.1"),
        (Inputs(biases={"hidden": BIAS}), "'hidden': has no bias that the host writes; there is 'biased'"),
        (Inputs(biases={"nobody": BIAS}), "no population with a host bias is named 'nobody'"),
        (Inputs(biases={"biased": BIAS[:1]}), "two arrays"),  # type: ignore[dict-item]
        (Inputs(biases={"biased": (BIAS[0] + 4096, BIAS[1])}), r"mantissas of 'biased': 4096 is outside"),
        (Inputs(biases={"biased": (BIAS[0], BIAS[1] + 8)}), r"exponents of 'biased': 8 is outside 0\.\.7"),
        (Inputs(biases={"biased": (BIAS[0].repeat(2, 0), BIAS[1])}), "2 mantissas and 1 exponents"),
        (Inputs(biases={"biased": (BIAS[0][:, :1], BIAS[1])}), r"wanted \(samples, 2\)"),
        ({"in": 1}, "write takes Inputs, not dict"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_taken_over(given_: Any, told: str) -> None:
    session = open_session(PROGRAM)
    with pytest.raises(SessionError, match=told):
        session.write(given_)
    with pytest.raises(SessionError, match="nothing is written"):
        session.step()


USES: list[tuple[Callable[[Session], Any], str]] = [
    (lambda s: s.read(), "no step has been taken"),
    (lambda s: s.progress("in"), "no evaluation has begun"),
    (lambda s: s.step(0), "whole number from 1"),
    (lambda s: s.step(1.5), "whole number from 1"),  # type: ignore[arg-type]
    (lambda s: s.step(True), "whole number from 1"),
    (lambda s: s.step(99), "the evaluation has 11 left"),
    (lambda s: s.write_step(4, {"in": [0, 0, 0]}), r"a sample has steps 0\.\.3"),
    (lambda s: s.write_step(0.5, {"in": [0, 0, 0]}), r"time step 0\.5: a sample has"),  # type: ignore[arg-type]
    (lambda s: s.write_step(0, {"in": [0, 0, 0]}, sample=0.5), "sample is 0"),  # type: ignore[arg-type]
    (lambda s: s.write_step(0, {"in": [0, 0]}), r"wanted \(samples, 3\)"),
    (lambda s: s.write_step(0, {"in": [0, 0, 0.5]}), "no integer type"),
    (lambda s: s.write_step(0, {"line": [0]}), "always on"),
    (lambda s: s.write_step(0, {"in": np.zeros((3, 3), int)}), "3 samples of 2 written"),
    (lambda s: s.write_step(0, {"in": [0, 0, 0]}, sample=2), "sample 2 of 2 written"),
    (lambda s: (s.step(3), s.write(inputs(2))), "step 3 of 11; write its coming steps with write_step"),
    (lambda s: (s.step(3), s.write_step(2, {"in": [0, 0, 0]})), "step 2 has been played; write steps from 3"),
    (lambda s: (s.step(3), s.write(Inputs(biases=inputs(3).biases))), "3 samples into an evaluation of 2"),
    (lambda s: (s.step(3), s.write_step(3, {"in": np.zeros((3, 3), int)})), "3 samples, there are 2"),
    (lambda s: (s.step(3), s.step(9)), "the evaluation has 8 left"),
    (lambda s: (s.step(), s.progress("nobody")), "no population or source is named 'nobody'"),
    (lambda s: (s.write(Inputs(inputs(3).spikes)), s.step()), "source 'in' for 3, bias of 'biased' for 2"),
]


@pytest.mark.parametrize(("use", "told"), USES)
def test_wrong_use_is_told_and_the_session_goes_on(
    session: Session, use: Callable[[Session], Any], told: str
) -> None:
    session.write(inputs(2))
    with pytest.raises(SessionError, match=told):
        use(session)
    session.reset()
    assert_same(session.run(inputs(2), detail="states"), reference.run(PROGRAM, inputs(2)), ALL)


def test_a_closed_session_says_so() -> None:
    with open_session(PROGRAM) as session:
        session.write(inputs())
    session.close()
    for use in (session.step, session.read, session.reset, lambda: session.write(inputs())):
        with pytest.raises(SessionError, match="the session is closed; open another"):
            use()


class Failing:
    """A backend that fails at its first step."""

    closed = 0

    def advance(self, inputs: Inputs, first: int, idle: int, steps: int) -> None:
        raise KeyboardInterrupt

    def recording(self, inputs: Inputs) -> Recording:
        raise AssertionError

    def close(self) -> None:
        self.closed += 1


def test_an_interrupted_backend_ends_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Failing()
    monkeypatch.setitem(opening.BACKENDS, "failing", lambda program, options: backend)
    with open_session(PROGRAM, "failing") as session:
        session.write(inputs())
        with pytest.raises(KeyboardInterrupt):
            session.step()
        with pytest.raises(SessionError, match=r"backend failed \(KeyboardInterrupt\); open another"):
            session.step()
    assert backend.closed == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"backend": "loihi3"}, "backend is 'loihi3'; choose one of emulator, reference, lava"),
        ({"record": ["nobody"]}, "record: no population is named 'nobody'; there is hidden, biased, out"),
        ({"record": "out"}, "one string"),
        ({"record": []}, "record is empty"),
        ({"states": ["in"]}, "states: no population is named 'in'"),
        ({"backend": "reference", "threads": 2}, "only the emulator has"),
        ({"time_limit": 3}, "only lava and loihi2 have one"),
        ({"backend": "lava", "time_limit": 0}, "seconds above zero"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(SessionError, match=told):
        open_session(PROGRAM, **options)


def test_programs_that_no_session_can_run_are_refused() -> None:
    early = replace(PROGRAM, synapses=(*PROGRAM.synapses, SynapseGroup("e", "in", "out", dense(3), 0, 0, -1)))
    with pytest.raises(ProgramError, match="1 steps early"):
        open_session(early)
    alone = replace(PROGRAM, sources=(), populations=(population("hidden", 0),), synapses=())
    with pytest.raises(SessionError, match="takes nothing from the host"):
        open_session(alone)
    assert set(BACKENDS) == {"emulator", "reference", "lava", "loihi2"}


def test_currents_that_silence_cannot_hold_are_refused_by_name() -> None:
    def lagging(weight: int) -> Program:
        map_ = replace(dense(3), weight=np.full((2, 3), weight, np.int8))
        sources = (replace(PROGRAM.sources[0], peak=255), *PROGRAM.sources[1:])
        late = SynapseGroup("late", "in", "out", map_, 7, 2, 1)
        return replace(PROGRAM, sources=sources, synapses=(*PROGRAM.synapses, late))

    assert lagging(1).isolated
    for p in lagging(1).populations:
        on_lava._refuse_loud(lagging(1), p)
    with pytest.raises(SessionError, match=r"population 'out': currents may reach .* scale its weights"):
        open_session(lagging(127), "lava")


def test_the_clock_waits_for_the_period_and_for_what_is_in_flight() -> None:
    streaming = Timeline(PROGRAM)
    assert (streaming.lead, streaming.stride, streaming.length(3)) == (0, 5, 16)
    assert [streaming.idle(now) for now in (0, 6, 10, 11)] == [0, 4, 0, 4]
    late = SynapseGroup("late", "out", "hidden", dense(2), 0, 2, lag=4)
    isolated = Timeline(replace(PROGRAM, synapses=(*PROGRAM.synapses, late)))
    assert (isolated.lead, isolated.rest) == (1, 3)
    assert isolated.stride == 10  # depth 2, four steps, three until the delayed spikes are there
    assert isolated.idle(0) == 1
    assert isolated.idle(1 + 6) == 4
    assert isolated.idle(1 + 8) == 7
