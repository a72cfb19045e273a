"""Progress of what takes a while, on a terminal or in a log; on stderr, so that stdout stays the data's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    ProgressColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as RichProgress

Watching = Callable[[float], None]
"""Is told how far something has come."""


@contextmanager
def bar(console: Console, what: str, total: float) -> Iterator[Watching]:
    """A progress bar from 0 to `total`, gone from the terminal's hands however the block ends."""
    columns = (TextColumn(f"{what} {{task.percentage:>3.0f}} %"), BarColumn(40), TimeRemainingColumn())
    with RichProgress(*columns, console=console) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)


class ProgressReporter(Protocol):
    """Is told how far something has come."""

    def line(self, text: str) -> None:
        """Say one line."""
        ...

    def bar(self, done: int, total: int, text: str) -> None:
        """Say how many bytes of how many are there."""
        ...

    def steps(self, done: int, total: int, text: str) -> None:
        """Say how many steps of how many are done."""
        ...


class ProgressTitles:
    """`ProgressReporter` as `engines.load` wants it: called with a line, and told the steps of a long build."""

    def __init__(self, progress: ProgressReporter) -> None:
        self._progress = progress

    def __call__(self, text: str) -> None:
        """Say one line."""
        self._progress.line(text)

    def steps(self, done: int, total: int, text: str) -> None:
        """Say how many steps of how many are done."""
        self._progress.steps(done, total, text)


class QuietProgress:
    """Says nothing."""

    def line(self, text: str) -> None:
        """Say nothing."""

    def bar(self, done: int, total: int, text: str) -> None:
        """Say nothing."""

    def steps(self, done: int, total: int, text: str) -> None:
        """Say nothing."""


class TerminalProgress:
    """Lines, and a bar that is drawn on a terminal and becomes one line at its end elsewhere."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None

    def line(self, text: str) -> None:
        """Say one line."""
        self.console.print(text, markup=False, soft_wrap=True)

    def bar(self, done: int, total: int, text: str) -> None:
        """Draw the bar of bytes anew; a full one is done with."""
        self._draw(done, total, text, (DownloadColumn(), TransferSpeedColumn()))

    def steps(self, done: int, total: int, text: str) -> None:
        """Draw the bar of steps anew; a full one is done with."""
        self._draw(done, total, text, (TaskProgressColumn(), TimeElapsedColumn()))

    def stop(self) -> None:
        """Leave a bar as it is; for who gives up before it is full, and would leave a terminal without its cursor."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _draw(self, done: int, total: int, text: str, figures: tuple[ProgressColumn, ...]) -> None:
        if self._bar is None or self._task is None:
            self._bar = RichProgress(TextColumn("{task.description}"), BarColumn(), *figures, console=self.console)
            self._task = self._bar.add_task(text, total=total)
            self._bar.start()
        self._bar.update(self._task, completed=done, total=total or None, description=text)
        if total and done >= total:
            self._bar.stop()
            self._bar = None
