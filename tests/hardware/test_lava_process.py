"""Whatever happens to Lava, the caller gets an error in time and nothing of Lava is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from spikewright.export.linear import Dense
from spikewright.hardware import lava
from spikewright.hardware.lava import compat, driver
from spikewright.hardware.lava.group import Group, members
from spikewright.hardware.lava.job import segment_prefix
from spikewright.hardware.program import Inputs, Population, Program, SpikeSource, SynapseGroup

available, reason = lava.available()
needs_lava = pytest.mark.skipif(not available, reason=reason)
linux = pytest.mark.skipif(sys.platform != "linux", reason="process groups are looked up in /proc")
pytestmark = [pytest.mark.lava, linux]

#: Runs the child with a method of its spike source's model replaced.
BROKEN_CHILD = """
import sys, traceback
from spikewright.hardware.lava import child, compat
compat.prepare()
from spikewright.hardware.lava.processes import RasterSourceModel
def replacement(self, *arguments):
    import os, signal, time
    {body}
RasterSourceModel.{method} = replacement
try:
    child.main(sys.argv[1])
except BaseException:
    traceback.print_exc()
"""
HANGING_CHILD = BROKEN_CHILD.format(method="run_spk", body="time.sleep(600)")
#: Spawns a grandchild, and both ignore a polite request to end; a file tells that they are there.
STUBBORN = """
import pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import signal, time; "
    "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"])
pathlib.Path(sys.argv[1], "there").touch()
time.sleep(600)
"""


def program() -> tuple[Program, Inputs]:
    zeros = np.zeros(2, np.int64)
    neurons = Population("p", (2,), 4095, 100, zeros + 9, zeros, zeros, np.ones(2), 1)
    group = SynapseGroup("g", "in", "p", Dense(np.ones((2, 3), np.int8), (3,), (2,)), 0)
    spikes = np.ones((2, 4, 3), np.uint8)
    return Program("tiny", 4, 4, (SpikeSource("in", (3,)),), (neurons,), (group,)), Inputs({"in": spikes})


def processes_in(directory: Path) -> list[int]:
    """Processes started for a job, known by the temporary directory in their environment; no zombies."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"TMPDIR={directory}".encode() in environ.read_bytes().split(b"\0"):
                found.append(int(environ.parent.name))
        except OSError:
            continue
    return found


class Observed(Group):
    """A group that remembers each of its kind."""

    started: ClassVar[list[Observed]] = []

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        directory: Path,
        environment: Mapping[str, str],
        *pipes: Any,
    ) -> None:
        super().__init__(command, log, directory, environment, *pipes)
        self.directory = directory
        self.started.append(self)

    def assert_nothing_left(self) -> None:
        assert processes_in(self.directory) == []
        assert members(self.pid) == []
        assert not self.directory.exists()
        assert not list(Path("/dev/shm").glob(f"{segment_prefix(self.pid)}*"))


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Observed]]:
    """The groups that a test starts; fails it if anything of them is left."""
    monkeypatch.setattr(Observed, "started", [])
    monkeypatch.setattr(driver, "Group", Observed)
    yield Observed.started
    assert len(Observed.started) == 1
    Observed.started[0].assert_nothing_left()


def use_child(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(driver, "_command", lambda job: [sys.executable, "-c", code, job.directory])


def test_a_missing_lava_is_reported_with_the_command_that_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat, "_found", lambda name: name == "networkx")
    possible, why = lava.available()
    assert not possible
    assert "lava and asteval" in why
    assert "pip install --no-deps --ignore-requires-python lava-nc==0.10.0 && pip install" in why
    with pytest.raises(lava.LavaUnavailable, match=r"lava-nc==0\.10\.0"):
        lava.run(*program())


def test_modules_are_found_or_not() -> None:
    assert compat._found("json.decoder")
    assert not compat._found("no_such_package.module")
    assert not compat._found("no_such_package")


def test_the_time_limit_ends_a_child_and_its_grandchildren(
    groups: list[Observed], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compat, "_found", lambda name: True)
    monkeypatch.setattr("spikewright.hardware.lava.group.GRACE", 0.3)
    use_child(monkeypatch, STUBBORN)
    began = time.monotonic()
    with pytest.raises(lava.LavaError, match=r"within 2 s .*raise time_limit or run fewer samples"):
        lava.run(*program(), time_limit=2)
    assert time.monotonic() - began < 10


