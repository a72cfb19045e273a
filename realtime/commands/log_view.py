"""Shows the state of a run in the log, for runs that nobody watches."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from realtime.commands.terminal import JsonView, LineView, describe_state, format_json_line
from realtime.comms.messages import HealthMessage
from realtime.infra.event_log import UNLIMITED, log
from realtime.infra.output import print_line
from realtime.infra.progress import ProgressReporter
from realtime.session.view import RunView

STATE_S = 1.0
"""Least time between two lines about the state."""


class LogProgress(ProgressReporter):
    """A progress reporter that writes into the log."""

    def show_line(self, text: str) -> None:
        """Log one line of text."""
        log.info("%s", text)

    def show_bytes(self, done: int, total: int, text: str) -> None:
        """Log how many of `total` bytes have arrived."""
        log.info("%s: %.1f of %.1f MB", text, done / 1e6, total / 1e6)

    def show_steps(self, done: int, total: int, text: str) -> None:
        """Log how many of `total` steps are complete."""
        log.info("%s: %d of %d", text, done, total)


class LogView:
    """A view that logs each change of state, as a warning where it is `degraded`.

    prints_health: also print `health` as JSON on stdout, once a second.
    """

    def __init__(self, *, prints_health: bool = False, clock_s: Callable[[], float] = time.monotonic) -> None:
        self.progress: ProgressReporter = LogProgress()
        self._prints_health, self._clock_s = prints_health, clock_s
        self._logged = ("", "")
        self._logged_s = float("-inf")

    def on_page(self, address: str) -> None:
        """Log the page's address, without its token."""
        log.info("the page is at %s", address)

    def on_ready(self, source: str, endpoint: str) -> None:
        """Log the endpoint of the masks."""
        log.info("publishing masks of %s at %s", source, endpoint)

    def on_health(self, health: HealthMessage) -> None:
        """Log the state when it is new, and print it all where that is wanted."""
        if self._prints_health:
            print_line(format_json_line(health))
        state, now_s = (health.state, health.reason), self._clock_s()
        if state != self._logged and (now_s - self._logged_s >= STATE_S or health.state == "stopping"):
            self._logged, self._logged_s = state, now_s
            level = logging.WARNING if health.state == "degraded" else logging.INFO
            log.log(level, "%s", describe_state(health), extra=UNLIMITED)


def choose_view(log_format: str, *, as_json: bool, browser: bool = False) -> RunView:
    """Make the view that the flags choose. browser: open the page there."""
    if log_format == "json":
        return LogView(prints_health=as_json)
    return JsonView(browser) if as_json else LineView(browser)
