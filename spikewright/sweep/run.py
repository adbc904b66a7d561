"""A sweep from its plan to its last result: what is stored is taken, the rest is measured and stored as it comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import SweepError
from ..progress import Steps
from .figures import Failure, Record
from .job import Job
from .plan import Planned
from .store import Store
from .worker import measure_job


@dataclass(frozen=True)
class Cluster:
    """Where points are measured; see :func:`spikewright.sweep.cluster.cluster`."""

    scheduler: str | None = None
    workers: int | None = None


@dataclass(frozen=True)
class Result:
    """A point and what is known of it; neither figures nor failure where it has not run yet."""

    planned: Planned
    record: Record | None

    @property
    def failure(self) -> Failure | None:
        """Why it has no figures."""
        return self.planned.failure or (None if self.record is None else self.record.failure)

    @property
    def status(self) -> str:
        """``done``, ``failed`` or ``missing``."""
        if self.failure is not None:
            return "failed"
        return "missing" if self.record is None else "done"


def stored(plan: Sequence[Planned], store: Store, note: Callable[[str], None]) -> list[Result]:
    """All points with what the folder holds; a damaged record counts as none, and is told."""
    records: dict[str, Record | None] = {}
    for planned in plan:
        if planned.key not in records and planned.failure is None:
            try:
                records[planned.key] = store.read(planned.key)
            except SweepError as error:
                note(str(error))
                records[planned.key] = None
    return [Result(planned, records.get(planned.key)) for planned in plan]


def run(
    plan: Sequence[Planned],
    store: Store,
    where: Cluster,
    steps: Steps,
    *,
    retry_failed: bool = False,
    measure: Callable[[Job], Record] = measure_job,
) -> list[Result]:
    """Measure every point that the folder does not hold; the caller has its lock.

    Parameters
    ----------
    retry_failed : bool
        Measure those again that failed.
    measure : callable
        Runs on a worker: the record of a job.
    """
    results = stored(plan, store, steps.note)
    known = {
        r.planned.key
        for r in results
        if r.record is not None and not (retry_failed and r.record.status == "failed")
    }
    due = {p.key: p for p in plan if p.failure is None and p.key not in known}
    shared = len(plan) - len({p.key for p in plan})
    if shared:
        steps.note(
            f"{shared} points are the same as another in all that decides their result; each is measured once"
        )
    if known:
        steps.note(f"{len(known)} points are known from before")
    if due:
        _measure(due, store, where, steps, measure)
    return stored(plan, store, lambda text: None)


def _measure(
    due: dict[str, Planned], store: Store, where: Cluster, steps: Steps, measure: Callable[[Job], Record]
) -> None:
    from .cluster import cluster, each  # loads Dask

    with (
        steps(f"{len(due)} points") as step,
        cluster(where.scheduler, where.workers, store.scratch) as client,
    ):
        step.update(0, len(due))
        jobs = ((key, planned.job) for key, planned in due.items())
        for done, (key, found) in enumerate(each(client, measure, jobs, steps.note), 1):
            planned = due[key]
            record = _record(key, found).model_copy(update={"content": planned.content})
            store.write(record)
            step.update(done, len(due))
            step.say(planned.point.label)
            if record.failure is not None:
                steps.note(f"{planned.point.label}: {record.failure.text or record.failure.kind}")
            elif not steps.console.is_terminal:
                steps.line(f"{done} of {len(due)}: {planned.point.label}, {record.seconds:.0f} s")


def _record(key: str, found: Any | Failure) -> Record:
    return Record(key=key, status="failed", failure=found) if isinstance(found, Failure) else found
