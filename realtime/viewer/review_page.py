"""Serves the page of a recording: it plays frames with their masks, which are labelled, dropped and corrected."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from engines import Decoder, Encoder, EngineUnavailable
from realtime.comms.messages import STATES
from realtime.config.viewer import ViewSettings
from realtime.correction.editor import ReviewEditor
from realtime.correction.review_tasks import CONFIDENT
from realtime.errors import PageError, RecordingError
from realtime.infra.error_guard import describe_error
from realtime.media.jpeg import encode_jpeg
from realtime.recording.timeline import Timeline
from realtime.viewer.corrected_objects import CorrectedObjects, ReviewedObject
from realtime.viewer.correction_worker import CorrectionWorker
from realtime.viewer.interfaces import HttpResponse, PageHandler, PageHost, SendFrame, SendText
from realtime.viewer.label_worker import LabelWorker
from realtime.viewer.page_messages import (
    CorrectionRequest,
    FrameAck,
    LabelChange,
    PrepareRequest,
    RedoRequest,
    SeekRequest,
    UndoRequest,
    pack_text,
    read_text,
)
from realtime.viewer.server import PageServer
from realtime.viewer.thumbnail import QUALITY, draw_thumbnail
from realtime.viewer.timeline_broadcaster import TimelineBroadcaster

log = logging.getLogger(__name__)
FIRST_REPORT_S, MAX_REPORT_S = 0.5, 5.0
"""While a long file is read, pages fetch the part that was read: at first often, then less and less often."""
MAX_THUMBNAILS = 512
OpenEngine = Callable[[], tuple[Encoder, Decoder]]
"""Opens an engine; raises `EngineError`."""


class ReviewPage(PageHost):
    """A page of a recording, served from `__init__` to `close`, at `address` if the server is its own."""

    index_file = "review.html"

    def __init__(
        self,
        settings: ViewSettings,
        recording: Path,
        server: PageServer | None = None,
        identity: Path | None = None,
        open_engine: OpenEngine | None = None,
        confident: float = CONFIDENT,
    ) -> None:
        """Open the recording and serve it; raises `RecordingError` and `ViewerError`.

        server: the one of another page that finds this one; None to bind one of its own. identity: as of
        `RecordingReader`. open_engine: opens what corrects masks, once it is needed; None: masks are not corrected.
        confident: mean confidence from which on a visit needs no answer, 0..1.
        """
        self.timeline = Timeline(recording, identity)
        self.editor = ReviewEditor(recording)
        self._objects = CorrectedObjects(self.timeline, self.editor, confident)
        self._broadcaster = TimelineBroadcaster(self.timeline, self.editor, settings.jpeg_quality)
        self._labels = LabelWorker(self._broadcast, self.editor)
        self._corrections = CorrectionWorker(
            self.timeline, self.editor, open_engine or _refuse_engine, self._broadcast,
            lambda: self._broadcast(self._labels.labels_message()),
        )  # fmt: skip
        self._read_share = 0.0
        self._thumbnails: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._is_stopped = False
        self._reader = threading.Thread(target=self._read, name="gazecast-review", daemon=True)
        self._has_own_server = server is None
        try:
            self._server = server or PageServer(settings, self)
        except BaseException:
            self._labels.close()
            self._corrections.close()
            raise
        self.address = self._server.address
        self._broadcaster.start()
        self._reader.start()

    def close(self) -> None:
        """Save queued label changes, disconnect all pages and free the port, within seconds."""
        self._is_stopped = True
        self._labels.close()
        self._corrections.close()
        if self._has_own_server:
            self._server.close()
        self._broadcaster.stop()
        self._reader.join(0.9)

    def drop_counts(self) -> Mapping[str, int]:
        """Count requests that were refused, frames that were skipped or failed, and label changes that were lost."""
        counts = self._broadcaster.drop_counts()
        lost = {"labels lost": self._labels.lost, "corrections lost": self._corrections.lost}
        return {**counts, "refused": self._server.refused, **lost}

    def on_connect(self, send_text: SendText, send_frame: SendFrame) -> ReviewHandler:
        """Send a page the recording's metadata, labels and the progress of reading, and return its handler."""
        recording, engine = self.timeline.recording, self.timeline.recording.about.engine
        send_text(pack_text(
            "hello", file=recording.path.name, source=recording.about.source, started=recording.about.started,
            complete=recording.complete, pictures=recording.about.pictures, from_start=recording.about.from_start,
            states=STATES,
            engine=" ".join(str(engine[name]) for name in ("backend", "model", "precision") if engine.get(name)),
        ))  # fmt: skip
        send_text(self._labels.labels_message())
        send_text(self._corrections.edits_message())
        send_text(self._timeline_message())
        return ReviewHandler(send_frame, self._objects, self._broadcaster, self._labels, self._corrections)

    def respond(self, path: str, query: Mapping[str, str]) -> HttpResponse | None:
        """Return the timeline's spans and objects, or the thumbnail of an object; raises `PageError`."""
        if path == "/timeline.json":
            return HttpResponse("application/json", json.dumps(self._spans(), separators=(",", ":")).encode())
        if path == "/thumbnail.jpg":
            number = query.get("object", "")
            shown = self._objects.find(int(number)) if number.isdecimal() and len(number) < 12 else None
            if shown is None:
                raise PageError(f"object {number:.40} is not in this recording")
            return HttpResponse("image/jpeg", self._thumbnail(shown))
        return None

    def _read(self) -> None:
        interval_s, next_s = FIRST_REPORT_S, time.monotonic() + FIRST_REPORT_S

        def report(share: float) -> bool:
            nonlocal interval_s, next_s
            self._read_share = share
            if share == 1.0:
                self._corrections.wake()
            if share == 1.0 or time.monotonic() >= next_s:
                self._server.broadcast(self._timeline_message(), self)
                interval_s = min(2 * interval_s, MAX_REPORT_S)
                next_s = time.monotonic() + interval_s
            return not self._is_stopped

        try:
            self.timeline.read(report)
        except Exception as error:  # files may be broken in ways of their own; the part that was read is usable
            log.info("a recording was not read to its end", exc_info=log.isEnabledFor(logging.DEBUG))
            self.timeline.problem = getattr(error, "strerror", None) or describe_error(error)
            report(1.0)

    def _timeline_message(self) -> str:
        """Pack the length of the recording and the progress of reading it."""
        timeline = self.timeline
        return pack_text(
            "timeline", share=round(self._read_share, 3), length_ms=round(timeline.length_ns / 1e6),
            read_ms=round(timeline.read_ns / 1e6), frames=len(timeline), objects=len(timeline.objects),
            damaged=timeline.recording.damaged, error=timeline.problem,
        )  # fmt: skip

    def _spans(self) -> dict[str, Any]:
        timeline = self.timeline
        spans = [
            [round(span.start_ns / 1e6), round(span.end_ns / 1e6), span.object, STATES.index(span.state)]
            for span in timeline.list_spans()
        ]
        objects = [
            {
                "object": one.object, "seconds": round(one.seconds, 2), "masks": one.masks, "visits": one.visits,
                "name": one.visited.label if one.visited is not None else "",
                "best_n": one.best_number, "version": one.version, "corrected": one.corrected,
            }
            for one in self._objects.list_all()
        ]  # fmt: skip
        confirmed = [[round(at_ns / 1e6), number] for at_ns, number in list(timeline.confirmations)]
        return {"spans": spans, "objects": objects, "confirmed": confirmed, **self._objects.describe_corrections()}

    def _broadcast(self, text: str) -> None:
        self._server.broadcast(text, self)

    def _thumbnail(self, shown: ReviewedObject) -> bytes:
        key = shown.object, shown.version
        jpeg = self._thumbnails.pop(key, None) or self._encode_thumbnail(shown)
        self._thumbnails[key] = jpeg
        while len(self._thumbnails) > MAX_THUMBNAILS:
            self._thumbnails.popitem(last=False)
        return jpeg

    def _encode_thumbnail(self, shown: ReviewedObject) -> bytes:
        try:
            image, mask, state = self._objects.read_best_view(shown)
        except (RecordingError, OSError, cv2.error) as error:
            raise PageError(f"object {shown.object} has no picture: {str(error)[:200]}") from None
        if mask is None or mask.shape != image.shape[:2]:
            mask = np.zeros(image.shape[:2], np.bool_)
        return encode_jpeg(draw_thumbnail(image, mask, state), QUALITY)


