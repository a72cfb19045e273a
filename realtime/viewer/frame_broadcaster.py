"""Deals out the newest frame with its mask to every viewer that is ready for one, and never waits for any of them.

A viewer has one picture in flight: it gets the next when it says that it has shown the last, and always the newest
there is then. What it missed is counted. What several viewers want alike is made once, on this module's own threads:
one for pages, one for what is drawn here for displays, as that takes long where a display is large.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import cv2
import numpy as np

from engines import Image
from realtime.config.viewer import IDENTITY, Homography, check_homography
from realtime.media.overlay import draw
from realtime.pipeline.observers import FrameResult
from realtime.types import GazeSample, MaskResult
from realtime.viewer.clients import ClientSlot, ClientSlots
from realtime.viewer.contours import edges, outlines
from realtime.viewer.page_messages import pack_picture

log = logging.getLogger(__name__)
TRAIL_NS = 500_000_000
MOST_TRAIL = 24
"""Looks that go along with a picture, for its trail: half a second at 48 Hz."""
GONE_NS = 250_000_000
"""After so long without a look, there is no point to show."""

What = Literal["masks", "frames", "edges", "overlay"]
"""masks: outlines alone. frames: with the frame as JPEG. edges, overlay: JPEG, for displays that cannot draw."""
_ORDER: tuple[What, ...] = ("masks", "frames", "edges", "overlay")  # the cheapest first
_TOGETHER = (_ORDER[:2], _ORDER[2:])


@dataclass(frozen=True, slots=True)
class PictureOrder:
    """What a viewer wants. homography and size (0, 0: the frame's own) are those of `edges`."""

    what: What
    homography: Homography = IDENTITY
    size: tuple[int, int] = (0, 0)


class LiveClient(ClientSlot):
    """Somebody who watches. `seen`: the number of the last picture that came while it was ready."""

    def __init__(self, order: PictureOrder, deliver: Callable[[int, bytes], None]) -> None:
        super().__init__(deliver)
        self.order, self.seen = order, 0


class FrameBroadcaster(ClientSlots[LiveClient]):
    """Takes pictures from the pipeline's threads and gives them to viewers, on its own between `start` and `stop`."""

    def __init__(self, jpeg_quality: int, clock_ns: Callable[[], int], *, least_confidence: float = 0.5) -> None:
        """least_confidence: of looks that are shown; below it the eyes are closed."""
        super().__init__()
        self._quality, self._clock_ns, self._least = jpeg_quality, clock_ns, least_confidence
        self._shown: FrameResult | None = None
        self._shown_ns, self._seq = 0, 0
        self._looks: deque[GazeSample] = deque(maxlen=512)

    def start(self) -> None:
        """Begin to deal."""
        for kinds in _TOGETHER:
            self.work(f"viewer-hub {kinds[0]}", partial(self._deal, kinds))

    def put(self, shown: FrameResult) -> None:
        """Take the newest frame and its mask; returns at once."""
        with self.wake:
            self._shown, self._shown_ns, self._seq = shown, self._clock_ns(), self._seq + 1
            self.wake.notify_all()

    def look(self, sample: GazeSample) -> None:
        """Take a look of the eyes, for the trail; returns at once."""
        if sample.confidence >= self._least:
            with self.wake:
                self._looks.append(sample)

    def join(self, order: PictureOrder, deliver: Callable[[int, bytes], None]) -> LiveClient:
        """Seat a viewer. `deliver(seq, picture)` is called on a thread of the hub's and must return at once."""
        return self.take(LiveClient(order, deliver))

    def change(self, seat: LiveClient, order: PictureOrder) -> None:
        """Send something else from the next picture on."""
        with self.wake:
            seat.order = order

    @property
    def newest(self) -> FrameResult | None:
        """What came last."""
        return self._shown

    def _due(self, kinds: Collection[What]) -> list[LiveClient]:
        waiting = (seat for seat in self.seated if seat.ready and seat.seen < self._seq)
        return [seat for seat in waiting if seat.order.what in kinds]

    def _deal(self, kinds: Collection[What]) -> None:
        while True:
            with self.wake:
                self.wake.wait_for(lambda: self.stopped or self._due(kinds))
                if self.stopped or self._shown is None:
                    return
                due, shown, shown_ns, seq = self._due(kinds), self._shown, self._shown_ns, self._seq
                for seat in due:
                    seat.skipped += seq - seat.seen - 1 if seat.seen else 0
                    seat.ready, seat.seen, seat.sent = False, seq, seq
                orders = {seat: seat.order for seat in due}
            made: dict[PictureOrder, bytes] = {}
            making = _PictureJob(shown, seq, shown_ns, self._trail(shown), self._quality)
            for seat in sorted(due, key=lambda seat: _ORDER.index(orders[seat].what)):
                order = orders[seat]
                try:
                    made[order] = made.get(order) or making.make(order)
                    seat.deliver(seq, made[order])
                except Exception:  # one picture that cannot be made must not be the last
                    log.warning("a picture for a viewer failed", exc_info=log.isEnabledFor(logging.DEBUG))
                    self.failed()
                    self.ack(seat, seq)  # there is nothing to show

    def _trail(self, shown: FrameResult) -> list[list[float]]:
        """[x, y, age in ms] of the newest looks, oldest first, px of the frame; empty when there are none any more."""
        now_ns = self._clock_ns()
        with self.wake:
            looks = [look for look in self._looks if now_ns - look.captured_ns < TRAIL_NS]
        if not looks or now_ns - looks[-1].received_ns > GONE_NS:
            return []
        step = -(-len(looks) // MOST_TRAIL)
        kept = looks[::-1][::step][::-1]
        places = [(look, look.px(shown.frame.size)) for look in kept]
        return [[round(x, 1), round(y, 1), round((now_ns - look.captured_ns) / 1e6)] for look, (x, y) in places]


class _PictureJob:
    """What can be made of one frame, each part once."""

    def __init__(self, shown: FrameResult, seq: int, shown_ns: int, trail: list[list[float]], quality: int) -> None:
        self._shown, self._seq, self._shown_ns, self._trail, self._quality = shown, seq, shown_ns, trail, quality
        mask = shown.message.mask if shown.message is not None else None
        self._lines = outlines(mask) if mask is not None else []

    def make(self, order: PictureOrder) -> bytes:
        """The picture as bytes."""
        shown = self._shown
        if order.what == "overlay":
            return self._jpeg(draw(shown.frame.image, shown.message))
        if order.what == "edges":
            size = order.size if all(order.size) else shown.frame.size
            return self._jpeg(edges(shown.message, size, check_homography(order.homography)))
        jpeg = self._jpeg(shown.frame.image) if order.what == "frames" else b""
        return pack_picture(head(shown, self._seq, self._shown_ns, self._trail), self._lines, jpeg)

    def _jpeg(self, image: Image) -> bytes:
        ok, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self._quality])
        if not ok:
            raise ValueError(f"a picture of {image.shape} could not be encoded")
        return bytes(np.asarray(data).tobytes())


