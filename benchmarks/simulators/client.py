"""A worker's other end: a simulator in a process of its own, asked one thing at a time."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .rivals import HERE, Rival, interpreter

#: Seconds for an answer, after which a worker is ended.
TIME_LIMIT = 300.0
LOG_LINES = 3


class WorkerError(Exception):
    """A worker that failed; the message says at what."""


class Worker:
    """One simulator, waiting for commands.

    Parameters
    ----------
    command : list of str, optional
        What to start instead of the rival's own worker.
    """

    def __init__(self, rival: Rival, threads: int, command: list[str] | None = None) -> None:
        self.rival = rival
        module = f"workers.{rival.name.replace('-', '_')}"
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the worker)
        self._process = subprocess.Popen(
            command or [str(interpreter(rival)), "-m", module],
            cwd=HERE,
            env=_environment(threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        try:
            self.version = str(self._answer()["version"])
        except WorkerError:
            self.close()
            raise

    def load(self, file: Path) -> None:
        """Build the network of a file."""
        self._ask({"do": "load", "file": str(file.absolute())})

    def run(self, batch: int, times: int = 1) -> tuple[float, float]:
        """Wall and processor seconds of a run, the mean of some in a row."""
        answer = self._ask({"do": "run", "batch": batch, "times": times})
        return answer["seconds"], answer["processor"]

    def counts(self, batch: int) -> dict[str, NDArray[Any]]:
        """Spikes of each neuron, by layer."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "counts.npz"
            self._ask({"do": "counts", "batch": batch, "file": str(file)})
            with np.load(file) as arrays:
                return dict(arrays)

    @property
    def alive(self) -> bool:
        """The process is there."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        if self._process.stdout is not None:
            self._process.stdout.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _ask(self, command: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        if not self.alive or self._process.stdin.closed:
            raise WorkerError(f"{self.rival.title}: its worker has ended: {self._tail()}")
        try:
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise WorkerError(f"{self.rival.title}: its worker has ended: {self._tail()}") from None
        answer = self._answer()
        if "error" in answer:
            raise WorkerError(f"{self.rival.title}: {answer['error']}")
        return answer

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(TIME_LIMIT):
                self._process.kill()
                raise WorkerError(f"{self.rival.title}: no answer within {TIME_LIMIT:.0f} s; ended")
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise WorkerError(f"{self.rival.title}: its worker ended: {self._tail()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _tail(self) -> str:
        if self._log.closed:
            return "no message"
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return " / ".join(lines[-LOG_LINES:]) or "no message"


def _environment(threads: int) -> dict[str, str]:
    """Ours without what would leak our packages in, and with the thread count that each library listens to."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    count = str(threads)
    return kept | {
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "NPROC": count,  # XLA sizes its pool by it
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}",
    }