def test_an_interrupt_ends_a_child_and_its_grandchildren(
    groups: list[Observed], monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait(group: Observed, seconds: float) -> int | None:
        while not (group.directory / "there").exists():
            time.sleep(0.05)
        assert len(processes_in(group.directory)) == 2
        raise KeyboardInterrupt

    monkeypatch.setattr(compat, "_found", lambda name: True)
    monkeypatch.setattr("spikewright.hardware.lava.group.GRACE", 0.3)
    monkeypatch.setattr(Observed, "wait", wait)
    use_child(monkeypatch, STUBBORN)
    with pytest.raises(KeyboardInterrupt):
        lava.run(*program())


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("print('out of tea'); raise SystemExit(3)", r"exit status 3\).*\nout of tea"),
        ("import os; os.kill(os.getpid(), 9)", r"signal 9\)"),
    ],
)
def test_a_child_that_dies_is_reported(
    groups: list[Observed], monkeypatch: pytest.MonkeyPatch, code: str, told: str
) -> None:
    monkeypatch.setattr(compat, "_found", lambda name: True)
    use_child(monkeypatch, code)
    with pytest.raises(lava.LavaError, match=told):
        lava.run(*program())


@needs_lava
def test_nothing_is_left_after_a_run_and_lava_stays_out_of_this_process(groups: list[Observed]) -> None:
    recording = lava.run(*program())
    assert recording.counts["p"].any()
    assert recording.seconds > 0
    assert not [name for name in sys.modules if name.startswith("lava.")]


@needs_lava
@pytest.mark.parametrize("method", ["__init__", "run_spk"])
@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("raise ValueError('no such spike')", "ValueError: no such spike"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "A process of Lava was ended by SIGKILL"),
    ],
)
def test_a_failing_process_of_lava_is_reported_at_once(
    groups: list[Observed], monkeypatch: pytest.MonkeyPatch, method: str, body: str, told: str
) -> None:
    use_child(monkeypatch, BROKEN_CHILD.format(method=method, body=body))
    began = time.monotonic()
    with pytest.raises(lava.LavaError, match=told):
        lava.run(*program(), time_limit=100)
    assert time.monotonic() - began < 15


@needs_lava
def test_the_time_limit_ends_a_hanging_lava(groups: list[Observed], monkeypatch: pytest.MonkeyPatch) -> None:
    use_child(monkeypatch, HANGING_CHILD)
    with pytest.raises(lava.LavaError, match="raise time_limit"):
        lava.run(*program(), time_limit=6)


@needs_lava
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_survives_the_parent(number: signal.Signals) -> None:
    # A shell that starts its jobs in the background has them ignore Ctrl-C, and their children inherit that.
    script = f"""
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from spikewright.hardware import lava
from spikewright.hardware.lava import driver, group
from tests.hardware import test_lava_process as here
class Told(group.Group):
    def __init__(self, command, log, directory, environment):
        super().__init__(command, log, directory, environment)
        print(self.pid, directory, flush=True)
driver.Group = Told
driver._command = lambda job: [{sys.executable!r}, "-c", {HANGING_CHILD!r}, job.directory]
lava.run(*here.program(), time_limit=100)
"""
    root = Path(__file__).parents[2]
    parent = subprocess.Popen(
        [sys.executable, "-c", script], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert parent.stdout is not None
    with parent, parent.stdout:
        pid, _, name = parent.stdout.readline().strip().partition(" ")
        directory = Path(name)
        assert directory.parent.samefile(tempfile.gettempdir())
        _wait_until(lambda: len(processes_in(directory)) >= 6)  # Lava's processes are there
        os.kill(parent.pid, number)
    _wait_until(lambda: not processes_in(directory))
    assert not directory.exists()
    assert not list(Path("/dev/shm").glob(f"{segment_prefix(int(pid))}*"))


def _wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if reached():
            return
        time.sleep(0.1)
    raise AssertionError("not within 20 s")
