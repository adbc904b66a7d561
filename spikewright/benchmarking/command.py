"""What ``spikewright benchmark`` does: measure what is due, write the page, say what came of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ..benchmarks.overview.schema import Overview
from ..benchmarks.report.units import seconds
from .runs import Unit, Watcher, finished, run_units
from .writing import PAGE, entries_of, overview_of, write_overview
from .zoo import chosen, models

#: Measured first, since they take longest: the last of a run then leaves no core idle for long.
LONGEST = ("sddpm-mnist", "spiking-diffusion-mnist", "spiking-physformer-synthetic")


def run_benchmark(
    wanted: Sequence[str], folder: Path, *, jobs: int, anew: bool, full: bool, lava: bool
) -> bool:
    """Measure, write the page and print its verdicts.

    Returns
    -------
    bool
        Whether everything that has weights was measured, and no check of it failed.

    Raises
    ------
    BuildError
        An unknown model, a folder in which another benchmark is at work, or a page that cannot be written.
    """
    began = time.monotonic()
    console, every = Console(stderr=True), models(full, lava, folder)
    units = [model.unit for model in chosen(every, list(wanted)) if model.unit is not None]
    units.sort(key=lambda unit: LONGEST.index(unit.name) if unit.name in LONGEST else len(LONGEST))
    kept = [unit.name for unit in units if not anew and finished(folder, unit)]
    if kept:
        console.print(f"  [green]kept[/] {escape(', '.join(kept))}", highlight=False, soft_wrap=True)
    shown = Shown(console, len(units) - len(kept))
    with shown:
        run_units(units, folder, jobs, shown, anew=anew)
    overview = overview_of(entries_of(every, folder, full=full, lava=lava), folder, full=full, lava=lava)
    write_overview(overview, folder)
    _say(overview, folder, time.monotonic() - began)
    return _passed(overview, list(wanted))


class Shown(Watcher):
    """Progress on standard error: bars on a terminal, else a line when a model begins and one when it ends."""

    def __init__(self, console: Console, total: int) -> None:
        self.console, self.total, self.done = console, total, 0
        self._bar: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Shown:
        if self.console.is_terminal and self.total:
            columns = (TextColumn("  {task.description}"), BarColumn(16), TimeElapsedColumn())
            self._bar = Progress(*columns, console=self.console, transient=True)
            self._bar.start()
            self._tasks[""] = self._bar.add_task("all models", total=self.total)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def began(self, unit: Unit) -> None:
        """A bar or a line."""
        if self._bar is not None:
            self._tasks[unit.name] = self._bar.add_task(unit.name, total=None)
        else:
            self.console.print(f"  [dim]begin[/] {unit.name}", highlight=False)

    def going(self, unit: Unit, step: str) -> None:
        """What it last finished."""
        if self._bar is not None:
            words = escape(f"{unit.name}: {step[:60]}" if step else unit.name)
            self._bar.update(self._tasks[unit.name], description=words)

    def ended(self, unit: Unit, result: Mapping[str, Any], seconds_: float) -> None:
        """How it ended and how many are left."""
        self.done += 1
        if self._bar is not None:
            self._bar.remove_task(self._tasks.pop(unit.name))
            self._bar.update(self._tasks[""], completed=self.done)
        good = result["status"] == "done"
        word = "[green]done[/]" if good else "[red]failed[/]"
        why = "" if good else f": {escape(str(result['words']))}"
        self.console.print(
            f"  {word} {unit.name} [dim]{seconds(seconds_)}, {self.done} of {self.total}[/]{why}",
            highlight=False, soft_wrap=True,
        )  # fmt: skip


def _passed(overview: Overview, wanted: list[str]) -> bool:
    due = [entry for entry in overview.models if not wanted or entry.name in wanted]
    if any(entry.status in ("failed", "not run") for entry in due):
        return False
    results = [entry.result for entry in due if entry.result is not None]
    return not any(check.outcome == "differs" for result in results for check in result.checks)


def _say(overview: Overview, folder: Path, took: float) -> None:
    console, counts = Console(), overview.summary
    for entry in overview.models:
        if entry.result is None:
            console.print(
                f"{entry.name}: {entry.status}. {entry.words}", markup=False, highlight=False, soft_wrap=True
            )
            continue
        answers = entry.result.answers
        words = f"same answer {answers.same.status}, fits {answers.fits.status}, less than the ANN {answers.cost.status}"
        console.print(
            f"{entry.name}: {words}. {entry.result.headline.words}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    console.print(counts.words, markup=False, highlight=False, soft_wrap=True)
    console.print(
        f"{counts.done} of {counts.models} models measured in {seconds(took)}: {folder / PAGE}", markup=False, highlight=False, soft_wrap=True
    )  # fmt: skip