def head(shown: FrameResult, seq: int, shown_ns: int, trail: list[list[float]]) -> Mapping[str, Any]:
    """What a page is told about a frame and its mask; times in ms of the host's monotonic clock."""
    frame, message = shown.frame, shown.message
    fields: dict[str, Any] = {
        "seq": seq,
        "frame": {
            "index": frame.index, "timestamp": frame.timestamp, "width": frame.size[0], "height": frame.size[1],
            "captured_ms": round(frame.captured_ns / 1e6, 2),
        },
        "looks": trail,
        "target": None,
    }  # fmt: skip
    if message is not None:
        fields["target"] = target(message, shown_ns)
    return fields


def target(message: MaskResult, shown_ns: int) -> Mapping[str, Any]:
    """What a page is told about a mask; shown_ns: when it was ready to be shown, host clock."""
    timing = message.timing_ns
    fresh = message.state in ("preview", "locked")
    return {
        "object": message.object,
        "state": message.state,
        "score": round(message.score, 3),
        "confidence": round(message.confidence, 3),
        "carried_ms": round(message.carried_ms, 1),
        "gaze": [round(message.gaze.x, 1), round(message.gaze.y, 1), round(message.gaze.radius, 1)],
        "gaze_to_mask_ms": round((shown_ns - timing.gaze_received) / 1e6, 1) if fresh else None,
        "frame_to_mask_ms": round((shown_ns - timing.frame_received) / 1e6, 1),
        "keyframe_age_ms": round((message.frame.timestamp - message.keyframe.timestamp) * 1e3, 1) if fresh else None,
        "decode_ms": round((timing.decode_end - timing.decode_start) / 1e6, 1) if fresh else None,
    }
