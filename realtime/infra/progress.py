"""Reports the progress of long operations on a terminal or in a log; on stderr, because stdout carries data."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

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

from realtime.infra.output import escape_controls, redact_passwords

ProgressCallback = Callable[[float], None]
"""Receives the completed part of an operation, 0 to its total."""


@contextmanager
def show_bar(console: Console, label: str, total: float) -> Iterator[ProgressCallback]:
    """Show a progress bar from 0 to `total` until the block ends, also by an exception."""
    columns = (TextColumn(f"{label} {{task.percentage:>3.0f}} %"), BarColumn(40), TimeRemainingColumn())
    with RichProgress(*columns, console=console) as progress:
        task = progress.add_task(label, total=total)
        yield lambda done: progress.update(task, completed=done)


class ProgressReporter:
    """A receiver of progress lines, downloaded bytes and completed steps; shows nothing until it is overridden."""

    def show_line(self, text: str) -> None:
        """Show one line of text."""

    def show_bytes(self, done: int, total: int, text: str) -> None:
        """Show how many of `total` bytes have arrived."""

    def show_steps(self, done: int, total: int, text: str) -> None:
        """Show how many of `total` steps are complete."""


class EngineProgress:
    """An adapter from a `ProgressReporter` to the `report` parameter of `engines.load`."""

    def __init__(self, progress: ProgressReporter) -> None:
        self._progress = progress

    def __call__(self, text: str) -> None:
        """Show one line of text."""
        self._progress.show_line(text)

    def steps(self, done: int, total: int, text: str) -> None:
        """Show how many of `total` steps of a long build are complete."""
        self._progress.show_steps(done, total, text)


@dataclass(frozen=True, slots=True)
class PreparationStep:
    """Holds the present step of a preparation: what is being done, the completed share 0..1, and the seconds left.

    progress and remaining_s are None where they cannot be known.
    """

    doing: str = ""
    progress: float | None = None
    remaining_s: float | None = None


class ObservedProgress(ProgressReporter):
    """A progress reporter that also keeps the present step, for `health`. Its `step` is read from any thread."""

    def __init__(self, inside: ProgressReporter, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._inside, self._clock_s = inside, clock_s
        self._begun_s = clock_s()
        self.step = PreparationStep()

    def show_line(self, text: str) -> None:
        """Show one line of text, which is the present step."""
        self.step = PreparationStep(text)
        self._inside.show_line(text)

    def show_bytes(self, done: int, total: int, text: str) -> None:
        """Show how many of `total` bytes have arrived."""
        self._observe(done, total, text)
        self._inside.show_bytes(done, total, text)

    def show_steps(self, done: int, total: int, text: str) -> None:
        """Show how many of `total` steps are complete."""
        self._observe(done, total, text)
        self._inside.show_steps(done, total, text)

    def _observe(self, done: int, total: int, text: str) -> None:
        now_s = self._clock_s()
        if text != self.step.doing:
            self._begun_s = now_s
        if total <= 0:
            self.step = PreparationStep(text)
            return
        elapsed_s = now_s - self._begun_s
        remaining_s = elapsed_s * (total - done) / done if done > 0 and elapsed_s > 0 else None
        self.step = PreparationStep(text, min(1.0, done / total), remaining_s)


class TerminalProgress(ProgressReporter):
    """A progress reporter with lines and a bar; without a terminal the bar becomes one line at its end."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None

    def show_line(self, text: str) -> None:
        """Show one line of text."""
        self.console.print(escape_controls(redact_passwords(text)), markup=False, soft_wrap=True)

    def show_bytes(self, done: int, total: int, text: str) -> None:
        """Redraw the bar of bytes; a full one is closed."""
        self._draw(done, total, escape_controls(text), (DownloadColumn(), TransferSpeedColumn()))

    def show_steps(self, done: int, total: int, text: str) -> None:
        """Redraw the bar of steps; a full one is closed."""
        self._draw(done, total, escape_controls(text), (TaskProgressColumn(), TimeElapsedColumn()))

    def stop(self) -> None:
        """Close an unfinished bar, which restores the terminal's cursor."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _draw(self, done: int, total: int, text: str, figures: tuple[ProgressColumn, ...]) -> None:
        if self._bar is None or self._task is None:
            name = TextColumn("{task.description}", markup=False)
            self._bar = RichProgress(name, BarColumn(), *figures, console=self.console)
            self._task = self._bar.add_task(text, total=total)
            self._bar.start()
        self._bar.update(self._task, completed=done, total=total or None, description=text)
        if total and done >= total:
            self.stop()
