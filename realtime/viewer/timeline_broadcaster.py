"""Shows moments of a recording to viewers, each the one that it asks for, and never waits for any of them.

A viewer has one picture in flight: what it asks for meanwhile waits, the newest wish wins, and it gets the next picture
when it says that it has shown the last. Pictures are the recorded ones; only PNG is sent as JPEG.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np

from realtime.errors import RecordingError
from realtime.recording.format import RecordedFrame
from realtime.recording.timeline import Timeline, TimelineMoment
from realtime.viewer.clients import ClientSlot, ClientSlots
from realtime.viewer.contours import outlines
from realtime.viewer.frame_broadcaster import target
from realtime.viewer.page_messages import SeekRequest, pack_picture

log = logging.getLogger(__name__)


class ReviewClient(ClientSlot):
    """One viewer. `wish`: what it wants to see next."""

    def __init__(self, deliver: Callable[[int, bytes], None]) -> None:
        super().__init__(deliver)
        self.wish: SeekRequest | None = None


class TimelineBroadcaster(ClientSlots[ReviewClient]):
    """Takes wishes from any thread and answers them, each viewer in turn, on its own, between `start` and `stop`."""

    def __init__(self, reel: Timeline, jpeg_quality: int) -> None:
        super().__init__()
        self._reel, self._quality = reel, jpeg_quality

    def start(self) -> None:
        """Begin to show."""
        self.work("projector", self._work)

    def join(self, deliver: Callable[[int, bytes], None]) -> ReviewClient:
        """Seat a viewer. `deliver(seq, picture)` is called on the projector's thread and must return at once."""
        return self.take(ReviewClient(deliver))

    def show(self, chair: ReviewClient, wish: SeekRequest) -> None:
        """The viewer wants to see this; what it wanted before and has not got is skipped."""
        with self.wake:
            chair.skipped += chair.wish is not None
            chair.wish = wish
            self.wake.notify_all()

    def _next(self) -> ReviewClient | None:
        return next((chair for chair in self.seated if chair.ready and chair.wish is not None), None)

    def _work(self) -> None:
        while True:
            with self.wake:
                self.wake.wait_for(lambda: self.stopped or self._next() is not None)
                chair = self._next()
                if self.stopped or chair is None:
                    return
                wish, chair.wish = chair.wish, None
                chair.ready, chair.sent = False, chair.sent + 1
                seq = chair.sent
                self.seated.remove(chair)  # to the end of the row
                self.seated.append(chair)
            if wish is not None:
                chair.deliver(seq, self._picture(wish, seq))

    def _picture(self, wish: SeekRequest, seq: int) -> bytes:
        reel = self._reel
        number = reel.at(round((wish.ms or 0.0) * 1e6)) if wish.n is None else min(wish.n, len(reel) - 1)
        try:
            moment = reel.moment(number)
            jpeg = self._jpeg(moment.frame)
            mask = moment.message.mask if moment.message is not None else None
            return pack_picture(_head(moment, seq), outlines(mask) if mask is not None else [], jpeg)
        except Exception as error:  # files may be broken in ways of their own; one moment must not be the last
            log.info("a moment of a recording failed", exc_info=log.isEnabledFor(logging.DEBUG))
            self.failed()
            return pack_picture({"seq": seq, "n": max(0, number), "trouble": f"frame {number + 1}: {error}"}, [], b"")

    def _jpeg(self, frame: RecordedFrame) -> bytes:
        if frame.format == "jpeg":
            return frame.data
        ok, data = cv2.imencode(".jpg", frame.frame().image, [cv2.IMWRITE_JPEG_QUALITY, self._quality])
        if not ok:
            raise RecordingError(f"frame {frame.index} cannot be packed as JPEG")
        return np.asarray(data).tobytes()


def _head(moment: TimelineMoment, seq: int) -> Mapping[str, Any]:
    """What a page is told about a moment; times in ms since the recording began."""
    frame, message = moment.frame, moment.message
    fields: dict[str, Any] = {
        "seq": seq,
        "n": moment.number,
        "ms": round(moment.at_ns / 1e6, 2),
        "until_ms": round(moment.until_ns / 1e6, 2),
        "frame": {"index": frame.index, "timestamp": frame.timestamp},
        "own": moment.own,
        "target": None,
    }
    if message is not None:
        fields["target"] = target(message, message.published_ns)
        fields["frame"] |= {"width": message.frame.width, "height": message.frame.height}
    return fields
