"""The page of a recording: its frames with their recorded masks to be played, its objects to be named and dropped."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from realtime.comms import STATES
from realtime.config.viewer import ViewSettings
from realtime.errors import PageError, RecordingError
from realtime.recording.labelling import LabelEditor
from realtime.recording.timeline import Timeline
from realtime.recording.visits import VisitedObject
from realtime.viewer.interfaces import HttpAnswer, PageConnection
from realtime.viewer.label_worker import LabelWorker
from realtime.viewer.page_messages import FrameAck, LabelChange, SeekRequest, UndoRequest, pack_text, read_text
from realtime.viewer.server import PageServer
from realtime.viewer.thumbnail import thumbnail
from realtime.viewer.timeline_broadcaster import TimelineBroadcaster

log = logging.getLogger(__name__)
TELL_FIRST_S, TELL_LAST_S = 0.5, 5.0
"""While a long file is read, pages are told how far it is, and fetch what there is: less and less often."""
THUMBNAILS_KEPT = 512
THUMBNAIL_QUALITY = 85


class ReviewPage:
    """Serves from `__init__` to `close`."""

    def __init__(self, settings: ViewSettings, recording: Path) -> None:
        """Open the recording, bind and serve; raises `RecordingError` and `ViewerError`."""
        self.reel = Timeline(recording)
        labelling = LabelEditor(recording)
        self._projector = TimelineBroadcaster(self.reel, settings.jpeg_quality)
        self._labeller = LabelWorker(self._tell_all, labelling)
        self._host = ReviewHost(self.reel, self._projector, self._labeller)
        self._stopped = False
        self._reader = threading.Thread(target=self._read, name="gazecast-review", daemon=True)
        self._server: PageServer | None = None
        try:
            self._server = PageServer(settings, self._host)
        except BaseException:
            self._labeller.close()
            raise
        self._projector.start()
        self._reader.start()

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return self._server.address if self._server is not None else ""

    def close(self) -> None:
        """Save what waits, send everybody off and free the port, within seconds."""
        self._stopped = True
        self._labeller.close()
        if self._server is not None:
            self._server.close()
        self._projector.stop()
        self._reader.join(0.9)

    def counts(self) -> Mapping[str, int]:
        """What was refused and passed over, by reason."""
        return self._server.counts() if self._server is not None else {}

    def _tell_all(self, text: str) -> None:
        if self._server is not None:
            self._server.tell_all(text)

    def _read(self) -> None:
        wait_s, next_s = TELL_FIRST_S, time.monotonic() + TELL_FIRST_S

        def go_on(share: float) -> bool:
            nonlocal wait_s, next_s
            self._host.share = share
            if share == 1.0 or time.monotonic() >= next_s:
                self._tell_all(self._host.film())
                wait_s = min(2 * wait_s, TELL_LAST_S)
                next_s = time.monotonic() + wait_s
            return not self._stopped

        try:
            self.reel.read(go_on)
        except Exception as error:  # files may be broken in ways of their own; what was read is there
            log.info("a recording was not read to its end", exc_info=log.isEnabledFor(logging.DEBUG))
            self.reel.trouble = getattr(error, "strerror", None) or str(error) or type(error).__name__
            self._host.share = 1.0
            self._tell_all(self._host.film())


class ReviewHost:
    """Lets pages in at a reel. `share`: what of it was read, 0..1."""

    page = "review.html"
    streams = None

    def __init__(self, reel: Timeline, projector: TimelineBroadcaster, labeller: LabelWorker) -> None:
        self.share = 0.0
        self._reel, self._projector, self._labeller = reel, projector, labeller
        self._thumbnails: OrderedDict[tuple[int, int], bytes] = OrderedDict()

    def hello(self) -> Mapping[str, object]:
        """What the recording says of itself."""
        recording, engine = self._reel.recording, self._reel.recording.about.engine
        return {
            "file": recording.path.name, "source": recording.about.source, "started": recording.about.started,
            "complete": recording.complete, "from_start": recording.about.from_start, "states": STATES,
            "engine": " ".join(str(engine[name]) for name in ("backend", "model", "precision") if engine.get(name)),
        }  # fmt: skip

    def film(self) -> str:
        """How far it was read, as a packed message."""
        reel = self._reel
        return pack_text(
            "film", share=round(self.share, 3), length_ms=round(reel.length_ns / 1e6),
            read_ms=round(reel.read_ns / 1e6), frames=len(reel), things=len(reel.things()), damaged=reel.damaged,
            trouble=reel.trouble,
        )  # fmt: skip

    def enter(self, line: PageConnection) -> ReviewHandler:
        """A page has opened."""
        line.tell(self._labeller.said())
        line.tell(self.film())
        return ReviewHandler(line, self._reel, self._projector, self._labeller)

    def answer(self, path: str, query: Mapping[str, str]) -> HttpAnswer | None:
        """The film's spans and things, or the thumbnail of a thing; raises `PageError`."""
        if path == "/film.json":
            return HttpAnswer("application/json", json.dumps(self._film(), separators=(",", ":")).encode())
        if path == "/thumbnail.jpg":
            number = query.get("object", "")
            thing = _thing(self._reel, int(number)) if number.isdecimal() and len(number) < 12 else None
            if thing is None:
                raise PageError(f"object {number:.40} is not in this recording")
            return HttpAnswer("image/jpeg", self._thumbnail(thing))
        return None

    def counts(self) -> Mapping[str, int]:
        """What viewers skipped, and what could not be done for them."""
        return {**self._projector.counts(), "labels lost": self._labeller.lost}

    def _film(self) -> dict[str, Any]:
        reel = self._reel
        spans = [
            [round(span.start_ns / 1e6), round(span.end_ns / 1e6), span.object, STATES.index(span.state)]
            for span in reel.spans()
        ]
        things = [
            {
                "object": thing.object, "seconds": round(thing.seconds, 2), "masks": thing.masks, "looks": thing.looks,
                "best_n": reel.number(thing.best.frame_log_ns),
                "version": thing.best.mask_log_ns % 10**9,
            }
            for thing in reel.things()
        ]  # fmt: skip
        return {"spans": spans, "things": things}

    def _thumbnail(self, thing: VisitedObject) -> bytes:
        key = thing.object, thing.best.mask_log_ns
        made = self._thumbnails.pop(key, None)
        if made is None:
            try:
                frame, message = self._reel.best(thing)
            except (RecordingError, OSError, cv2.error) as error:
                raise PageError(f"object {thing.object} has no picture: {str(error)[:200]}") from None
            image, mask = frame.image, message.mask
            if mask is None or mask.shape != image.shape[:2]:
                mask = np.zeros(image.shape[:2], np.bool_)
            quality = [cv2.IMWRITE_JPEG_QUALITY, THUMBNAIL_QUALITY]
            made = cv2.imencode(".jpg", thumbnail(image, mask, message.state), quality)[1].tobytes()
        self._thumbnails[key] = made
        while len(self._thumbnails) > THUMBNAILS_KEPT:
            self._thumbnails.popitem(last=False)
        return made


