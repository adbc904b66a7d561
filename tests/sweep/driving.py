"""Sweeps in processes of their own: the test's process never starts a cluster, so that it may be forked."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

from spikewright.progress import Steps
from spikewright.sweep.figures import Record
from spikewright.sweep.grid import Spec, axes_of
from spikewright.sweep.job import Job
from spikewright.sweep.plan import Planned, plan
from spikewright.sweep.run import Cluster, run
from spikewright.sweep.store import Store

from .points import LOG


def planned(bits: Sequence[int], seeds: Sequence[int] = (1,)) -> list[Planned]:
    """Points of the shipped ESVAE on digits."""
    spec = Spec((axes_of({"recipe": ["esvae-digits"], "bits": list(bits), "seed": list(seeds)}, "test"),), 10)
    return plan(spec.points(), spec.samples)


def start(
    points: Sequence[Planned], folder: Path, measure: Callable[[Job], Record], *, retry_failed: bool = False
) -> BaseProcess:
    """Begin a sweep in a process group of its own; its log lies beside the folder."""

    def sweep() -> None:
        os.setsid()
        os.environ[LOG] = str(folder.with_suffix(".log"))
        store = Store(folder)
        with store.locked():
            run(points, store, Cluster(workers=2), Steps.silent(), retry_failed=retry_failed, measure=measure)

    process = multiprocessing.get_context("fork").Process(target=sweep)
    process.start()
    return process


def finish(
    points: Sequence[Planned], folder: Path, measure: Callable[[Job], Record], *, retry_failed: bool = False
) -> None:
    """A whole sweep."""
    process = start(points, folder, measure, retry_failed=retry_failed)
    process.join(300)
    assert process.exitcode == 0


def begun(folder: Path) -> list[str]:
    """Keys of all measurings that began, in order."""
    log = folder.with_suffix(".log")
    lines = log.read_text().splitlines() if log.exists() else []
    return [line.split()[1] for line in lines if line.startswith("began")]
