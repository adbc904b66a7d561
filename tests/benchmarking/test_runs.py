"""Units of work: run once each, in any weather."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from spikewright.benchmarking.runs import RESULT, RUNS, Unit, Watcher, finished, read_result, run_units
from spikewright.errors import BuildError

from .cheap_units import UNIT, unit, units

#: A run of such units in a process of its own, which can be killed.
RUN = """
import sys
from pathlib import Path
from tests.benchmarking.cheap_units import units
from spikewright.benchmarking.runs import run_units

run_units(units(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])), Path(sys.argv[1]), 2)
"""
ROOT = Path(__file__).parents[2]


def events(folder: Path) -> list[dict[str, Any]]:
    path = folder / RUNS
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def began(folder: Path) -> list[str]:
    return [event["unit"] for event in events(folder) if event["event"] == "began"]


def test_every_unit_runs_once_and_a_second_run_has_nothing_to_do(tmp_path: Path) -> None:
    work = units(tmp_path, 3, 0.0)
    run_units(work, tmp_path, 2)
    run_units(work, tmp_path, 2)
    assert sorted(began(tmp_path)) == [one.name for one in work]
    assert all(finished(tmp_path, one) for one in work)


def test_another_key_runs_again_and_so_does_anew(tmp_path: Path) -> None:
    run_units([unit(tmp_path, "a", "old", UNIT, "0")], tmp_path, 1)
    run_units([unit(tmp_path, "a", "new", UNIT, "0")], tmp_path, 1)
    run_units([unit(tmp_path, "a", "new", UNIT, "0")], tmp_path, 1, anew=True)
    assert [event["key"] for event in events(tmp_path) if event["event"] == "began"] == ["old", "new", "new"]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise SystemExit(3)", "exit code 3"),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            "signal 9 and left no result; not enough memory",
        ),
        ("pass", "exit code 0"),
    ],
)
def test_a_unit_without_a_result_fails_stops_nobody_and_is_tried_again(
    tmp_path: Path, code: str, said: str
) -> None:
    bad, good = unit(tmp_path, "bad", "k", code), unit(tmp_path, "good", "k", UNIT, "0")
    run_units([bad, good], tmp_path, 1)
    found = read_result(tmp_path, bad)
    assert found is not None
    assert found["status"] == "failed"
    assert said in found["words"]
    assert finished(tmp_path, good)
    run_units([bad, good], tmp_path, 1)
    assert began(tmp_path) == ["bad", "good", "bad"]


def test_a_damaged_result_is_no_result(tmp_path: Path) -> None:
    work = units(tmp_path, 1, 0.0)
    run_units(work, tmp_path, 1)
    (tmp_path / "unit-0" / RESULT).write_text('{"key": "key-0", "sta')
    assert not finished(tmp_path, work[0])
    run_units(work, tmp_path, 1)
    assert finished(tmp_path, work[0])


def test_the_watcher_hears_of_begin_and_end(tmp_path: Path) -> None:
    heard: list[str] = []

    class Ear(Watcher):
        def began(self, unit: Unit) -> None:
            heard.append(f"began {unit.name}")

        def going(self, unit: Unit, step: str) -> None:
            heard.append(step)

        def ended(self, unit: Unit, result: Any, seconds: float) -> None:
            heard.append(f"{result['status']} {unit.name}")

    run_units(units(tmp_path, 1, 0.5), tmp_path, 1, Ear())
    assert heard[0] == "began unit-0"
    assert "at work" in heard
    assert heard[-1] == "done unit-0"


def test_two_runs_in_one_folder_exclude_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikewright.benchmarking.runs._PATIENCE", 0.2)
    other = start(tmp_path, 1, 60.0)
    wait_for(lambda: began(tmp_path) == ["unit-0"])
    with pytest.raises(BuildError, match="another benchmark is at work"):
        run_units(units(tmp_path, 1, 0.0), tmp_path, 1)
    other.kill()
    other.wait()


def start(folder: Path, count: int, seconds: float) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(ROOT)])}
    command = [sys.executable, "-c", RUN, str(folder), str(count), str(seconds)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)


def wait_for(condition: Any, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def processes_of(folder: Path) -> list[str]:
    """Command lines of all processes at work in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


def kill_and_resume(folder: Path, kills: int, count: int, rng: random.Random) -> None:
    """Kill a run at random moments, resume it, and hold the end against one that was left alone."""
    killed = 0
    while killed < kills:
        done = {one.name for one in units(folder, count, 0) if finished(folder, one)}
        if len(done) == count:  # all done before the last kill: begin another lot
            folder = folder.with_name(f"{folder.name}-again")
            continue
        before = len(began(folder))
        run = start(folder, count, 0.3)
        if rng.random() < 0.8:  # the others are killed while they start
            wait_for(lambda before=before, folder=folder: len(began(folder)) > before)
        time.sleep(rng.uniform(0.0, 1.2))
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
        killed += 1
        wait_for(lambda folder=folder: not processes_of(folder))  # the units end by themselves
        again = set(began(folder)[before:])
        assert not again & done, "a finished unit ran again"
        for one in units(folder, count, 0):
            found = folder / one.name / RESULT
            if found.exists():  # never half-written
                assert json.loads(found.read_text())["key"] == one.key
    assert start(folder, count, 0.0).wait() == 0
    for one in units(folder, count, 0):
        found = read_result(folder, one)
        assert found is not None
        assert found["result"] == hashlib.sha256(one.key.encode()).hexdigest()
    finishing = [event["unit"] for event in events(folder) if event["event"] == "done"]
    assert len(finishing) == len(set(finishing)), "a unit was finished twice"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_killed_three_times_and_resumed(tmp_path: Path) -> None:
    kill_and_resume(tmp_path / "lot", 3, 5, random.Random(1))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_killed_twenty_times_and_resumed(tmp_path: Path) -> None:
    kill_and_resume(tmp_path / "lot", 20, 12, random.Random(2))
