"""``python -m spikewright.benchmarks.simulators`` (or ``make benchmark-emulator``): writes ``docs/performance.md``."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from ...export.whole_file import whole_file
from ...hardware.lava import LavaError
from . import lava_time, machine
from .agreement import COUNTED_SAMPLES
from .case import Case, build_case
from .client import Worker, WorkerError
from .extras import measure_extras
from .figure import draw
from .measure import lava_row, measure_case
from .networks import NETWORKS
from .results import CaseResult, Results, as_json
from .rivals import LAVA, OURS, RIVALS, Rival, available, remedy
from .table import page
from .targets import Extra, targets

DENSITIES = (1.0, 5.0, 10.0, 20.0)
BATCHES = (1, 16, 64)
REPEATS = 7
QUICK = {"networks": ["mlp", "cnn"], "densities": [10.0], "batches": [1, 16], "repeats": 3}


@dataclass(frozen=True)
class Options:
    """What to run.

    Attributes
    ----------
    densities : tuple of float
        Per cent.
    rows_only : bool
        Leave out growth and memory, which take minutes.
    """

    networks: tuple[str, ...]
    simulators: tuple[str, ...]
    batches: tuple[int, ...]
    densities: tuple[float, ...]
    repeats: int
    threads: int
    rows_only: bool
    lava_runs: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write page, plot and figures."""
    parser = _parser()
    given = parser.parse_args(arguments)
    for name, value in QUICK.items() if given.quick else ():
        if getattr(given, name) is None:
            setattr(given, name, value)
    options = Options(
        networks=tuple(given.networks or NETWORKS),
        simulators=tuple(given.simulators or RIVALS),
        batches=tuple(sorted(set(given.batches or BATCHES))),
        densities=tuple(sorted(set(given.densities or DENSITIES))),
        repeats=given.repeats or REPEATS,
        threads=given.threads or machine.cores(),
        rows_only=given.rows_only or given.quick,
        lava_runs=1 if given.quick else lava_time.RUNS,
    )
    for kind, chosen, known in (
        ("network", options.networks, NETWORKS),
        ("simulator", options.simulators, RIVALS),
    ):
        unknown = [name for name in chosen if name not in known]
        if unknown:
            parser.error(f"{kind} {unknown[0]!r}: there are {', '.join(known)}")
    if min(options.batches) < 1 or not all(0 < d <= 100 for d in options.densities) or options.repeats < 1:
        parser.error("batches and repeats are at least 1, densities per cent above 0 and at most 100")
    results = run(options)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    picture = given.out.with_suffix(".png")
    with whole_file(picture) as path:
        draw(results, path)
    with whole_file(given.out) as path:
        path.write_text(page(results, picture.name), encoding="utf-8")
    if given.json is not None:
        with whole_file(given.json) as path:
            path.write_text(json.dumps(as_json(results), indent=1) + "\n", encoding="utf-8")
    for target in results.targets:
        print(f"{target.name}: {target.measured}")
    print(f"{given.out}, {picture}")
    return 1 if any(_wrong(case) for case in results.cases) else 0


def _wrong(case: CaseResult) -> bool:
    """A bit for bit comparison failed."""
    return any(name in case.agreements and not case.agreements[name].equal for name in ("reference", LAVA))


def run(options: Options) -> Results:
    """Measure everything that is asked for and can be had."""
    where = machine.look(options.threads)
    print(where.sentence(), flush=True)
    if where.busy:
        print("warning: the machine is busy; only ratios hold, and those roughly", flush=True)
    machine.use_threads(options.threads)
    missing: dict[str, str] = {}
    versions = {OURS: version("spikewright") if _packaged() else "this checkout"}
    workers = start(
        [RIVALS[n] for n in options.simulators if n not in (OURS, LAVA)], options.threads, missing
    )
    versions |= {rival.name: worker.version for rival, worker in workers.items()}
    if LAVA in options.simulators:
        usable, reason = available(RIVALS[LAVA])
        if usable:
            versions[LAVA] = version("lava-nc")
        else:
            missing[LAVA] = reason
    for name, reason in missing.items():
        print(f"{RIVALS[name].title}: {reason}", flush=True)
    try:
        cases, held = _cases(options, workers, LAVA in versions)
    finally:
        for worker in workers.values():
            worker.close()
    extra = Extra() if options.rows_only else measure_extras(held, options.repeats)
    return Results(where, versions, missing, tuple(cases), targets(cases, extra), options.repeats)