class ReviewHandler:
    """What the page of a recording says goes to the projector or the labeller."""

    def __init__(
        self, line: PageConnection, reel: Timeline, projector: TimelineBroadcaster, labeller: LabelWorker
    ) -> None:
        self._reel, self._projector, self._labeller = reel, projector, labeller
        self._chair = projector.join(line.deliver)

    def hear(self, text: str, at_ns: int) -> None:
        """Take a text; raises `PageError`."""
        match read_text(text):
            case SeekRequest() as show:
                self._projector.show(self._chair, show)
            case FrameAck(seq):
                self._projector.ack(self._chair, seq)
            case LabelChange(thing) as say:
                if _thing(self._reel, thing) is None:
                    raise PageError(f"object {thing} is not in this recording")
                self._labeller.take(say)
            case UndoRequest() as undo:
                self._labeller.take(undo)
            case _:
                raise PageError("this page shows a recording; nothing is live")

    def take(self, data: bytes, at_ns: int) -> None:
        """Nothing of this kind is wanted; raises `PageError`."""
        raise PageError(f"{len(data)} bytes; the page of a recording sends none")

    def probe(self, at_ns: int) -> None:
        """There is nothing to ask again and again."""

    def leave(self) -> None:
        """The page has gone."""
        self._projector.leave(self._chair)


def _thing(reel: Timeline, number: int) -> VisitedObject | None:
    return next((thing for thing in reel.things() if thing.object == number), None)
