"""A live Lava: whatever happens to it, the host gets an error in time and nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikewright.export.linear import Dense
from spikewright.hardware import lava
from spikewright.hardware.lava import compat, live
from spikewright.hardware.lava.group import members
from spikewright.hardware.lava.job import segment_prefix
from spikewright.hardware.program import SynapseGroup
from spikewright.hardware.session import Session, SessionError, open_session
from tests.hardware.test_lava_process import (
    BROKEN_CHILD,
    Observed,
    _wait_until,
    linux,
    needs_lava,
    processes_in,
    program,
)

pytestmark = [pytest.mark.lava, linux]

#: A child that says that it stands and then does something else.
PRETENDING = "import os, sys, json; os.write(json.load(open('job.json'))['reply'], b'ready\\n'); {body}"


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Observed]]:
    """The groups that a test starts; fails it if anything of them is left."""
    monkeypatch.setattr(Observed, "started", [])
    monkeypatch.setattr(live, "Group", Observed)
    yield Observed.started
    assert len(Observed.started) == 1
    Observed.started[0].assert_nothing_left()


def use_child(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(compat, "_found", lambda name: True)
    monkeypatch.setattr("spikewright.hardware.lava.group.GRACE", 0.3)
    monkeypatch.setattr(live, "_command", lambda job: [sys.executable, "-c", code, job.directory])


def pid(session: Session) -> int:
    """The child of a session."""
    return session.backend.pid  # type: ignore[attr-defined, no-any-return]


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_missing_lava_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat, "_found", lambda name: False)
    with pytest.raises(SessionError, match=r"lava-nc==0\.10\.0"):
        open_session(program()[0], "lava")


def test_a_child_that_dies_at_the_start_is_reported(
    groups: list[Observed], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_child(monkeypatch, "print('out of tea'); raise SystemExit(3)")
    before = descriptors()
    with pytest.raises(SessionError, match=r"exit status 3\).*\nout of tea"):
        open_session(program()[0], "lava")
    assert descriptors() == before


def test_the_time_limit_ends_a_start(groups: list[Observed], monkeypatch: pytest.MonkeyPatch) -> None:
    use_child(monkeypatch, "import time; time.sleep(600)")
    began = time.monotonic()
    with pytest.raises(SessionError, match=r"did not start within its time limit .*raise time_limit"):
        open_session(program()[0], "lava", time_limit=1)
    assert time.monotonic() - began < 5


def test_the_time_limit_ends_a_step(groups: list[Observed], monkeypatch: pytest.MonkeyPatch) -> None:
    use_child(monkeypatch, PRETENDING.format(body="import time; time.sleep(600)"))
    with open_session(program()[0], "lava", time_limit=2) as session:
        session.write(program()[1])
        with pytest.raises(SessionError, match=r"did not finish 9 steps within its time limit") as caught:
            session.step()
        assert "open another" in str(caught.value)
        groups[0].assert_nothing_left()
        with pytest.raises(SessionError, match=r"ended when its backend failed \(Lava did not"):
            session.step()


def test_an_interrupt_ends_the_child(groups: list[Observed], monkeypatch: pytest.MonkeyPatch) -> None:
    use_child(monkeypatch, PRETENDING.format(body="import time; time.sleep(600)"))
    session = open_session(program()[0], "lava")
    session.write(program()[1])
    monkeypatch.setattr(Observed, "status", lambda group: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        session.step()
    groups[0].assert_nothing_left()
    with pytest.raises(SessionError, match="KeyboardInterrupt"):
        session.read()


def test_a_session_that_is_dropped_leaves_nothing(
    groups: list[Observed], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_child(monkeypatch, PRETENDING.format(body="sys.stdin.read()"))
    before = descriptors()
    session = open_session(program()[0], "lava")
    assert len(processes_in(groups[0].directory)) == 1
    del session
    groups[0].assert_nothing_left()
    assert descriptors() == before


@needs_lava
def test_evaluations_share_one_child_until_it_is_killed(groups: list[Observed]) -> None:
    tiny, inputs = program()
    wanted = lava.run(tiny, inputs).spikes["p"]
    with open_session(tiny, "lava", time_limit=60) as session:
        child, there = pid(session), set(members(pid(session)))
        for _ in range(3):
            assert (session.run(inputs, detail="spikes").spikes["p"] == wanted).all()
            assert pid(session) == child
            assert set(members(child)) == there
        assert not [name for name in sys.modules if name.startswith("lava.")]
        session.step(2)
        os.kill(child, signal.SIGKILL)
        with pytest.raises(SessionError, match=r"Lava failed \(signal 9\)"):
            session.step()
        groups[0].assert_nothing_left()
        with pytest.raises(SessionError, match="open another"):
            session.read()


@needs_lava
def test_a_process_of_lava_that_fails_midway_is_reported(
    groups: list[Observed], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "assert self.time_step < 6, 'no such spike'; self.s_out.send(self.raster[0])"
    code = BROKEN_CHILD.format(method="run_spk", body=body)
    monkeypatch.setattr(live, "_command", lambda job: [sys.executable, "-c", code, job.directory])
    with open_session(program()[0], "lava", time_limit=60) as session:
        session.write(program()[1])
        session.step(5)
        began = time.monotonic()
        with pytest.raises(SessionError, match="AssertionError: no such spike"):
            session.step()
        assert time.monotonic() - began < 15


@needs_lava
@pytest.mark.slow
@pytest.mark.parametrize("number", [None, signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_survives_the_parent(number: signal.Signals | None) -> None:
    # A shell that starts its jobs in the background has them ignore Ctrl-C, and their children inherit that.
    script = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from spikewright.hardware.session import open_session
from tests.hardware import test_lava_process as here
program, inputs = here.program()
session = open_session(program, "lava", time_limit=100)
session.run(inputs)
print(session.backend.pid, session.backend._live.job.directory, flush=True)
if sys.argv[1] == "stay":
    time.sleep(600)
"""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", script, "stay" if number else "leave"]
    with subprocess.Popen(
        command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        assert parent.stdout is not None
        child, _, name = parent.stdout.readline().strip().partition(" ")
        if number:
            assert len(processes_in(Path(name))) >= 6
            os.kill(parent.pid, number)
    _wait_until(lambda: not processes_in(Path(name)))
    _wait_until(lambda: not Path(name).exists())
    assert not list(Path("/dev/shm").glob(f"{segment_prefix(int(child))}*"))


@needs_lava
def test_what_cannot_be_silenced_is_refused() -> None:
    tiny, _ = program()
    loop = SynapseGroup("loop", "p", "p", Dense(np.full((2, 2), 127, np.int8), (2,), (2,)), 7, lag=1)
    with open_session(replace(tiny, synapses=(*tiny.synapses, loop)), "lava", time_limit=60):
        pass
    wide = Dense(np.full((2, 30_000), 127, np.int8), (30_000,), (2,))
    group = replace(tiny.synapses[0], map=wide, exponent=7)
    loud = replace(tiny, sources=(replace(tiny.sources[0], shape=(30_000,)),), synapses=(group, loop))
    with pytest.raises(
        SessionError, match=r"population 'p': currents may reach .* beyond what Lava can silence"
    ):
        open_session(loud, "lava")