class ReviewHandler(PageHandler):
    """A handler that passes a page's messages to the timeline broadcaster, the label or the correction worker."""

    def __init__(
        self, send_frame: SendFrame, objects: CorrectedObjects, broadcaster: TimelineBroadcaster, labels: LabelWorker,
        corrections: CorrectionWorker,
    ) -> None:  # fmt: skip
        self._objects, self._broadcaster, self._labels, self._corrections = objects, broadcaster, labels, corrections
        self._client = broadcaster.connect(None, send_frame)

    def on_text(self, text: str, received_ns: int) -> None:
        """Handle a text message; raises `PageError`."""
        match read_text(text):
            case SeekRequest() as request:
                self._broadcaster.seek(self._client, request)
            case FrameAck(seq):
                self._broadcaster.acknowledge(self._client, seq)
            case LabelChange(object=object_id) if self._objects.find(object_id) is None:
                raise PageError(f"object {object_id} is not in this recording")
            case CorrectionRequest(object=object_id) if object_id and self._objects.find(object_id) is None:
                raise PageError(f"object {object_id} is not in this recording")
            case LabelChange() as change:
                self._labels.submit(change)
            case CorrectionRequest() | PrepareRequest() | UndoRequest() | RedoRequest() as request:
                self._corrections.submit(request)
            case _:
                raise PageError("this page shows a recording; nothing is live")

    def on_close(self) -> None:
        """Remove the page as a viewer."""
        self._broadcaster.remove(self._client)


def _refuse_engine() -> tuple[Encoder, Decoder]:
    raise EngineUnavailable("masks are corrected in a review of their own: gazecast review FILE")
