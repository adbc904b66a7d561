"""Steps with their time and a progress bar, on standard error; results go to standard output."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class Step:
    """One step under way."""

    def __init__(self, bar: Progress | None, title: str) -> None:
        self._bar = bar
        self._task = None if bar is None else bar.add_task("", total=None, title=title)

    def update(self, done: int, of: int) -> None:
        """How far it is."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=of)

    def say(self, text: str) -> None:
        """A figure to show beside the bar."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=text)


class Steps:
    """Shows steps as they run and keeps their times.

    Attributes
    ----------
    seconds : dict of str to float
        Wall time of each finished step.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self.seconds: dict[str, float] = {}

    @classmethod
    def silent(cls) -> Steps:
        """Steps that nobody watches."""
        return cls(Console(quiet=True))

    @contextmanager
    def __call__(self, title: str) -> Iterator[Step]:
        """Run a step."""
        began = time.perf_counter()
        if self.console.is_terminal:
            columns = (
                TextColumn("  {task.fields[title]}"),
                BarColumn(24),
                TextColumn("{task.description}"),
                TimeRemainingColumn(),
            )
            with Progress(*columns, console=self.console, transient=True) as bar:
                yield Step(bar, title)
        else:
            yield Step(None, title)
        self.seconds[title] = time.perf_counter() - began
        self.console.print(f"  [green]done[/] {title} [dim]{self.seconds[title]:.1f} s[/]", highlight=False)

    def line(self, text: str) -> None:
        """A line that a log keeps where no bar is shown."""
        self.console.print(f"  [dim]{escape(text)}[/]", highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """A line of its own, for what must not be overlooked."""
        self.console.print(f"  [yellow]note[/] {escape(text)}", highlight=False, soft_wrap=True)
