"""Handles the messages of one live page."""

from __future__ import annotations

from collections.abc import Callable

from realtime.errors import PageError
from realtime.pipeline.control import UserCommand
from realtime.viewer.frame_broadcaster import FrameBroadcaster, FrameRequest
from realtime.viewer.interfaces import PageHandler, SendFrame, SendText
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


class LiveHandler(PageHandler):
    """A handler that passes a live page's messages to the frame broadcaster or the page input."""

    def __init__(
        self,
        send_text: SendText,
        send_frame: SendFrame,
        broadcaster: FrameBroadcaster,
        page_input: PageInput,
        change_label: Callable[[LabelChange | UndoRequest], None],
    ) -> None:
        """change_label: called with label changes of the page; raises `PageError`."""
        self._broadcaster, self._input, self._change_label = broadcaster, page_input, change_label
        self._client = broadcaster.connect(None, send_frame)
        self._page = PageClient(send_text)
        page_input.connect(self._page)

    def on_text(self, text: str, received_ns: int) -> None:
        """Handle a text message; raises `PageError`."""
        match read_text(text):
            case ViewRequest(kind):
                self._broadcaster.change_request(self._client, FrameRequest(kind))
            case FrameAck(seq):
                self._broadcaster.acknowledge(self._client, seq)
            case ClockSync() as sync:
                self._page.on_clock(sync, received_ns)
            case PageSourceChange() as change:
                self._input.change_source(self._page, change)
            case PageGaze() as gaze:
                self._input.add_gaze(self._page, gaze, received_ns)
            case UserCommand() as command:
                self._input.commands.put(command)
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
        self._broadcaster.remove(self._client)
        self._input.disconnect(self._page)
