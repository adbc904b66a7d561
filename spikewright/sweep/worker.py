"""What runs on a worker: a point measured, or a recipe's networks trained, from bytes to bytes."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
import traceback
from pathlib import Path

from .. import __version__
from .figures import Failure, Figures, Record
from .job import Job, TrainJob, TrainResult

#: torch draws from one generator a process, so that a process measures one point at a time.
_ALONE = threading.Lock()


def measure_job(job: Job) -> Record:
    """Figures of a job, or why there are none; never raises."""
    # Before the emulator is loaded: as many points run beside each other as there are processors.
    os.environ.setdefault("SPIKEWRIGHT_THREADS", "1")
    from ..errors import USER_ERRORS

    began, figures, failure = time.perf_counter(), None, None
    with _ALONE:
        try:
            if job.version != __version__:
                text = f"the worker has spikewright {__version__}, the sweep {job.version}; install the same on both"
                failure = Failure(kind="Version", text=text)
            else:
                figures = _measured(job)
        except USER_ERRORS as error:
            failure = Failure(kind=type(error).__name__, text=str(error))
        except Exception as error:
            failure = Failure(
                kind=type(error).__name__, text=str(error), trace=traceback.format_exc(limit=-8)
            )
    return Record(
        key=job.key,
        status="done" if failure is None else "failed",
        figures=figures,
        failure=failure,
        seconds=time.perf_counter() - began,
        worker=f"{socket.gethostname()}:{os.getpid()}",
    )


def _measured(job: Job) -> Figures:
    from ..recipe import recipe_type
    from .measure import Sampled, measure

    with tempfile.TemporaryDirectory(dir=_scratch(), prefix="point-") as name:
        folder = Path(name)
        chip = folder / "chip.toml"
        chip.write_text(job.chip, encoding="utf-8")
        files = {kind: folder / f"{kind}.safetensors" for kind in job.weights}
        for kind, path in files.items():
            path.write_bytes(job.weights[kind])
        table = {**job.recipe, "deploy": {**job.recipe["deploy"], "chip": str(chip)}}
        recipe = recipe_type(table).model_validate(table)
        return measure(Sampled(recipe, folder / "build", files, job.samples))


def train_job(job: TrainJob) -> TrainResult | Failure:
    """Train a recipe's missing networks; never raises."""
    from ..errors import USER_ERRORS

    with _ALONE:
        try:
            if job.folder is not None:
                _train(job, Path(job.folder))
                return {}
            with tempfile.TemporaryDirectory(dir=_scratch(), prefix="train-") as name:
                return {kind: path.read_bytes() for kind, path in _train(job, Path(name)).items()}
        except USER_ERRORS as error:
            return Failure(kind=type(error).__name__, text=str(error))
        except Exception as error:
            return Failure(kind=type(error).__name__, text=str(error), trace=traceback.format_exc(limit=-8))


def _train(job: TrainJob, folder: Path) -> dict[str, Path]:
    from ..progress import Steps
    from ..recipe import recipe_type
    from ..training import ensure_weights
    from ..workspace import Workspace

    workspace = Workspace(recipe_type(job.recipe).model_validate(job.recipe), folder)
    if job.folder is None:
        for kind, content in job.weights.items():
            path = workspace.training_folder(kind) / "weights.safetensors"
            path.parent.mkdir(parents=True)
            path.write_bytes(content)
    kinds = (*job.weights, *job.kinds)
    paths = ensure_weights(workspace, Steps.silent(), kinds=kinds, accelerator="auto")
    return {kind: paths[kind] for kind in job.kinds}


def _scratch() -> str | None:
    """The folder that Dask clears after a worker that was killed; the system's own outside of a worker."""
    from distributed import get_worker

    try:
        return str(get_worker().local_directory)
    except ValueError:
        return None
