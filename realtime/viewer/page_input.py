"""Turns page messages into frames, gaze samples and user commands; called by one thread, without sockets."""

from __future__ import annotations

from collections import Counter

from realtime.pipeline.control import CommandQueue
from realtime.sources.browser import BrowserFrame, BrowserFrames, BrowserGaze
from realtime.sources.webcam_gaze.gaze_source import WebcamGaze
from realtime.types import GazeSample
from realtime.viewer.eye_input import EyeInput
from realtime.viewer.page_client import PageClient
from realtime.viewer.page_messages import PageFrame, PageGaze, PageSourceChange, pack_text


class PageInput:
    """Selects which page's camera and pointer are the sources: those of the page that was used last."""

    def __init__(
        self,
        frames: BrowserFrames | None,
        gaze: BrowserGaze | None,
        commands: CommandQueue,
        webcam: WebcamGaze | None = None,
    ) -> None:
        """frames, gaze, webcam: None when they come from elsewhere; what pages send is then refused and counted."""
        self._frames, self._gaze, self.commands = frames, gaze, commands
        self._source: PageClient | None = None
        self._pointer: PageClient | None = None
        self._label = ""
        self._pages: list[PageClient] = []
        self.dropped: Counter[str] = Counter()
        self.eyes = EyeInput(webcam, self.dropped)

    def connect(self, page: PageClient) -> None:
        """Add a page and send it the state of the source."""
        self._pages.append(page)
        self._send_source(page)

    def disconnect(self, page: PageClient) -> None:
        """Remove a page; if it was a source, there is none until another page offers one."""
        self._pages.remove(page)
        self.eyes.disconnect(page)
        if self._pointer is page:
            self._release_pointer()
        if self._source is page:
            self._release_source()

    def change_source(self, page: PageClient, message: PageSourceChange) -> None:
        """Make a page's camera or clip the source, or stop it; the newest offer wins."""
        if self._frames is None:
            self.dropped["not the source"] += 1
        elif message.on:
            self._source, self._label = page, message.label
            self._release_pointer()
            for other in self._pages:
                self._send_source(other)
        elif self._source is page:
            self._release_source()

    def add_frame(self, page: PageClient, frame: PageFrame, now_ns: int) -> None:
        """Pass on a frame of the page that is the source."""
        page.send_text(pack_text("received", index=frame.index))
        if self._frames is None or page is not self._source:
            self.dropped["not the source"] += 1
            return
        captured_ns = page.captured_ns(frame.ms, now_ns)
        self._frames.offer(BrowserFrame(frame.jpeg, frame.index, frame.ms / 1e3, captured_ns, now_ns))

    def add_gaze(self, page: PageClient, message: PageGaze, now_ns: int) -> None:
        """Pass on gaze samples of a mouse or finger.

        Only those of the source's page count; without such a page, those of the page where the pointer moved last.
        """
        if message.moved and (self._source is None or page is self._source):
            self._pointer = page
        if self._gaze is None or page is not self._pointer:
            self.dropped["not the pointer"] += len(message.samples)
            return
        for sample in message.samples:
            captured_ns = page.captured_ns(sample.ms, now_ns)
            self._gaze.offer(
                GazeSample(sample.x, sample.y, "norm", sample.confidence, sample.ms / 1e3, captured_ns, now_ns)
            )  # fmt: skip

    def _release_pointer(self) -> None:
        self._pointer = None
        if self._gaze is not None:
            self._gaze.disconnect()

    def _release_source(self) -> None:
        self._source, self._label = None, ""
        self._release_pointer()
        if self._frames is not None:
            self._frames.disconnect()
        for page in self._pages:
            self._send_source(page)

    def _send_source(self, page: PageClient) -> None:
        is_active = self._source is not None
        page.send_text(pack_text("source", yours=page is self._source, active=is_active, label=self._label))
