"""Defines what the server needs of a page host: it accepts connections and handles their messages. No sockets here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from realtime.errors import PageError
from realtime.viewer.frame_broadcaster import FrameBroadcaster
from realtime.viewer.whip_endpoint import OfferReceiver

SendText = Callable[[str], None]
"""Sends a packed message to a page; on the event loop's thread. A few texts wait, in order."""
SendFrame = Callable[[int, bytes], None]
"""Sends packed frame `seq` to a page; any thread, returns at once. Only the newest waits."""


class PageHandler(ABC):
    """A handler of one page's messages, on the event loop's thread; every call returns at once."""

    @abstractmethod
    def on_text(self, text: str, received_ns: int) -> None:
        """Handle a text message; raises `PageError`."""

    def on_binary(self, data: bytes, received_ns: int) -> None:
        """Handle a binary message; raises `PageError`, as does a page that sends none."""
        raise PageError(f"{len(data)} bytes; this page sends none")

    def on_interval(self, now_ns: int) -> None:  # noqa: B027
        """Send periodic requests; called at the start and every few seconds."""

    @abstractmethod
    def on_close(self) -> None:
        """Release what the page held, after its connection has closed."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A body with its media type that a page fetches."""

    content_type: str
    body: bytes


class PageHost(ABC):
    """A provider of one page's content: its first messages, the handlers of its connections, extra resources."""

    index_file = "index.html"
    """The file of the page that `/` serves."""
    broadcaster: FrameBroadcaster | None = None
    """The source of MJPEG streams; None where there are none."""
    whip: OfferReceiver | None = None
    """The receiver of wearers that connect over WebRTC; None where there is none."""

    @abstractmethod
    def on_connect(self, send_text: SendText, send_frame: SendFrame) -> PageHandler:
        """Send a page that has connected its first messages, and return its handler."""

    def find_host(self, folder: str) -> PageHost | None:
        """Return the host of the page in a folder, None for an unknown one; on the thread of `respond`.

        Raises `PageError` where it cannot be opened.
        """
        return None

    def respond(self, path: str, query: Mapping[str, str]) -> HttpResponse | None:
        """Return the resource at a path that is no file, None for an unknown one; raises `PageError`.

        One call at a time, on a thread where it may take long.
        """
        return None
