"""What the server needs of whoever has something to show: a host lets pages in and talks with each. No sockets here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from realtime.viewer.frame_broadcaster import FrameBroadcaster


class PageConnection(Protocol):
    """The way to one page. What waits on it is bounded: a few texts, and one picture, the newest."""

    def tell(self, text: str) -> None:
        """Send a packed message; on the event loop's thread."""
        ...

    def deliver(self, seq: int, picture: bytes) -> None:
        """Send picture `seq`; any thread, returns at once."""
        ...


class PageHandler(Protocol):
    """The talk with one page, on the event loop's thread; every call returns at once."""

    def hear(self, text: str, at_ns: int) -> None:
        """Take a text that came at `at_ns`; raises `PageError`."""
        ...

    def take(self, data: bytes, at_ns: int) -> None:
        """Take bytes that came; raises `PageError`."""
        ...

    def probe(self, at_ns: int) -> None:
        """Say what is to be said again and again; called at the start and every few seconds."""
        ...

    def leave(self) -> None:
        """The page has gone."""
        ...


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What a page fetches. kind: its media type."""

    kind: str
    body: bytes


class PageHost(Protocol):
    """Whoever has something to show."""

    @property
    def page(self) -> str:
        """The file of the page that `/` is."""
        ...

    @property
    def streams(self) -> FrameBroadcaster | None:
        """Where readers of MJPEG are seated; None where there is nothing for them."""
        ...

    def hello(self) -> Mapping[str, object]:
        """What every page is told when it opens."""
        ...

    def enter(self, line: PageConnection) -> PageHandler:
        """A page has opened."""
        ...

    def answer(self, path: str, query: Mapping[str, str]) -> HttpAnswer | None:
        """What a page fetches at a path that is no file, None for nothing; one call at a time, which may take long."""
        ...

    def counts(self) -> Mapping[str, int]:
        """What was passed over, by reason."""
        ...
