"""Shows the state of a run on the terminal: a live line for people, or JSON lines for programs."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.segment import ControlType, Segment
from rich.text import Text

from realtime.commands.open_page import open_in_browser, show_address
from realtime.comms.messages import HealthMessage
from realtime.infra.metrics import percentiles
from realtime.infra.output import escape_controls, print_line
from realtime.infra.progress import ProgressReporter, TerminalProgress

LOG_EVERY_S = 5.0
PERCENTILES = ("p50", "p95", "p99")


class JsonView:
    """A view that prints one JSON object a second on stdout, and the page's address on stderr.

    browser: open the page there.
    """

    def __init__(self, browser: bool = False) -> None:
        self.progress: ProgressReporter = TerminalProgress()
        self._browser = browser

    def on_page(self, address: str) -> None:
        """Print the page's address on stderr, because stdout carries health."""
        show_address(address, self.progress)
        if self._browser:
            open_in_browser(address, self.progress)

    def on_ready(self, source: str, endpoint: str) -> None:
        """Do nothing: `health` carries the state."""

    def on_health(self, health: HealthMessage) -> None:
        """Print health as JSON."""
        print_line(format_json_line(health))


class LineView:
    """A view that redraws one line on a terminal; elsewhere it prints at each change of state and every 5 s.

    browser: open the page there.
    """

    def __init__(self, browser: bool = False) -> None:
        self._terminal = TerminalProgress()
        self.progress: ProgressReporter = self._terminal
        self._browser = browser
        self._status = StatusLine()
        self._live: Live | None = None
        self._printed = ("", float("-inf"))  # state and monotonic time of the last line

    def on_page(self, address: str) -> None:
        """Print the page's address."""
        show_address(address, self.progress)
        if self._browser:
            open_in_browser(address, self.progress)

    def on_ready(self, source: str, endpoint: str) -> None:
        """Print the endpoint of the masks and start the live line."""
        self.progress.show_line(f"publishing masks of {source} at {endpoint}; Ctrl-C stops")
        if self._terminal.console.is_interactive:
            self._live = Live(self._status, console=self._terminal.console, auto_refresh=False)
            self._live.start()

    def on_health(self, health: HealthMessage) -> None:
        """Redraw or print the status line."""
        if self._live is not None:
            self._redraw(self._live, health)
            return
        now = time.monotonic()
        if health.state != self._printed[0] or now - self._printed[1] >= LOG_EVERY_S:
            self._printed = health.state, now
            on_terminal = self._terminal.console.is_interactive  # before the start: no rates yet
            self.progress.show_line(describe_state(health) if on_terminal else format_status_line(health))

    def _redraw(self, live: Live, health: HealthMessage) -> None:
        """Redraw the line; a new reason that it has no room for is printed above it, once."""
        self._status.health = health
        state = describe_state(health)
        kind = re.sub(r"\d+", "", state)
        if kind != self._printed[0] and cell_len(state) >= self._terminal.console.width:
            self.progress.show_line(state)
        self._printed = kind, 0.0
        live.refresh()
        if health.state == "stopping":
            live.stop()


class StatusLine:
    """A renderable line that fits the terminal's present width.

    The cursor is left at its start: where a terminal that was made narrower has wrapped the line, the next one then
    erases all of its rows.
    """

    def __init__(self) -> None:
        self.health: HealthMessage | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the control codes and the text."""
        yield Segment("\x1b[J", None, [(ControlType.ERASE_IN_LINE, 0)])  # to the end of the screen
        if self.health is not None:
            line = format_status_line(self.health, options.max_width - 1)  # the last column makes some terminals wrap
            yield Text(line, end="", no_wrap=True)
        yield Segment("\r", None, [(ControlType.CARRIAGE_RETURN,)])


def format_status_line(health: HealthMessage, width: int | None = None) -> str:
    """Format state, rates, gaze-to-mask latency, keyframe age and drops as one line.

    width: the most cells that it may have; what matters least is then left out, and a long reason is cut.
    """
    rates, latency = health.rates, health.latency_ms
    state = describe_state(health)
    frames, gaze, masks = (f"{name} {rates.get(name, 0):.0f}/s" for name in ("frames", "gaze", "masks"))
    keyframes = f"keyframes {rates.get('keyframes', 0):.1f}/s"
    mask_latency = f"gaze to mask {_format_latency(latency.get('gaze_to_mask'), PERCENTILES)}"
    age = f"keyframe age {_format_latency(latency.get('keyframe_age'), PERCENTILES[:1])}"
    dropped = f"dropped {sum(n for name, n in health.dropped.items() if name != 'view.skipped')}"
    line = "  |  ".join((state, "  ".join((frames, gaze, masks, keyframes)), mask_latency, age, dropped))
    if width is None or cell_len(line) <= width:
        return line
    short = Text(state)
    short.truncate(width, overflow="ellipsis")
    line = short.plain
    for part in (masks, mask_latency, frames, age, keyframes, gaze, dropped):
        longer = f"{line} | {part}"
        line = longer if cell_len(longer) <= width else line
    return line


def describe_state(health: HealthMessage) -> str:
    """Describe state and reason on one line, and while `preparing` how far it is."""
    share = "" if health.progress is None else f"{100 * health.progress:.0f} %"
    remaining = "" if health.remaining_s is None else f"about {health.remaining_s:.0f} s left"
    details = ", ".join(filter(None, (health.doing or health.reason, share, remaining)))
    return escape_controls(" ".join((f"{health.state}: {details}" if details else health.state).split()))


def format_json_line(health: HealthMessage) -> str:
    """Format all fields of `health` as one JSON object."""
    return json.dumps(asdict(health), separators=(",", ":"))


def format_percentiles(values_ms: Sequence[float]) -> list[str]:
    """Format p50, p95 and p99 of values, ms; "-" each without values."""
    return [f"{value:.0f}" for value in percentiles(list(values_ms)).values()] if values_ms else ["-"] * 3


def _format_latency(values_ms: Mapping[str, float] | None, names: Sequence[str]) -> str:
    return "/".join(f"{values_ms[name]:.0f}" for name in names) + " ms" if values_ms else "-"
