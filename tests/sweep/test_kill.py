"""A sweep that is killed at any moment loses what was under way and nothing else."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from spikewright.errors import SweepError
from spikewright.sweep.run import stored
from spikewright.sweep.store import Store

from .driving import begun, finish, planned, start
from .points import cheap

RNG = np.random.default_rng(0)


def kept(folder: Path) -> set[str]:
    return {path.stem for path in (folder / "points").glob("*.json")}


def kill_in_the_midst(process, folder: Path, points: int, pause: float) -> None:
    """SIGKILL to the sweep and all of its workers once so many more points are stored, and a pause later."""
    before, limit = len(kept(folder)), time.monotonic() + 120
    while process.is_alive() and len(kept(folder)) < before + points and time.monotonic() < limit:
        time.sleep(0.005)
    time.sleep(pause)
    while process.is_alive():
        try:
            os.killpg(process.pid, signal.SIGKILL)
            break
        except ProcessLookupError:  # it has no group of its own yet
            time.sleep(0.005)
    process.join()


def check(folder: Path, seeds: int, kills: int) -> None:
    points = planned(range(2, 9), range(seeds))
    assert len({p.key for p in points}) == 7 * seeds
    for number in range(kills):
        before, log = kept(folder), len(begun(folder))
        process = start(points, folder, cheap)
        # Every fourth dies as it begins, before a point is stored.
        kill_in_the_midst(
            process, folder, 0 if number % 4 == 3 else int(RNG.integers(1, 4)), float(RNG.uniform(0, 0.3))
        )
        assert process.exitcode in (-signal.SIGKILL, 0)
        assert before <= kept(folder)
        assert not before & set(begun(folder)[log:]), "a point that was stored was measured again"
        results = stored(points, Store(folder), lambda text: pytest.fail(text))
        assert sum(r.record is not None for r in results) == len(kept(folder))
    before, log = kept(folder), len(begun(folder))
    finish(points, folder, cheap)
    assert not before & set(begun(folder)[log:])
    assert set(begun(folder)[log:]) == {p.key for p in points} - before
    whole = folder.with_name("uninterrupted")
    finish(points, whole, cheap)
    one, other = (stored(points, Store(f), lambda text: pytest.fail(text)) for f in (folder, whole))
    assert [r.record for r in one] == [r.record for r in other]
    assert all(r.status == "done" for r in one)
    assert {p.name for p in folder.iterdir()} <= {"points", "lock"}  # nothing half-written, no scratch


@pytest.mark.slow
def test_killed_three_times(tmp_path: Path) -> None:
    check(tmp_path / "sweep", seeds=3, kills=3)


@pytest.mark.slow
def test_killed_twenty_times(tmp_path: Path) -> None:
    check(tmp_path / "sweep", seeds=9, kills=20)


def test_a_folder_has_one_sweep_at_a_time_and_the_lock_of_a_dead_one_is_none(tmp_path: Path) -> None:
    store, other = Store(tmp_path / "s"), Store(tmp_path / "s")
    pid = os.fork()
    if not pid:  # a sweep that dies with the lock in its hand
        with store.locked():
            (store.scratch / "left").mkdir(parents=True)
            (store.points / ".x.json.1.tmp").touch()
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    assert (store.points / ".x.json.1.tmp").exists()
    with store.locked():
        assert not store.scratch.exists()
        assert not list(store.points.iterdir())
        with pytest.raises(SweepError, match=rf"another sweep is at work here \(process {os.getpid()}\).*--out"), other.locked():  # fmt: skip
            pass
    with other.locked():
        pass
