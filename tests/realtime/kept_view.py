"""A user interface of a run that keeps what it is told, for tests."""

from __future__ import annotations

from realtime.infra.progress import ProgressReporter


class KeptView:
    """Keeps the lines of a run, the address of its page and the endpoint of its masks."""

    def __init__(self) -> None:
        self.progress, self.address, self.endpoint = ProgressReporter(), "", ""
        self.lines: list[str] = []
        self.progress.show_line = self.lines.append  # type: ignore[method-assign]

    def on_page(self, address: str) -> None:
        """Keep the page's address."""
        self.address = address

    def on_ready(self, source: str, endpoint: str) -> None:
        """Keep the endpoint."""
        self.endpoint = endpoint

    def on_health(self, health: object) -> None:
        """Keep nothing of it."""
