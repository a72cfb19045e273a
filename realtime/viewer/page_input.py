"""Turns page messages into frames, gaze samples and user commands; called by one thread, without sockets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from realtime.infra.clock import ClockMap
from realtime.pipeline.control import CommandQueue
from realtime.sources.browser import BrowserFrame, BrowserFrames, BrowserGaze
from realtime.types import GazeSample
from realtime.viewer.page_messages import ClockSync, PageFrame, PageGaze, PageSourceChange, pack_text

CLOCK_PROBES = 8
"""Clock requests that follow one another at the start; later ones come at intervals."""


class PageClient:
    """A connected page with the mapping from its clock to the host's."""

    def __init__(self, send_text: Callable[[str], None]) -> None:
        """send_text: sends a packed message to the page, without waiting."""
        self.send_text = send_text
        self.clock = ClockMap()
        self._sent_ns: dict[int, int] = {}
        self._next = 0

    def request_clock(self, now_ns: int) -> None:
        """Ask the page for the time of its clock."""
        self._sent_ns = {n: sent_ns for n, sent_ns in self._sent_ns.items() if n > self._next - CLOCK_PROBES}
        self._sent_ns[self._next] = now_ns
        self.send_text(pack_text("sync", n=self._next))
        self._next += 1

    def on_clock(self, sync: ClockSync, now_ns: int) -> None:
        """Add the page's answer to the clock mapping, and send the offset back."""
        sent_ns = self._sent_ns.pop(sync.n, None)
        if sent_ns is None:
            return
        self.clock.add(sent_ns, sync.ms / 1e3, now_ns)
        host_ns = self.clock.host_ns(sync.ms / 1e3)
        if host_ns is not None:
            self.send_text(pack_text("clock", host_ms=round(host_ns / 1e6 - sync.ms, 3)))
        if self._next < CLOCK_PROBES:
            self.request_clock(now_ns)

    def captured_ns(self, ms: float, received_ns: int) -> int:
        """Map the page's `ms` to host time, not later than it was received."""
        mapped_ns = self.clock.host_ns(ms / 1e3)
        return received_ns if mapped_ns is None else min(mapped_ns, received_ns)


class PageInput:
    """Selects which page's camera and pointer are the sources: those of the page that was used last."""

    def __init__(self, frames: BrowserFrames | None, gaze: BrowserGaze | None, commands: CommandQueue) -> None:
        """frames, gaze: None when they come from elsewhere; what pages send of them is then refused and counted."""
        self._frames, self._gaze, self.commands = frames, gaze, commands
        self._source: PageClient | None = None
        self._pointer: PageClient | None = None
        self._label = ""
        self._pages: list[PageClient] = []
        self.dropped: Counter[str] = Counter()

    def connect(self, page: PageClient) -> None:
        """Add a page and send it the state of the source."""
        self._pages.append(page)
        self._send_source(page)

    def disconnect(self, page: PageClient) -> None:
        """Remove a page; if it was a source, there is none until another page offers one."""
        self._pages.remove(page)
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
