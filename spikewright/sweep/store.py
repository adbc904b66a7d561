"""The folder of a sweep: one file a finished point, written whole or not at all, and a lock."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from ..errors import SweepError
from ..workspace import write_text
from .figures import Record


class Store:
    """Finished points by key; a kill loses nothing that is in here.

    Parameters
    ----------
    folder : Path
        Made when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.points = folder / "points"
        #: What workers of this machine write while they measure; emptied by the next sweep.
        self.scratch = folder / "scratch"

    def path(self, key: str) -> Path:
        """Where a point's record lies."""
        return self.points / f"{key}.json"

    def read(self, key: str) -> Record | None:
        """A point's record; None if there is none.

        Raises
        ------
        SweepError
            The file cannot be used; says what becomes of the point.
        """
        path = self.path(key)
        try:
            record = Record.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            first = str(error).splitlines()[0]
            raise SweepError(f"{path}: damaged ({first}); its point is measured again") from None
        if record.key != key or (record.figures is None) == (record.status == "done"):
            raise SweepError(
                f"{path}: damaged (it is not the record of its name); its point is measured again"
            )
        return record

    def write(self, record: Record) -> None:
        """Keep a point's record."""
        write_text(self.path(record.key), record.model_dump_json(indent=1) + "\n")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder, and clear what a killed sweep left behind; a lock dies with the process that holds it.

        Raises
        ------
        SweepError
            Another sweep is at work in it.
        """
        from filelock import FileLock, Timeout

        self.points.mkdir(parents=True, exist_ok=True)
        path, holder = self.folder / "lock", self.folder / "lock.json"
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise SweepError(
                f"{self.folder}: another sweep is at work here{_holder(holder)}; wait for it, or choose another folder "
                "with --out"
            ) from None
        try:
            write_text(holder, json.dumps({"process": os.getpid()}) + "\n")
            shutil.rmtree(self.scratch, ignore_errors=True)
            for left in self.folder.rglob(".*.tmp"):
                left.unlink(missing_ok=True)
            yield
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)
            holder.unlink(missing_ok=True)
            lock.release()


def _holder(path: Path) -> str:
    try:
        return f" (process {int(json.loads(path.read_text(encoding='utf-8'))['process'])})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
