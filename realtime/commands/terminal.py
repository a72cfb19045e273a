"""Shows the state of a run on the terminal: a live line for people, or JSON lines for programs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from rich.live import Live
from rich.text import Text

from realtime.comms.messages import HealthMessage
from realtime.infra.metrics import percentiles
from realtime.infra.progress import ProgressReporter, TerminalProgress

LOG_EVERY_S = 5.0
PERCENTILES = ("p50", "p95", "p99")


class JsonView:
    """A view that prints one JSON object a second on stdout, and the page's address on stderr."""

    def __init__(self) -> None:
        self.progress: ProgressReporter = TerminalProgress()

    def on_page(self, address: str) -> None:
        """Print the page's address on stderr, because stdout carries health."""
        print(f"open {address}", file=sys.stderr, flush=True)

    def on_ready(self, source: str, endpoint: str) -> None:
        """Do nothing: `health` carries the state."""

    def on_health(self, health: HealthMessage) -> None:
        """Print health as JSON."""
        print(format_json_line(health), flush=True)


class LineView:
    """A view that redraws one line on a terminal; elsewhere it prints at each change of state and every 5 s."""

    def __init__(self) -> None:
        self._terminal = TerminalProgress()
        self.progress: ProgressReporter = self._terminal
        self._live: Live | None = None
        self._printed = ("", float("-inf"))  # state and monotonic time of the last line

    def on_page(self, address: str) -> None:
        """Print the page's address."""
        self.progress.show_line(f"open {address}")

    def on_ready(self, source: str, endpoint: str) -> None:
        """Print the endpoint of the masks and start the live line."""
        self.progress.show_line(f"publishing masks of {source} at {endpoint}; Ctrl-C stops")
        if self._terminal.console.is_terminal:
            self._live = Live(console=self._terminal.console, auto_refresh=False)
            self._live.start()

    def on_health(self, health: HealthMessage) -> None:
        """Redraw or print the status line."""
        line, now = format_status_line(health), time.monotonic()
        if self._live is not None:
            self._live.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)
            if health.state == "stopping":
                self._live.stop()
        elif health.state != self._printed[0] or now - self._printed[1] >= LOG_EVERY_S:
            self._printed = health.state, now
            self.progress.show_line(line)


def format_status_line(health: HealthMessage) -> str:
    """Format state, rates, gaze-to-mask latency, keyframe age and drops as one line."""
    rates, latency = health.rates, health.latency_ms
    parts = [
        health.state + (f": {health.reason}" if health.reason else ""),
        f"frames {rates.get('frames', 0):.0f}/s  gaze {rates.get('gaze', 0):.0f}/s  "
        f"masks {rates.get('masks', 0):.0f}/s  keyframes {rates.get('keyframes', 0):.1f}/s",
        f"gaze to mask {_format_latency(latency.get('gaze_to_mask'), PERCENTILES)}",
        f"keyframe age {_format_latency(latency.get('keyframe_age'), PERCENTILES[:1])}",
        f"dropped {sum(n for name, n in health.dropped.items() if name != 'view.skipped')}",
    ]
    return "  |  ".join(parts)


def format_json_line(health: HealthMessage) -> str:
    """Format all fields of `health` as one JSON object."""
    return json.dumps(asdict(health), separators=(",", ":"))


def format_percentiles(values_ms: Sequence[float]) -> list[str]:
    """Format p50, p95 and p99 of values, ms; "-" each without values."""
    return [f"{value:.0f}" for value in percentiles(list(values_ms)).values()] if values_ms else ["-"] * 3


def _format_latency(values_ms: Mapping[str, float] | None, names: Sequence[str]) -> str:
    return "/".join(f"{values_ms[name]:.0f}" for name in names) + " ms" if values_ms else "-"
