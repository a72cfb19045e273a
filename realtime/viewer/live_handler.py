"""Handles the messages of one live page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from realtime.errors import CommandRejected, PageError
from realtime.pipeline.control import UserCommand, make_confirmation
from realtime.viewer.frame_broadcaster import FrameBroadcaster, FrameRequest
from realtime.viewer.interfaces import PageHandler, SendFrame, SendText
from realtime.viewer.page_client import PageClient
from realtime.viewer.page_input import PageInput
from realtime.viewer.page_messages import (
    CalibrationChange,
    ClockSync,
    CorrectionRequest,
    EyeCameraChange,
    FrameAck,
    LabelChange,
    PageGaze,
    PageSourceChange,
    PrepareRequest,
    RedoRequest,
    ScreenChange,
    ScreenClick,
    SeekRequest,
    UndoRequest,
    ViewRequest,
    WordChange,
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
        show_notice: Callable[[str], None],
        set_word: Callable[[str], None],
    ) -> None:
        """change_label: called with label changes of the page; raises `PageError`. show_notice: on any thread.

        set_word: called with the page's words.
        """
        self._set_word = set_word
        self._broadcaster, self._input, self._change_label = broadcaster, page_input, change_label
        self._show_notice = show_notice
        self._client = broadcaster.connect(None, send_frame)
        self._page = PageClient(send_text)
        page_input.connect(self._page)

    def on_text(self, text: str, received_ns: int) -> None:
        """Handle a text message; raises `PageError`."""
        match message := read_text(text):
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
            case UserCommand("confirm", object=object_id):
                self._input.commands.put(make_confirmation("key", self._show_notice, object_id=object_id))
            case UserCommand() as command:
                self._input.commands.put(command)
            case LabelChange() | UndoRequest() as request:
                self._change_label(request)
            case ScreenChange() as change:
                self._input.eyes.change_screen(self._page, change)
            case ScreenClick(x, y):
                self._input.eyes.add_click(self._page, x, y, received_ns)
            case EyeCameraChange(on):
                self._input.eyes.change_camera(self._page, on)
            case CalibrationChange(on):
                self._input.eyes.change_calibration(self._page, on)
            case WordChange(text):
                self._set_word(text)
            case CorrectionRequest(kind="click" | "box"):
                self._correct(message)
            case SeekRequest() | RedoRequest() | PrepareRequest() | CorrectionRequest():
                raise PageError("this page is live; it cannot seek, redo, or correct by more than clicks and boxes")

    def _correct(self, request: CorrectionRequest) -> None:
        """Correct the shown mask by a click or box in frame `n`, and show a notice where that is refused."""
        size = self._broadcaster.frame_size
        if size is None:
            return
        (x, y), *others = ((u * size[0] - 0.5, v * size[1] - 0.5) for u, v in request.places)

        def report(result: Any) -> None:
            if isinstance(result, CommandRejected):
                self._show_notice(f"Not corrected: {result}.")

        command = UserCommand("correct", object=request.object or None, clicks=((x, y, 1 if request.on else 0),))
        if request.kind == "box":
            ((x1, y1),) = others[:1]
            command = replace(command, clicks=(), box=(min(x, x1), min(y, y1), max(x, x1), max(y, y1)))
        self._input.commands.put(replace(command, frame_index=request.n, reply=report))

    def on_binary(self, data: bytes, received_ns: int) -> None:
        """Handle a frame of one of the page's cameras; raises `PageError`."""
        frame = read_page_frame(data)
        if frame.eyes:
            self._input.eyes.add_frame(self._page, frame, received_ns)
        else:
            self._input.add_frame(self._page, frame, received_ns)

    def on_interval(self, now_ns: int) -> None:
        """Ask the page for the time of its clock."""
        self._page.request_clock(now_ns)

    def on_close(self) -> None:
        """Remove the page as a viewer and as a source."""
        self._broadcaster.remove(self._client)
        self._input.disconnect(self._page)
