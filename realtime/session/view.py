"""Defines what a run reports to its user interface."""

from __future__ import annotations

from typing import Protocol

from realtime.comms import HealthMessage
from realtime.infra.progress import ProgressReporter


class RunView(Protocol):
    """Is told of everything that a user may want to see."""

    @property
    def progress(self) -> ProgressReporter:
        """Where progress of the start goes."""
        ...

    def on_page(self, address: str) -> None:
        """Hear where the live page is, before the engine is opened."""
        ...

    def on_ready(self, source: str, endpoint: str) -> None:
        """Hear that masks of `source` are published at `endpoint` from now on."""
        ...

    def on_health(self, health: HealthMessage) -> None:
        """Hear how it is, once a second."""
        ...
