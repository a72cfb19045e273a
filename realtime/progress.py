"""Progress of what takes a while, on a terminal or in a log; on stderr, so that stdout stays the data's."""

from __future__ import annotations

from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TransferSpeedColumn
from rich.progress import Progress as RichProgress


class Progress(Protocol):
    """Is told how far something has come."""

    def line(self, text: str) -> None:
        """Say one line."""
        ...

    def bar(self, done: int, total: int, text: str) -> None:
        """Say how many bytes of how many are there."""
        ...


class Quiet:
    """Says nothing."""

    def line(self, text: str) -> None:
        """Say nothing."""

    def bar(self, done: int, total: int, text: str) -> None:
        """Say nothing."""


class Terminal:
    """Lines, and a bar of bytes that is drawn on a terminal and becomes one line at its end elsewhere."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None

    def line(self, text: str) -> None:
        """Say one line."""
        self.console.print(text, markup=False, soft_wrap=True)

    def bar(self, done: int, total: int, text: str) -> None:
        """Draw the bar anew; a full one is done with."""
        if self._bar is None or self._task is None:
            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
            self._bar = RichProgress(*columns, console=self.console)
            self._task = self._bar.add_task(text, total=total)
            self._bar.start()
        self._bar.update(self._task, completed=done, total=total or None, description=text)
        if total and done >= total:
            self._bar.stop()
            self._bar = None
