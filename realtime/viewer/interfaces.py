"""Defines what the server needs of a page host: it accepts connections and handles their messages. No sockets here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from realtime.viewer.frame_broadcaster import FrameBroadcaster

SendText = Callable[[str], None]
"""Sends a packed message to a page; on the event loop's thread. A few texts wait, in order."""
SendFrame = Callable[[int, bytes], None]
"""Sends packed frame `seq` to a page; any thread, returns at once. Only the newest waits."""


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

    index_file: str
    """The file of the page that `/` serves."""

    @property
    def broadcaster(self) -> FrameBroadcaster | None:
        """The source of MJPEG streams; None where there are none."""

    def hello_fields(self) -> Mapping[str, object]:
        """Return the fields of `hello`, the first message to every page."""

    def on_connect(self, send_text: SendText, send_frame: SendFrame) -> PageHandler:
        """Return the handler of a page that has connected."""

    def respond(self, path: str, query: Mapping[str, str]) -> HttpResponse | None:
        """Return the resource at a path that is no file, None for an unknown one; raises `PageError`.

        One call at a time, on a thread where it may take long.
        """
