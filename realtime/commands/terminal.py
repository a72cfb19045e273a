"""What `gazecast run` says while it runs: a live line for a person, or JSON lines for a program."""

from __future__ import annotations

import sys
import time
from typing import Protocol

from rich.live import Live
from rich.text import Text

from realtime.comms import HealthMessage
from realtime.infra import machine
from realtime.infra.progress import Progress, Quiet, Terminal

LOG_EVERY_S = 5.0


class View(Protocol):
    """Is told of everything that a user may want to see."""

    @property
    def progress(self) -> Progress:
        """Where progress of the start goes."""
        ...

    def page(self, address: str) -> None:
        """Hear where the live page is, before the engine is opened."""
        ...

    def ready(self, source: str, endpoint: str) -> None:
        """Hear that masks of `source` are published at `endpoint` from now on."""
        ...

    def health(self, health: HealthMessage) -> None:
        """Hear how it is, once a second."""
        ...


class JsonView:
    """One JSON object a second on stdout; progress on stderr."""

    def __init__(self) -> None:
        self.progress: Progress = Quiet()

    def page(self, address: str) -> None:
        """Say it on stderr: stdout is for health."""
        print(f"open {address}", file=sys.stderr, flush=True)

    def ready(self, source: str, endpoint: str) -> None:
        """Say nothing: `health` does."""

    def health(self, health: HealthMessage) -> None:
        """Print it."""
        print(machine.json_line(health), flush=True)


class LineView:
    """A line that is drawn over itself on a terminal; elsewhere a line at every change of state and every 5 s."""

    def __init__(self) -> None:
        self._terminal = Terminal()
        self.progress: Progress = self._terminal
        self._live: Live | None = None
        self._said = ("", float("-inf"))

    def page(self, address: str) -> None:
        """Say what to open."""
        self.progress.line(f"open {address}")

    def ready(self, source: str, endpoint: str) -> None:
        """Say where to listen."""
        self.progress.line(f"publishing masks of {source} at {endpoint}; Ctrl-C stops")
        if self._terminal.console.is_terminal:
            self._live = Live(console=self._terminal.console, auto_refresh=False)
            self._live.start()

    def health(self, health: HealthMessage) -> None:
        """Draw or print the line."""
        line, now = machine.line(health), time.monotonic()
        if self._live is not None:
            self._live.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)
            if health.state == "stopping":
                self._live.stop()
        elif health.state != self._said[0] or now - self._said[1] >= LOG_EVERY_S:
            self._said = health.state, now
            self.progress.line(line)
