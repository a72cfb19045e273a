"""The live page as a run sees it: what it puts in, what it gets out, one start and one close."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from realtime.comms import HealthMessage
from realtime.config.viewer import ViewSettings
from realtime.errors import PageError, SnapshotError
from realtime.infra.channels import Latest
from realtime.infra.clock import now_ns
from realtime.pipeline.control import VERBS, CommandQueue, CommandVerb, UserCommand
from realtime.pipeline.observers import FrameResult, PipelineObserver
from realtime.sources.browser import BrowserFrames, BrowserGaze
from realtime.types import GazeSample
from realtime.viewer.frame_broadcaster import FrameBroadcaster, LiveClient, PictureOrder
from realtime.viewer.interfaces import HttpAnswer, PageConnection
from realtime.viewer.label_worker import LabelWorker
from realtime.viewer.page_input import PageInput, PageSource
from realtime.viewer.page_messages import (
    ClockSync,
    FrameAck,
    LabelChange,
    PageGaze,
    PageSourceChange,
    SeekRequest,
    UndoRequest,
    ViewRequest,
    pack_text,
    read_picture,
    read_text,
)
from realtime.viewer.server import PageServer
from realtime.viewer.shown_objects import ShownObjects
from realtime.viewer.snapshot import save


class LivePage(PipelineObserver):
    """Serves from `__init__` to `close`; everything that is put in returns at once."""

    name = "view"

    def __init__(
        self,
        settings: ViewSettings,
        *,
        frames: BrowserFrames | None = None,
        gaze: BrowserGaze | None = None,
        stream: str = "gazecast",
        source: str = "",
        least_confidence: float = 0.5,
        clock: Callable[[], time.struct_time] = time.localtime,
    ) -> None:
        """Bind and serve; raises `ViewerError`.

        frames, gaze: the sources that pages feed; None where they come from elsewhere. source: as it was named.
        least_confidence: of looks that are shown. clock: names snapshots.
        """
        self.commands = CommandQueue()
        self._settings, self._clock = settings, clock
        self._hub = FrameBroadcaster(settings.jpeg_quality, now_ns, least_confidence=least_confidence)
        self._hello = {
            "stream": stream, "source": source, "page_frames": frames is not None, "page_gaze": gaze is not None,
            "can": [], "homography": list(settings.homography), "display_size": list(settings.display_size),
        }  # fmt: skip
        self._snapshots: Latest[FrameResult] = Latest()
        self._snapper = threading.Thread(target=self._snap, name="gazecast-snapshots", daemon=True)
        self._recorded: Path | None = None
        self._recording_since_ns: int | None = None
        self._roll = ShownObjects()
        self._labeller = LabelWorker(lambda text: self._server.tell_all(text))
        host = LiveHost(self._hub, PageInput(frames, gaze, self.commands), self._hello, self._of_recording, self._label)
        try:
            self._server = PageServer(settings, host)
        except BaseException:
            self._labeller.close()
            raise
        self._hub.start()
        self._snapper.start()

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return self._server.address

    def on_mask(self, shown: FrameResult) -> None:
        """Show a frame with its mask."""
        self._hub.put(shown)
        if self._roll.add(shown):
            self._tell_things()

    def on_gaze(self, sample: GazeSample) -> None:
        """Show a look of the eyes."""
        self._hub.look(sample)

    def on_health(self, health: HealthMessage) -> None:
        """Show how it is."""
        said = {key: health.fields()[key] for key in ("state", "reason", "rates", "latency_ms", "dropped")}
        engine = {key: health.engine.get(key, "") for key in ("backend", "model", "precision")}
        self._server.health(pack_text("health", **said, memory_mib=health.memory_mib, engine=engine))
        self._tell_things()

    def allow(self, verbs: Collection[CommandVerb]) -> None:
        """Let pages offer the buttons of these verbs."""
        self._hello["can"] = [verb for verb in VERBS if verb in verbs]
        self._server.tell_all(pack_text("can", can=self._hello["can"]))

    def notice(self, text: str) -> None:
        """Tell every page a short text."""
        self._server.tell_all(pack_text("notice", text=text))

    def recording(self, file: Path | None) -> None:
        """Tell every page into which file what happens is being recorded; None for no longer."""
        if file is None:
            self._recording_since_ns = None
            self._roll.end()
        else:
            self._recorded, self._recording_since_ns = file, now_ns()
            self._roll.begin()
            self._labeller.take(file)
        self._server.tell_all(self._recording())

    def on_command(self, command: UserCommand, shown: FrameResult) -> None:
        """Do what is the page's own to do with the frame that a command came to."""
        if command.verb == "snapshot":
            self._snapshots.put(shown)

    def drop_counts(self) -> dict[str, int]:
        """What viewers missed and what was refused of them, for `health`."""
        counts = {**self._hub.counts(), **self._server.counts(), "commands lost": self.commands.lost}
        counts["labels lost"] = self._labeller.lost
        return {f"view.{name}": count for name, count in counts.items() if count}

    def close(self) -> None:
        """Send everybody off and free the port, within a second."""
        self._snapshots.close()
        self._labeller.close()
        self._server.close()
        self._hub.stop()
        self._snapper.join(0.9)

    def _recording(self) -> str:
        since_ns = self._recording_since_ns
        lasted_s = (now_ns() - since_ns) / 1e9 if since_ns is not None else 0.0
        name = self._recorded.name if self._recorded is not None else ""
        return pack_text("recording", on=since_ns is not None, file=name, s=round(lasted_s, 2))

    def _tell_things(self) -> None:
        if changes := self._roll.changes():
            self._server.tell_all(pack_text("things", things=changes))

    def _of_recording(self) -> Iterable[str]:
        """What a page that opens is told of the recording."""
        return self._recording(), self._labeller.said(), pack_text("things", things=self._roll.everything())

    def _label(self, wish: LabelChange | UndoRequest) -> None:
        """Name or drop an object, or take that back; raises `PageError`."""
        if isinstance(wish, LabelChange) and not self._roll.knows(wish.object):
            raise PageError(f"object {wish.object} was not on show in a recording of this run")
        self._labeller.take(wish)

    def _snap(self) -> None:
        while (shown := self._snapshots.take()) is not None:
            try:
                left = save(shown, self._settings.snapshots, time.strftime("%Y%m%d-%H%M%S", self._clock()))
                self.notice(f"saved {left[0].with_suffix('')}-*.png")
            except SnapshotError as error:
                self.notice(str(error))


