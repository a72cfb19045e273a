"""Sends requested moments of a recording to viewers, and never waits for any of them.

A viewer has one frame in flight: of the requests it makes meanwhile the newest wins, and it receives the next frame
after it acknowledges the last. Frames are sent as recorded; only PNG is converted to JPEG.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from realtime.correction.editor import ReviewEditor
from realtime.correction.state import CorrectedMask
from realtime.media.jpeg import encode_jpeg
from realtime.recording.timeline import Timeline, TimelineMoment
from realtime.viewer.clients import ClientSlot, ClientSlots
from realtime.viewer.contours import find_contours
from realtime.viewer.frame_broadcaster import target_fields
from realtime.viewer.page_messages import SeekRequest, pack_view_frame

log = logging.getLogger(__name__)


class TimelineBroadcaster(ClientSlots[SeekRequest]):
    """A broadcaster that serves seek requests round-robin on its own thread, between `start` and `stop`."""

    def __init__(self, timeline: Timeline, editor: ReviewEditor, jpeg_quality: int) -> None:
        super().__init__()
        self._timeline, self._editor, self._quality = timeline, editor, jpeg_quality

    def start(self) -> None:
        """Start the sending thread."""
        self.start_thread("timeline-broadcaster", self._send_frames)

    def seek(self, client: ClientSlot[SeekRequest], request: SeekRequest) -> None:
        """Request a moment for a viewer; an earlier request that was not served yet is skipped. Any thread."""
        with self.changed:
            client.skipped += client.request is not None
            self.change_request(client, request)

    def _next_client(self) -> ClientSlot[SeekRequest] | None:
        return next((client for client in self.clients if client.is_ready and client.request is not None), None)

    def _send_frames(self) -> None:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.is_stopped or self._next_client() is not None)
                client = self._next_client()
                if self.is_stopped or client is None:
                    return
                request, client.request = client.request, None
                client.is_ready, client.sent_seq = False, client.sent_seq + 1
                seq = client.sent_seq
                self.clients.remove(client)  # to the end of the queue
                self.clients.append(client)
            if request is not None:
                client.send_frame(seq, self._pack(request, seq))

    def _pack(self, request: SeekRequest, seq: int) -> bytes:
        timeline = self._timeline
        if request.n is None:
            number = timeline.find_frame(round((request.ms or 0.0) * 1e6))
        else:
            number = min(request.n, len(timeline) - 1)
        try:
            moment = timeline.read_moment(number)
            frame = moment.frame
            jpeg = frame.data if frame.format == "jpeg" else encode_jpeg(frame.decode().image, self._quality)
            corrected = self._find_corrected(moment, request.object)
            recorded = moment.message.mask if moment.message else None
            contours = find_contours(corrected.unpack() if corrected is not None else recorded)
            header = {**_moment_header(moment, seq), "corrected": self._describe_corrected(moment, corrected)}
            return pack_view_frame(header, contours, jpeg)
        except Exception as error:  # files may be broken in ways of their own; one moment must not be the last
            log.info("a moment of a recording failed", exc_info=log.isEnabledFor(logging.DEBUG))
            self.count_failure()
            return pack_view_frame({"seq": seq, "n": max(0, number), "error": f"frame {number + 1}: {error}"}, [], b"")

    def _find_corrected(self, moment: TimelineMoment, object_id: int) -> CorrectedMask | None:
        """Find the corrected mask to show: of the requested object, of the recorded one, or of any where none is."""
        found = self._editor.state.find_masks(moment.frame.key)
        message = moment.message
        shown = message.object if message is not None and message.state != "lost" else 0
        is_free = not shown or object_id == 0
        return found.get(object_id) or found.get(shown) or (next(iter(found.values()), None) if is_free else None)

    def _describe_corrected(self, moment: TimelineMoment, corrected: CorrectedMask | None) -> Mapping[str, Any] | None:
        """Describe a corrected mask, with the prompt of the correction in this very frame; None without one."""
        if corrected is None:
            return None
        anchor = self._editor.state.list_anchors(corrected.object).get(moment.frame.key)
        if corrected.is_carried or anchor is None:
            return {"object": corrected.object, "carried": True}
        return {
            "object": corrected.object, "carried": False, "points": anchor.points, "box": anchor.box,
            "candidate": anchor.chosen, "candidates": len(anchor.candidates), "means": anchor.means,
        }  # fmt: skip


def _moment_header(moment: TimelineMoment, seq: int) -> Mapping[str, Any]:
    """Return the header of a frame message; times in ms since the recording began."""
    frame, message = moment.frame, moment.message
    fields: dict[str, Any] = {
        "seq": seq,
        "n": moment.number,
        "ms": round(moment.at_ns / 1e6, 2),
        "until_ms": round(moment.until_ns / 1e6, 2),
        "frame": {"index": frame.index, "timestamp": frame.timestamp},
        "own_mask": moment.own,
        "target": None,
    }
    if message is not None:
        fields["target"] = target_fields(message, message.published_ns)
        fields["frame"] |= {"width": message.frame.width, "height": message.frame.height}
    return fields
