"""Defines what a run reports to its user interface."""

from __future__ import annotations

from typing import Protocol

from realtime.comms.messages import HealthMessage
from realtime.infra.progress import ProgressReporter


class RunView(Protocol):
    """A user interface of a run."""

    @property
    def progress(self) -> ProgressReporter:
        """The receiver of progress during the start."""

    def on_page(self, address: str) -> None:
        """Receive the address of the live page, before the engine is opened."""

    def on_ready(self, source: str, endpoint: str) -> None:
        """Learn that masks of `source` are published at `endpoint` from now on."""

    def on_health(self, health: HealthMessage) -> None:
        """Receive the state of the run, once a second and when it changes; on the health thread."""