class LiveHost:
    """Lets pages in at a hub and a desk."""

    page = "index.html"

    def __init__(
        self,
        hub: FrameBroadcaster,
        desk: PageInput,
        hello: Mapping[str, object],
        more: Callable[[], Iterable[str]] = tuple,
        label: Callable[[LabelChange | UndoRequest], None] = lambda wish: None,
    ) -> None:
        """hello: what every page is told when it opens, as it is then; more: packed messages that follow it.

        label: called with what pages say of objects; raises `PageError`.
        """
        self.streams, self._desk, self._hello, self._more, self._label = hub, desk, hello, more, label

    def hello(self) -> Mapping[str, object]:
        """What it is about, and what can be done."""
        return self._hello

    def enter(self, line: PageConnection) -> LiveHandler:
        """A page has opened."""
        for text in self._more():
            line.tell(text)
        return LiveHandler(line, self.streams, self._desk, self._label)

    def answer(self, path: str, query: Mapping[str, str]) -> HttpAnswer | None:
        """There is nothing to fetch."""
        return None

    def counts(self) -> Mapping[str, int]:
        """What of pages was not wanted."""
        return dict(self._desk.dropped)


class LiveHandler:
    """What a live page says goes to the hub or the desk."""

    def __init__(
        self,
        line: PageConnection,
        hub: FrameBroadcaster,
        desk: PageInput,
        label: Callable[[LabelChange | UndoRequest], None],
    ) -> None:
        self._line, self._hub, self._desk, self._label = line, hub, desk, label
        self._seat: LiveClient | None = None
        self._page = PageSource(line.tell)
        desk.enter(self._page)

    def hear(self, text: str, at_ns: int) -> None:
        """Take a text; raises `PageError`."""
        match read_text(text):
            case ViewRequest(kind):
                if self._seat is None:
                    self._seat = self._hub.join(PictureOrder(kind), self._line.deliver)
                else:
                    self._hub.change(self._seat, PictureOrder(kind))
            case FrameAck(seq):
                if self._seat is not None:
                    self._hub.ack(self._seat, seq)
            case ClockSync() as sync:
                self._page.answered(sync, at_ns)
            case PageSourceChange() as source:
                self._desk.source(self._page, source)
            case PageGaze() as looks:
                self._desk.looks(self._page, looks, at_ns)
            case UserCommand() as command:
                self._desk.command(command)
            case LabelChange() | UndoRequest() as wish:
                self._label(wish)
            case SeekRequest():
                raise PageError("this page is live; there is nothing to look up")

    def take(self, data: bytes, at_ns: int) -> None:
        """Take a frame of the page's camera; raises `PageError`."""
        self._desk.picture(self._page, read_picture(data), at_ns)

    def probe(self, at_ns: int) -> None:
        """Ask for the page's time."""
        self._page.ask(at_ns)

    def leave(self) -> None:
        """The page has gone."""
        if self._seat is not None:
            self._hub.leave(self._seat)
        self._desk.leave(self._page)
