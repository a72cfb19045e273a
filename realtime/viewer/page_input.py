"""What pages say becomes frames, looks and commands. No sockets here: one thread calls, and is told what to answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from realtime.infra.clock import ClockMap
from realtime.pipeline.control import CommandQueue, UserCommand
from realtime.sources.browser import BrowserFrame, BrowserFrames, BrowserGaze
from realtime.types import GazeSample
from realtime.viewer.page_messages import ClockSync, PageFrame, PageGaze, PageSourceChange, pack_text

PROBES = 8
"""Questions for a page's clock that are asked at once; later ones come with the pings."""


class PageSource:
    """One page: its clock, and what it may be the source of."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        """`tell` sends a text to the page, without waiting."""
        self.tell = tell
        self.clock = ClockMap()
        self._asked: dict[int, int] = {}
        self._next = 0

    def ask(self, now_ns: int) -> None:
        """Ask for the page's time."""
        self._asked = {n: at for n, at in self._asked.items() if n > self._next - PROBES}
        self._asked[self._next] = now_ns
        self.tell(pack_text("sync", n=self._next))
        self._next += 1

    def answered(self, sync: ClockSync, now_ns: int) -> None:
        """Take the answer, and tell the page where the server's clock is."""
        sent_ns = self._asked.pop(sync.n, None)
        if sent_ns is None:
            return
        self.clock.add(sent_ns, sync.ms / 1e3, now_ns)
        host_ns = self.clock.host_ns(sync.ms / 1e3)
        if host_ns is not None:
            self.tell(pack_text("clock", host_ms=round(host_ns / 1e6 - sync.ms, 3)))
        if self._next < PROBES:
            self.ask(now_ns)

    def captured_ns(self, ms: float, received_ns: int) -> int:
        """Host time of the page's `ms`, not later than it was received."""
        mapped_ns = self.clock.host_ns(ms / 1e3)
        return received_ns if mapped_ns is None else min(mapped_ns, received_ns)


class PageInput:
    """Knows whose camera and whose hand count: those of the page that was used last."""

    def __init__(self, frames: BrowserFrames | None, gaze: BrowserGaze | None, commands: CommandQueue) -> None:
        """frames, gaze: None when they come from elsewhere; what pages send of them is then refused and counted."""
        self._frames, self._gaze, self._commands = frames, gaze, commands
        self._source: PageSource | None = None
        self._hand: PageSource | None = None
        self._label = ""
        self._pages: list[PageSource] = []
        self.dropped: Counter[str] = Counter()

    def enter(self, page: PageSource) -> None:
        """A page has opened."""
        self._pages.append(page)
        self._tell_source(page)

    def leave(self, page: PageSource) -> None:
        """A page has closed."""
        self._pages.remove(page)
        if self._hand is page:
            self._hand = None
        if self._source is page:
            self._let_go()

    def source(self, page: PageSource, message: PageSourceChange) -> None:
        """A page offers its camera or clip, or takes it away; the newest offer wins."""
        if self._frames is None:
            self.dropped["not the source"] += 1
        elif message.on:
            self._source, self._label, self._hand = page, message.label, None
            for other in self._pages:
                self._tell_source(other)
        elif self._source is page:
            self._let_go()

    def picture(self, page: PageSource, picture: PageFrame, now_ns: int) -> None:
        """A frame from a page's camera."""
        page.tell(pack_text("got", index=picture.index))
        if self._frames is None or page is not self._source:
            self.dropped["not the source"] += 1
            return
        captured_ns = page.captured_ns(picture.ms, now_ns)
        self._frames.offer(BrowserFrame(picture.jpeg, picture.index, picture.ms / 1e3, captured_ns, now_ns))

    def looks(self, page: PageSource, message: PageGaze, now_ns: int) -> None:
        """Looks of a mouse or finger: of the page whose camera it is, or else of the one where it moved last."""
        if message.moved and (self._source is None or page is self._source):
            self._hand = page
        if self._gaze is None or page is not self._hand:
            self.dropped["not the hand"] += len(message.looks)
            return
        for look in message.looks:
            captured_ns = page.captured_ns(look.ms, now_ns)
            self._gaze.offer(
                GazeSample(look.x, look.y, "norm", look.confidence, look.ms / 1e3, captured_ns, now_ns)
            )  # fmt: skip

    def command(self, command: UserCommand) -> None:
        """A button was pressed."""
        self._commands.put(command)

    def _let_go(self) -> None:
        self._source, self._label, self._hand = None, "", None
        if self._frames is not None:
            self._frames.left()
        for page in self._pages:
            self._tell_source(page)

    def _tell_source(self, page: PageSource) -> None:
        page.tell(pack_text("source", yours=page is self._source, taken=self._source is not None, label=self._label))
