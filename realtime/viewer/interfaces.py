"""Defines what the server needs of a page host: it accepts connections and handles their messages. No sockets here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from realtime.viewer.frame_broadcaster import FrameBroadcaster


class PageConnection(Protocol):
    """A connection to one page; its send queue is bounded to a few texts and one frame, the newest."""

    def send_text(self, text: str) -> None:
        """Send a packed message; on the event loop's thread."""

    def send_frame(self, seq: int, data: bytes) -> None:
        """Send packed frame `seq`; any thread, returns at once."""


class PageHandler(Protocol):
    """A handler of one page's messages, on the event loop's thread; every call returns at once."""

    def on_text(self, text: str, received_ns: int) -> None:
        """Handle a text message; raises `PageError`."""

    def on_binary(self, data: bytes, received_ns: int) -> None:
        """Handle a binary message; raises `PageError`."""

    def on_interval(self, now_ns: int) -> None:
        """Send periodic requests; called at the start and every few seconds."""

    def on_close(self) -> None:
        """Release what the page held, after its connection has closed."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A body with its media type that a page fetches."""

    content_type: str
    body: bytes


class PageHost(Protocol):
    """A provider of one page's content: its first messages, the handlers of its connections, extra resources."""

    @property
    def index_file(self) -> str:
        """Name the file of the page that `/` serves."""

    @property
    def broadcaster(self) -> FrameBroadcaster | None:
        """Return the source of MJPEG streams; None where there are none."""

    def hello_fields(self) -> Mapping[str, object]:
        """Return the fields of `hello`, the first message to every page."""

    def on_connect(self, connection: PageConnection) -> PageHandler:
        """Return the handler of a page that has connected."""

    def respond(self, path: str, query: Mapping[str, str]) -> HttpResponse | None:
        """Return the resource at a path that is no file, None for an unknown one; raises `PageError`.

        One call at a time, on a thread where it may take long.
        """

    def drop_counts(self) -> Mapping[str, int]:
        """Count what was dropped, by reason."""
