"""Times of all simulators on one case, taken in turns so that whatever drifts meets them all alike."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from ...hardware.emulator import Emulator
from .agreement import COUNTED_SAMPLES, against_reference, of_counts
from .case import Case, activity
from .client import Worker, WorkerError
from .results import CaseResult, Row, Spread
from .rivals import LAVA, OURS, Rival
from .workers.network import save

#: Shortest time to measure: faster runs are repeated until they take as long together.
LEAST_SECONDS = 0.05
MOST_TIMES = 200
#: Between two simulators' turns, for threads of the last one to fall asleep.
PAUSE = 0.005


class Runner(Protocol):
    """A simulator that holds a case."""

    def run(self, batch: int, times: int = 1) -> tuple[float, float]:
        """Wall and processor seconds of a run, the mean of some in a row."""


class OurRunner:
    """The emulator, in this process."""

    def __init__(self, case: Case) -> None:
        self.emulator, self.inputs = Emulator(case.program), case.inputs

    def run(self, batch: int, times: int = 1) -> tuple[float, float]:
        """Wall and processor seconds of a run."""
        inputs = self.inputs.select(slice(0, batch))
        began, busy = time.perf_counter(), time.process_time()
        for _ in range(times):
            self.emulator.run(inputs)
        return (time.perf_counter() - began) / times, (time.process_time() - busy) / times


def in_turns(
    runners: Mapping[str, Runner], batch: int, repeats: int, failed: Callable[[str, str], None]
) -> dict[str, list[tuple[float, float]]]:
    """Wall and processor seconds of each round, by simulator; one that fails is left out from there on.

    Each is warmed up first and then measured once a round, in an order that rotates.
    """
    times: dict[str, int] = {}
    for name, runner in runners.items():
        try:
            runner.run(batch)
            seconds = max(runner.run(batch)[0], 1e-7)
        except WorkerError as error:
            failed(name, str(error))
            continue
        times[name] = min(MOST_TIMES, max(1, math.ceil(LEAST_SECONDS / seconds)))
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in times}
    names = list(times)
    for round_ in range(repeats):
        first = round_ % max(1, len(names))
        for name in names[first:] + names[:first]:
            if name not in found:
                continue
            time.sleep(PAUSE)
            try:
                found[name].append(runners[name].run(batch, times[name]))
            except WorkerError as error:
                failed(name, str(error))
                del found[name]
    return found


def measure_case(
    case: Case,
    workers: Mapping[Rival, Worker],
    batches: Sequence[int],
    repeats: int,
    folder: Path,
    say: Callable[[str], None] = lambda text: None,
) -> CaseResult:
    """Every simulator but Lava on one case.

    Parameters
    ----------
    workers : mapping
        Those to run beside the emulator.
    folder : Path
        Where the network's file goes for them to read.
    say : callable
        Told what goes wrong.
    """
    ours = OurRunner(case)
    counted = ours.emulator.run(case.inputs)
    does = activity(case, counted)
    agreements = {"reference": against_reference(case)}
    runners: dict[str, Runner] = {OURS: ours}
    notes: dict[str, str] = {}
    most: dict[str, int | None] = {OURS: None}

    def failed(name: str, reason: str) -> None:
        notes[name] = reason
        say(f"{case.key}, {case.label}: {reason}")

    file = folder / f"{case.key}.npz"
    save(file, case.network, case.samples)
    for rival, worker in workers.items():
        refusal = rival.refuses(case.network)
        if refusal:
            notes[rival.name] = refusal
            continue
        try:
            worker.load(file)
            counts = worker.counts(min(COUNTED_SAMPLES, len(case.samples), rival.most or COUNTED_SAMPLES))
            agreements[rival.name] = of_counts(case, counted, counts)
        except (WorkerError, ValueError) as error:
            failed(rival.name, str(error))
            continue
        runners[rival.name], most[rival.name] = worker, rival.most
    rows = []
    for batch in batches:
        able = {n: r for n, r in runners.items() if n not in notes and (most[n] or batch) >= batch}
        rows += _rows(case, batch, in_turns(able, batch, repeats, failed), does.operations)
    rows += [_row(case, 0, name, note=note) for name, note in notes.items()]
    return CaseResult(
        case.key,
        case.title,
        case.label,
        case.network.neurons,
        case.network.steps,
        does.rates,
        does.operations,
        tuple(rows),
        agreements,
    )


def _rows(
    case: Case, batch: int, found: Mapping[str, list[tuple[float, float]]], operations: float
) -> list[Row]:
    unit = 1 / (batch * case.network.steps)
    ours = [wall for wall, _ in found[OURS]]
    rows = []
    for name, rounds in found.items():
        if not rounds:
            continue
        walls = [wall for wall, _ in rounds]
        seconds = Spread.of(walls).times(unit)
        rows.append(
            Row(
                case.key,
                case.title,
                case.label,
                batch,
                name,
                seconds,
                Spread.of([theirs / mine for theirs, mine in zip(walls, ours, strict=True)]),
                operations / seconds.median,
                sum(busy for _, busy in rounds) / sum(walls),
            )
        )
    return rows


def _row(case: Case, batch: int, name: str, note: str) -> Row:
    return Row(case.key, case.title, case.label, batch, name, None, note=note)


def lava_row(case: Case, seconds: Spread | None, ours: Spread, operations: float, note: str = "") -> Row:
    """Lava's row at batch 1, against the emulator's of the same run; without seconds, why there are none."""
    if seconds is None:
        return Row(case.key, case.title, case.label, 1, LAVA, None, note=note)
    ratio = Spread(seconds.median / ours.median, seconds.low / ours.high, seconds.high / ours.low)
    return Row(case.key, case.title, case.label, 1, LAVA, seconds, ratio, operations / seconds.median, None)
