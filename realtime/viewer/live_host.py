"""Connects live pages to the frame broadcaster, the page input and the recording."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from realtime.errors import PageError
from realtime.pipeline.control import UserCommand
from realtime.viewer.frame_broadcaster import FrameBroadcaster, FrameRequest, LiveClient
from realtime.viewer.interfaces import HttpResponse, PageConnection
from realtime.viewer.page_input import PageClient, PageInput
from realtime.viewer.page_messages import (
    ClockSync,
    FrameAck,
    LabelChange,
    PageGaze,
    PageSourceChange,
    SeekRequest,
    UndoRequest,
    ViewRequest,
    read_page_frame,
    read_text,
)

LabelHandler = Callable[[LabelChange | UndoRequest], None]


class LiveHost:
    """A host of live pages, see `PageHost`."""

    index_file = "index.html"

    def __init__(
        self,
        broadcaster: FrameBroadcaster,
        page_input: PageInput,
        hello: Mapping[str, object],
        opening_messages: Callable[[], Iterable[str]] = tuple,
        change_label: LabelHandler = lambda request: None,
    ) -> None:
        """hello: fields of the first message, read at each connection. opening_messages: packed, sent after it.

        change_label: called with label changes of pages; raises `PageError`.
        """
        self.broadcaster, self._input, self._hello = broadcaster, page_input, hello
        self._opening_messages, self._change_label = opening_messages, change_label

    def hello_fields(self) -> Mapping[str, object]:
        """Return the stream's description and the verbs that can be used."""
        return self._hello

    def on_connect(self, connection: PageConnection) -> LiveHandler:
        """Send a page the current state and return its handler."""
        for text in self._opening_messages():
            connection.send_text(text)
        return LiveHandler(connection, self.broadcaster, self._input, self._change_label)

    def respond(self, path: str, query: Mapping[str, str]) -> HttpResponse | None:
        """Return None: a live page has no resources beside its files."""
        return None

    def drop_counts(self) -> Mapping[str, int]:
        """Count page input that was refused, by reason."""
        return dict(self._input.dropped)


class LiveHandler:
    """A handler that passes a live page's messages to the frame broadcaster or the page input."""

    def __init__(
        self,
        connection: PageConnection,
        broadcaster: FrameBroadcaster,
        page_input: PageInput,
        change_label: LabelHandler,
    ) -> None:
        self._connection, self._broadcaster, self._input = connection, broadcaster, page_input
        self._change_label = change_label
        self._client: LiveClient | None = None
        self._page = PageClient(connection.send_text)
        page_input.connect(self._page)

    def on_text(self, text: str, received_ns: int) -> None:
        """Handle a text message; raises `PageError`."""
        match read_text(text):
            case ViewRequest(kind):
                if self._client is None:
                    self._client = self._broadcaster.connect(FrameRequest(kind), self._connection.send_frame)
                else:
                    self._broadcaster.change_request(self._client, FrameRequest(kind))
            case FrameAck(seq):
                if self._client is not None:
                    self._broadcaster.acknowledge(self._client, seq)
            case ClockSync() as sync:
                self._page.on_clock(sync, received_ns)
            case PageSourceChange() as change:
                self._input.change_source(self._page, change)
            case PageGaze() as gaze:
                self._input.add_gaze(self._page, gaze, received_ns)
            case UserCommand() as command:
                self._input.add_command(command)
            case LabelChange() | UndoRequest() as request:
                self._change_label(request)
            case SeekRequest():
                raise PageError("this page is live; it cannot seek")

    def on_binary(self, data: bytes, received_ns: int) -> None:
        """Handle a frame of the page's camera; raises `PageError`."""
        self._input.add_frame(self._page, read_page_frame(data), received_ns)

    def on_interval(self, now_ns: int) -> None:
        """Ask the page for the time of its clock."""
        self._page.request_clock(now_ns)

    def on_close(self) -> None:
        """Remove the page as a viewer and as a source."""
        if self._client is not None:
            self._broadcaster.remove(self._client)
        self._input.disconnect(self._page)
