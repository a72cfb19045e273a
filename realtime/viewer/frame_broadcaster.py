"""Sends the newest frame with its mask to all viewers, and waits for none of them.

A viewer has one frame in flight: after it acknowledges that one, it receives the newest frame there is then. Frames
that it missed are counted. Frames that several viewers request alike are built once, on this module's own threads: one
for pages, one for images that are drawn here for displays, as that takes long where a display is large.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from functools import cache, partial
from typing import Any, Literal

from realtime.config.viewer import IDENTITY, Homography, check_homography
from realtime.media.jpeg import encode_jpeg
from realtime.media.overlay import draw_overlay
from realtime.pipeline.observers import FrameResult
from realtime.types import GazeSample, MaskResult
from realtime.viewer.clients import ClientSlot, ClientSlots
from realtime.viewer.contours import draw_edges, find_contours
from realtime.viewer.page_messages import pack_view_frame

log = logging.getLogger(__name__)
TRAIL_NS = 500_000_000
MAX_TRAIL_SAMPLES = 24
"""Gaze samples that accompany a frame, for its trail: half a second at 48 Hz."""
MAX_GAZE_AGE_NS = 250_000_000
"""After so long without a gaze sample, no gaze is shown."""

FrameKind = Literal["masks", "frames", "edges", "overlay"]
"""masks: contours alone. frames: with the frame as JPEG. edges, overlay: JPEG, for displays that cannot draw."""
_CHEAPEST_FIRST: tuple[FrameKind, ...] = ("masks", "frames", "edges", "overlay")
_KINDS_OF_THREADS = (_CHEAPEST_FIRST[:2], _CHEAPEST_FIRST[2:])


@dataclass(frozen=True, slots=True)
class FrameRequest:
    """A viewer's choice of frames. homography and size (0, 0: the frame's own) are those of `edges`."""

    kind: FrameKind
    homography: Homography = IDENTITY
    size: tuple[int, int] = (0, 0)


class FrameBroadcaster(ClientSlots[FrameRequest]):
    """A broadcaster of the newest frame: the pipeline's threads publish, its own threads send, `start` to `stop`."""

    def __init__(self, jpeg_quality: int, clock_ns: Callable[[], int], *, least_confidence: float = 0.5) -> None:
        """least_confidence: of gaze samples that are shown; below it the eyes are closed."""
        super().__init__()
        self._quality, self._clock_ns, self._least_confidence = jpeg_quality, clock_ns, least_confidence
        self._result: FrameResult | None = None
        self._published_ns, self._seq = 0, 0
        self._samples: deque[GazeSample] = deque(maxlen=512)

    def start(self) -> None:
        """Start the sending threads."""
        for kinds in _KINDS_OF_THREADS:
            self.start_thread(f"frame-broadcaster {kinds[0]}", partial(self._send_frames, kinds))

    def publish(self, result: FrameResult) -> None:
        """Replace the newest frame and its mask; returns at once."""
        with self.changed:
            self._result, self._published_ns, self._seq = result, self._clock_ns(), self._seq + 1
            self.changed.notify_all()

    def add_gaze(self, sample: GazeSample) -> None:
        """Add a gaze sample to the trail; returns at once."""
        if sample.confidence >= self._least_confidence:
            with self.changed:
                self._samples.append(sample)

    @property
    def frame_size(self) -> tuple[int, int] | None:
        """(width, height) of the newest frame; None before the first."""
        return self._result.frame.size if self._result is not None else None

    def _due_requests(self, kinds: Collection[FrameKind]) -> dict[ClientSlot[FrameRequest], FrameRequest]:
        waiting = (client for client in self.clients if client.is_ready and client.sent_seq < self._seq)
        return {client: client.request for client in waiting if client.request and client.request.kind in kinds}

    def _send_frames(self, kinds: Collection[FrameKind]) -> None:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.is_stopped or self._due_requests(kinds))
                if self.is_stopped or self._result is None:
                    return
                requests, seq = self._due_requests(kinds), self._seq
                result, published_ns = self._result, self._published_ns
                for client in requests:
                    client.skipped += seq - client.sent_seq - 1 if client.sent_seq else 0
                    client.is_ready, client.sent_seq = False, seq
            header = partial(self._header, result, seq, published_ns)
            encode = cache(lambda request: self._encode(result, header(), request))  # noqa: B023
            for client, request in sorted(requests.items(), key=lambda item: _CHEAPEST_FIRST.index(item[1].kind)):
                try:
                    client.send_frame(seq, encode(request))
                except Exception:  # one frame that cannot be built must not be the last
                    self.acknowledge(client, seq)  # there is nothing to show
                    self.count_failure()
                    log.warning("a frame for a viewer failed", exc_info=log.isEnabledFor(logging.DEBUG))

    def _encode(self, result: FrameResult, header: Mapping[str, Any], request: FrameRequest) -> bytes:
        frame, message = result.frame, result.result
        if request.kind == "overlay":
            return encode_jpeg(draw_overlay(frame.image, message), self._quality)
        if request.kind == "edges":
            size = request.size if all(request.size) else frame.size
            return encode_jpeg(draw_edges(message, size, check_homography(request.homography)), self._quality)
        jpeg = encode_jpeg(frame.image, self._quality) if request.kind == "frames" else b""
        return pack_view_frame(header, find_contours(message.mask if message else None), jpeg)

    def _header(self, result: FrameResult, seq: int, published_ns: int) -> Mapping[str, Any]:
        """Return the header of a frame message; times in ms of the host's monotonic clock."""
        frame, message = result.frame, result.result
        return {
            "seq": seq,
            "frame": {
                "index": frame.index, "timestamp": frame.timestamp, "width": frame.size[0], "height": frame.size[1],
                "captured_ms": round(frame.captured_ns / 1e6, 2),
            },
            "gaze_trail": self._gaze_trail(result),
            "target": target_fields(message, published_ns) if message is not None else None,
        }  # fmt: skip

    def _gaze_trail(self, result: FrameResult) -> list[list[float]]:
        """Return [x, y, age in ms] of the newest samples, oldest first, px of the frame; empty without recent ones."""
        now_ns = self._clock_ns()
        with self.changed:
            samples = [sample for sample in self._samples if now_ns - sample.captured_ns < TRAIL_NS]
        if not samples or now_ns - samples[-1].received_ns > MAX_GAZE_AGE_NS:
            return []
        step = -(-len(samples) // MAX_TRAIL_SAMPLES)
        kept = samples[::-1][::step][::-1]
        points = [(sample, sample.to_px(result.frame.size)) for sample in kept]
        return [[round(x, 1), round(y, 1), round((now_ns - sample.captured_ns) / 1e6)] for sample, (x, y) in points]


def target_fields(message: MaskResult, published_ns: int) -> Mapping[str, Any]:
    """Return the fields of a mask that a page shows. published_ns: when it was ready to be shown, host clock."""
    timing, corrected = message.timing_ns, message.corrected
    is_fresh = message.state in ("preview", "locked")
    is_gazed = is_fresh and message.prompt == "gaze"
    is_decoded = is_fresh and not message.is_guess
    age_ms = (message.frame.timestamp - message.keyframe.timestamp) * 1e3
    return {
        "object": message.object,
        "state": message.state,
        "method": message.method,
        "label": message.label.name if message.label is not None else "",
        "confirmed": asdict(message.confirmed) if message.confirmed is not None else None,
        "corrected": None if corrected is None else {"number": corrected.number, "points": corrected.clicks},
        "word": None if message.word is None else {"text": message.word.text, "score": round(message.word.score, 3)},
        "prompt": message.prompt,
        "score": round(message.score, 3),
        "confidence": round(message.confidence, 3),
        "carried_ms": round(message.carried_ms, 1),
        "gaze": [round(message.gaze.x, 1), round(message.gaze.y, 1), round(message.gaze.radius, 1)],
        "gaze_to_mask_ms": round((published_ns - timing.gaze_received) / 1e6, 1) if is_gazed else None,
        "frame_to_mask_ms": round((published_ns - timing.frame_received) / 1e6, 1),
        "keyframe_age_ms": round(age_ms, 1) if is_decoded else None,
        "decode_ms": round((timing.decode_end - timing.decode_start) / 1e6, 1) if is_decoded else None,
    }
