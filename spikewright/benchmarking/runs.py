"""Runs units of work in processes of their own, some at a time; what has finished is never run again.

A unit is finished where its ``unit.json`` holds its key, which names everything that decides the result. The file comes
last and whole, so that a run that is killed at any moment goes on with the units that have none.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..export.whole_file import whole_file

RESULT, LOG, RUNS, LOCK = "unit.json", "log.txt", "runs.jsonl", ".lock"
#: Seconds for which the processes of a killed run may take to be gone.
_PATIENCE = 10.0
_LOOK = 0.1


@dataclass(frozen=True)
class Unit:
    """One piece of work.

    Attributes
    ----------
    name : str
        Also its folder's.
    key : str
        Changes with everything that decides the result.
    command : tuple of str
        Writes ``unit.json`` with :func:`write_result`, first of all calls :func:`end_with_parent`.
    """

    name: str
    key: str
    command: tuple[str, ...]


@dataclass
class _Running:
    unit: Unit
    process: subprocess.Popen[bytes]
    began: float = field(default_factory=time.monotonic)


class Watcher:
    """Told what happens; the base class keeps quiet."""

    def began(self, unit: Unit) -> None:
        """A unit is started."""

    def going(self, unit: Unit, step: str) -> None:
        """The last line that a running unit wrote."""

    def ended(self, unit: Unit, result: Mapping[str, Any], seconds: float) -> None:
        """A unit has finished or failed."""


def read_result(folder: Path, unit: Unit) -> dict[str, Any] | None:
    """The result of a unit; None where there is none, where it is damaged, or where it is another key's."""
    try:
        found = json.loads((folder / unit.name / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("key") == unit.key else None


def finished(folder: Path, unit: Unit) -> bool:
    """Whether a unit has a result; one that failed has none to keep."""
    found = read_result(folder, unit)
    return found is not None and found.get("status") == "done"


def write_result(folder: Path, key: str, status: str, **content: Any) -> None:
    """Write a unit's result whole, as the last of all that it does."""
    with whole_file(folder / RESULT) as temporary:
        temporary.write_text(
            json.dumps({"key": key, "status": status, **content}, indent=1), encoding="utf-8"
        )


def run_units(
    units: Sequence[Unit], folder: Path, jobs: int, watcher: Watcher | None = None, *, anew: bool = False
) -> None:
    """Run every unit that has not finished, or with ``anew`` every one, ``jobs`` at a time.

    Raises
    ------
    BuildError
        Another run is at work in the folder.
    """
    watcher = watcher or Watcher()
    running: list[_Running] = []
    with _locked(folder) as lock:
        waiting = [unit for unit in units if anew or not finished(folder, unit)]
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    unit = waiting.pop(0)
                    _note(folder, unit, "began")
                    running.append(_start(unit, folder, lock))
                    watcher.began(unit)
                time.sleep(_LOOK)
                for work in list(running):
                    if work.process.poll() is None:
                        watcher.going(work.unit, _last_line(folder / work.unit.name / LOG))
                        continue
                    running.remove(work)
                    result = _collect(work, folder)
                    _note(folder, work.unit, result["status"])
                    watcher.ended(work.unit, result, time.monotonic() - work.began)
        finally:
            for work in running:
                _end(work)


def _start(unit: Unit, folder: Path, lock: int) -> _Running:
    place = folder / unit.name
    place.mkdir(parents=True, exist_ok=True)
    (place / RESULT).unlink(missing_ok=True)
    # One thread each: as many units run at once as there are cores to use.
    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    # The lock goes along: while a unit of a killed run is still ending, no other run begins.
    with open(place / LOG, "wb") as log:
        process = subprocess.Popen(
            unit.command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True, env=environment,
            pass_fds=(lock,),
        )  # fmt: skip
    return _Running(unit, process)


def _collect(work: _Running, folder: Path) -> dict[str, Any]:
    """What a unit left; a result is written for one that ended without."""
    _end(work)
    found = read_result(folder, work.unit)
    if found is not None:
        return found
    code, log = work.process.returncode, folder / work.unit.name / LOG
    why = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    hint = "; not enough memory is one reason" if code == -signal.SIGKILL else ""
    words = f"the measurement {why} and left no result{hint}; see {log}, then run the command again"
    write_result(folder / work.unit.name, work.unit.key, "failed", words=words)
    found = read_result(folder, work.unit)
    assert found is not None
    return found


def _end(work: _Running) -> None:
    """See that nothing of a unit's process is left."""
    with suppress(ProcessLookupError):
        os.killpg(work.process.pid, signal.SIGKILL)
    work.process.wait()
    if work.process.stdin is not None:
        work.process.stdin.close()


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LOCK, "ab") as file:
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    from ..errors import BuildError  # loads torch, which a unit of work may do without

                    raise BuildError(
                        f"{folder}: another benchmark is at work here; wait for it, or choose another folder with --out"
                    ) from None
                time.sleep(_LOOK)
        yield file.fileno()


def _note(folder: Path, unit: Unit, event: str) -> None:
    """Add a line to the list of all that was ever run in the folder."""
    line = json.dumps({"time": round(time.time(), 3), "unit": unit.name, "event": event, "key": unit.key})
    with open(folder / RUNS, "a", encoding="utf-8") as file:
        file.write(line + "\n")


def _last_line(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            file.seek(max(path.stat().st_size - 300, 0))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return lines[-1].strip() if lines else ""


def end_with_parent() -> None:
    """End this process and all that it started as soon as the run that started it is gone, however it went.

    The run holds the other end of standard input and never writes to it. A process that no run started stays.
    """

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os.killpg(0, signal.SIGKILL)

    if os.getsid(0) == os.getpid():
        threading.Thread(target=watch, daemon=True).start()
