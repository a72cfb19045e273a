"""What `gazecast run` says while it runs: a live line for a person, or JSON lines for a program."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict

from rich.live import Live
from rich.text import Text

from realtime.comms import HealthMessage
from realtime.infra.progress import ProgressReporter, TerminalProgress

LOG_EVERY_S = 5.0


class JsonView:
    """One JSON object a second on stdout; progress on stderr."""

    def __init__(self) -> None:
        self.progress: ProgressReporter = TerminalProgress()

    def on_page(self, address: str) -> None:
        """Say it on stderr: stdout is for health."""
        print(f"open {address}", file=sys.stderr, flush=True)

    def on_ready(self, source: str, endpoint: str) -> None:
        """Say nothing: `health` does."""

    def on_health(self, health: HealthMessage) -> None:
        """Print it."""
        print(json_line(health), flush=True)


class LineView:
    """A line that is drawn over itself on a terminal; elsewhere a line at every change of state and every 5 s."""

    def __init__(self) -> None:
        self._terminal = TerminalProgress()
        self.progress: ProgressReporter = self._terminal
        self._live: Live | None = None
        self._said = ("", float("-inf"))

    def on_page(self, address: str) -> None:
        """Say what to open."""
        self.progress.show_line(f"open {address}")

    def on_ready(self, source: str, endpoint: str) -> None:
        """Say where to listen."""
        self.progress.show_line(f"publishing masks of {source} at {endpoint}; Ctrl-C stops")
        if self._terminal.console.is_terminal:
            self._live = Live(console=self._terminal.console, auto_refresh=False)
            self._live.start()

    def on_health(self, health: HealthMessage) -> None:
        """Draw or print the line."""
        line, now = status_line(health), time.monotonic()
        if self._live is not None:
            self._live.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)
            if health.state == "stopping":
                self._live.stop()
        elif health.state != self._said[0] or now - self._said[1] >= LOG_EVERY_S:
            self._said = health.state, now
            self.progress.show_line(line)


def status_line(health: HealthMessage) -> str:
    """One line: state, rates, gaze to mask, keyframe age, drops."""
    rates, latency = health.rates, health.latency_ms
    parts = [
        health.state + (f": {health.reason}" if health.reason else ""),
        f"frames {rates.get('frames', 0):.0f}/s  gaze {rates.get('gaze', 0):.0f}/s  "
        f"masks {rates.get('masks', 0):.0f}/s  keyframes {rates.get('keyframes', 0):.1f}/s",
        f"gaze to mask {_percentiles(latency.get('gaze_to_mask'))}",
        f"keyframe age {_p50(latency.get('keyframe_age'))}",
        f"dropped {sum(n for name, n in health.dropped.items() if name != 'view.skipped')}",
    ]
    return "  |  ".join(parts)


def json_line(health: HealthMessage) -> str:
    """One JSON object with everything that `health` publishes."""
    return json.dumps(asdict(health), separators=(",", ":"))


def _percentiles(values: dict[str, float] | None) -> str:
    if not values:
        return "-"
    return "/".join(f"{values[p]:.0f}" for p in ("p50", "p95", "p99")) + " ms"


def _p50(values: dict[str, float] | None) -> str:
    return f"{values['p50']:.0f} ms" if values else "-"
