"""Dask: a cluster of this machine's processes or one that is there already, and tasks whose workers may die."""

from __future__ import annotations

import logging
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import dask
from distributed import Client, Future, KilledWorker, LocalCluster, wait

from .. import __version__
from ..errors import SweepError
from .figures import Failure

#: Seconds that a cluster has to answer, and between two looks at its workers.
ANSWER, LOOK = 10, 2
#: Bytes of freed memory that a process of this machine keeps.
KEPT = 1 << 28


@contextmanager
def cluster(scheduler: str | None, workers: int | None, scratch: Path) -> Iterator[Client]:
    """A client of a running scheduler, or of a cluster of processes on this machine that ends with the block.

    Parameters
    ----------
    scheduler : str, optional
        Address such as ``tcp://host:8786``.
    workers : int, optional
        Processes on this machine; by default as many as processors. Each has one thread and its share of the memory.
    scratch : Path
        Where processes of this machine write.

    Raises
    ------
    SweepError
        Nobody answers at the address, or it has no worker with this package.
    """
    # A worker that died takes its point with it: another attempt would only kill the next one.
    settings: dict[str, Any] = {
        "distributed.scheduler.allowed-failures": 0,
        "distributed.comm.timeouts.connect": ANSWER,
        # Dask has workers hand memory back at once; asking for it anew took two fifths of a tuning's time.
        "distributed.nanny.pre-spawn-environ": {
            **dask.config.get("distributed.nanny.pre-spawn-environ"),
            "MALLOC_TRIM_THRESHOLD_": KEPT,
            "MALLOC_MMAP_MAX_": 0,
        },
    }
    with dask.config.set(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"distributed(\..*)?")
        if scheduler is None:
            with (
                LocalCluster(
                    n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None,
                    silence_logs=logging.CRITICAL, local_directory=str(scratch),
                ) as local,
                Client(local) as client,
            ):  # fmt: skip
                yield client
            return
        if workers is not None:
            raise SweepError(
                "--workers is of a cluster on this machine; with --scheduler, start workers there"
            )
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # it repeats each attempt to connect
        try:
            client = Client(scheduler, timeout=ANSWER)
        except (OSError, ValueError, ImportError) as error:
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise SweepError(
                f"{scheduler}: no scheduler answers ({first}); start one with `dask scheduler`, or leave --scheduler out to "
                "run on this machine"
            ) from None
        with client:
            _ready(client, scheduler)
            yield client


def _ready(client: Client, scheduler: str) -> None:
    """A worker is there and has the package."""
    try:
        client.wait_for_workers(1, timeout=ANSWER)
    except TimeoutError:
        raise SweepError(
            f"{scheduler}: the scheduler has no worker; start some with `dask worker {scheduler} --nthreads 1`"
        ) from None
    try:
        others = set(client.run(_version).values()) - {__version__}
    except Exception as error:
        raise SweepError(
            f"{scheduler}: a worker cannot load spikewright ({type(error).__name__}: {error}); install the same version on "
            "every worker"
        ) from None
    if others:
        raise SweepError(
            f"{scheduler}: a worker has spikewright {min(others)}, this is {__version__}; install the same on every worker"
        )


def _version() -> str:
    return __version__


def each(
    client: Client,
    function: Callable[[Any], Any],
    jobs: Iterable[tuple[str, Callable[[], Any]]],
    note: Callable[[str], None],
) -> Iterator[tuple[str, Any | Failure]]:
    """Results of jobs by key, in the order in which they finish; a worker that died leaves a failure.

    A job is made when a worker has room for it: the cluster never holds more of them than it has workers.

    Raises
    ------
    SweepError
        The scheduler is gone.
    """
    under_way: dict[Future, str] = {}
    left, lonely = iter(jobs), False
    while True:
        workers = _workers(client)
        for key, make in islice(left, max(max(workers, 1) - len(under_way), 0)):
            with warnings.catch_warnings():  # of jobs beyond 10 MB
                warnings.simplefilter("ignore")
                future = client.submit(
                    function, make(), key=f"{key}-{uuid.uuid4().hex}", retries=0, pure=False
                )
            under_way[future] = key
        if not under_way:
            return
        if workers == 0 and not lonely:
            note("no worker is left; waiting for one")
        lonely = workers == 0
        try:
            done = wait(list(under_way), timeout=LOOK, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            continue
        except Exception as error:  # cancelled, by whatever class the version has for it
            raise _gone(error) from None
        for future in done:
            yield under_way.pop(future), _outcome(future)
            future.release()


def _workers(client: Client) -> int:
    try:
        return len(client.nthreads())
    except Exception as error:  # a comm that is closed, a client that gave up, a time limit
        raise _gone(error) from None


def _gone(error: BaseException) -> SweepError:
    return SweepError(
        f"the scheduler is gone ({type(error).__name__}); start it and run the sweep again: finished points are kept"
    )


def _outcome(future: Future) -> Any | Failure:
    if future.status == "finished":
        return future.result()
    error = future.exception()
    if isinstance(error, KilledWorker):
        return Failure(
            kind="WorkerDied",
            text="its worker died, most likely for want of memory; run fewer at a time with --workers, or workers with more "
            "memory, and --retry-failed",
        )
    return Failure(kind=type(error).__name__, text=str(error))
