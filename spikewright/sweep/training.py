"""Networks that a sweep lacks, trained on its workers ahead of the points that need them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..export.whole_file import whole_file
from ..progress import Steps
from .figures import Failure
from .job import TrainJob, TrainResult
from .plan import Planned, home, plan
from .run import Cluster
from .worker import train_job


def train_missing(
    planned: Sequence[Planned], samples: int, where: Cluster, scratch: Path, steps: Steps
) -> list[Planned]:
    """The plan once more, after everything that it lacks was trained.

    On this machine networks are trained in the recipes' build folders, where ``spikewright train`` keeps them too and a
    training that was killed goes on. Workers elsewhere train from the start and send the weights.
    """
    due = {f"{p.recipe.name}-{p.recipe.training_digest}": p for p in planned if p.recipe and p.untrained}
    if not due:
        return list(planned)
    from .cluster import cluster, each  # loads Dask

    failures: dict[str, Failure] = {}
    local = where.scheduler is None
    with (
        steps(f"{len(due)} recipes trained") as step,
        cluster(where.scheduler, where.workers, scratch) as client,
    ):
        jobs = ((name, lambda p=p: _job(p, local)) for name, p in due.items())  # type: ignore[misc]
        for done, (name, found) in enumerate(each(client, train_job, jobs, steps.note), 1):
            step.update(done, len(due))
            if isinstance(found, Failure):
                failures[name] = found
                steps.note(f"{due[name].point.label}: {found.text or found.kind}")
            else:
                _keep(due[name], found)
    again = plan([p.point for p in planned], samples)
    return [
        replace(p, failure=failures[name])
        if p.recipe is not None and (name := f"{p.recipe.name}-{p.recipe.training_digest}") in failures
        else p
        for p in again
    ]


def _job(planned: Planned, local: bool) -> TrainJob:
    recipe = planned.recipe
    assert recipe is not None
    weights = {kind: path.read_bytes() for kind, path in planned.weights.items()}
    folder = str(home(recipe).folder.resolve()) if local else None
    return TrainJob(recipe.model_dump(mode="json"), weights, planned.untrained, folder)


def _keep(planned: Planned, found: TrainResult) -> None:
    """Weights from elsewhere into the build folder of their recipe."""
    assert planned.recipe is not None
    for kind, content in found.items():
        path = home(planned.recipe).training_folder(kind) / "weights.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary:
            temporary.write_bytes(content)