def start(rivals: Sequence[Rival], threads: int, missing: dict[str, str]) -> dict[Rival, Worker]:
    """Workers of those that can be started; of the others, why not."""
    workers: dict[Rival, Worker] = {}
    for rival in rivals:
        usable, reason = available(rival)
        if not usable:
            missing[rival.name] = reason
            continue
        try:
            workers[rival] = Worker(rival, threads)
        except WorkerError as error:
            missing[rival.name] = f"{error}; install again with: {remedy(rival)}"
    return workers


def _cases(
    options: Options, workers: dict[Rival, Worker], lava: bool
) -> tuple[list[CaseResult], dict[str, Case]]:
    """Results in order, and the last case of each network, for what is measured on it apart."""
    results: list[CaseResult] = []
    held: dict[str, Case] = {}
    with tempfile.TemporaryDirectory() as folder:
        for key in options.networks:
            entry = NETWORKS[key]
            images = entry.build().coding == "direct"
            for percent in (None,) if images else options.densities:
                density = None if percent is None else percent / 100
                case = build_case(key, entry, density, max(*options.batches, COUNTED_SAMPLES))
                held.setdefault(key, case)
                _revive(workers, options.threads)
                result = measure_case(
                    case,
                    workers,
                    options.batches,
                    options.repeats,
                    Path(folder),
                    lambda t: print(t, flush=True),
                )
                if lava and 1 in options.batches:
                    result = _with_lava(case, result, options.lava_runs)
                results.append(result)
                print(_progress(result), flush=True)
    return results, held


def _revive(workers: dict[Rival, Worker], threads: int) -> None:
    """Start those workers again that a case has ended; one that does not start stays ended and says so there."""
    for rival, worker in workers.items():
        if not worker.alive:
            worker.close()
            try:
                workers[rival] = Worker(rival, threads)
            except WorkerError as error:
                print(error, flush=True)


def _with_lava(case: Case, result: CaseResult, runs: int) -> CaseResult:
    ours = next(row for row in result.rows if row.simulator == OURS and row.batch == 1)
    assert ours.seconds is not None
    try:
        seconds, agreement = lava_time.measure(case, runs)
    except LavaError as error:
        print(f"{case.key}, {case.label}: {error}", flush=True)
        return replace(result, rows=(*result.rows, lava_row(case, None, ours.seconds, 0, note=str(error))))
    row = lava_row(case, seconds, ours.seconds, result.operations)
    return replace(result, rows=(*result.rows, row), agreements={**result.agreements, LAVA: agreement})


def _progress(result: CaseResult) -> str:
    parts = [
        f"{row.simulator} {row.batch}: {1e6 * row.seconds.median:.1f}" for row in result.rows if row.seconds
    ]
    return f"{result.network}, {result.label} (us a sample and step): {'; '.join(parts)}"


def _packaged() -> bool:
    try:
        version("spikewright")
    except ModuleNotFoundError:  # PackageNotFoundError: run from a checkout that is not installed
        return False
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m spikewright.benchmarks.simulators", description=main.__doc__
    )
    parser.add_argument(
        "--networks", nargs="+", metavar="NAME", help=f"of {', '.join(NETWORKS)}; all by default"
    )
    parser.add_argument(
        "--simulators", nargs="+", metavar="NAME", help=f"of {', '.join(RIVALS)}; all by default"
    )
    parser.add_argument("--batches", nargs="+", type=int, metavar="N", help=f"by default {BATCHES}")
    parser.add_argument(
        "--densities", nargs="+", type=float, metavar="PERCENT", help=f"by default {DENSITIES}"
    )
    parser.add_argument("--repeats", type=int, help=f"rounds of each measurement, by default {REPEATS}")
    parser.add_argument(
        "--threads", type=int, help="of every simulator; by default as many as there are cores"
    )
    parser.add_argument("--rows-only", action="store_true", help="leave out kernel rates, growth and memory")
    parser.add_argument("--quick", action="store_true", help="two networks, rows only: under two minutes")
    parser.add_argument(
        "--out", type=Path, default=Path("docs/performance.md"), help="the page; the plot goes beside it"
    )
    parser.add_argument("--json", type=Path, help="all figures, for programs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
