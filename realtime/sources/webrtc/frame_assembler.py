"""Assembles encoded frames from RTP packets with as little delay as a network allows.

aiortc's own buffer holds a frame until the first packet of the next one has come, a whole frame's time, and waits for a
lost packet until the buffer is full, more than a second. Here the marker bit ends a frame (RFC 3550, 5.1), and a
frame that lacks a packet for `MAX_WAIT_NS` is given up, with all that depend on it until a whole picture comes.
"""

from __future__ import annotations

from typing import Any

from aiortc.jitterbuffer import JitterBuffer, JitterFrame

from realtime.infra.clock import now_ns
from realtime.sources.webrtc.rtp_timeline import RtpTimeline, read_capture_time

CAPTURE_TIME_FIELD = "abs_capture_time"
"""Attribute of a packet's extensions with the bytes of that one, where it has it."""
CAPACITY = 1024
"""Packets; far more than come in `MAX_WAIT_NS`."""
MAX_WAIT_NS = 150_000_000
"""Longest wait for a packet that was lost: a request and its answer over a mobile network."""
MAX_KEYFRAME_WAIT_NS = 2_000_000_000
REQUEST_EVERY_NS = 250_000_000
"""Period of the requests for a whole picture."""
_ARRIVALS_KEPT = 64
_SEARCHED = 256
"""Packets that are searched for one that is missing; a large frame has half as many."""
_H264_START, _VP8_START = b"\x00\x00\x00\x01", b"\x9d\x01\x2a"


class FrameAssembler(JitterBuffer):
    """A jitter buffer of one video, in place of aiortc's; on the event loop's thread.

    first_timestamp: RTP timestamp of the first frame that was passed on. given_up: frames that lacked packets, or
    depended on those.
    """

    def __init__(self, timeline: RtpTimeline) -> None:
        """timeline: receives times of capture that packets carry."""
        super().__init__(capacity=CAPACITY, is_video=True)
        self._timeline = timeline
        self.first_timestamp: int | None = None
        self.given_up = 0
        self._arrivals: dict[int, int] = {}
        self._blocked_ns: int | None = None
        self._has_packets = False
        self._keyframe_ns: int | None = None  # since when a whole picture is awaited
        self._requested_ns = 0

    def arrival_ns(self, timestamp: int) -> int | None:
        """Return when the last packet of a frame arrived; None for one long ago."""
        return self._arrivals.get(timestamp)

    def add(self, packet: Any) -> tuple[bool, JitterFrame | None]:
        """Add a packet; returns whether to request a whole picture, and a frame that is complete."""
        arrived_ns = now_ns()
        stamp = getattr(packet.extensions, CAPTURE_TIME_FIELD, None)
        if stamp is not None and (captured_s := read_capture_time(stamp)) is not None:
            self._timeline.add_stamp(packet.timestamp, captured_s)
        self._arrivals[packet.timestamp] = arrived_ns
        while len(self._arrivals) > _ARRIVALS_KEPT:
            del self._arrivals[next(iter(self._arrivals))]
        if not self._has_packets:  # a sender begins with a whole picture, unless its beginning was lost
            self._has_packets, self._keyframe_ns, self._requested_ns = True, arrived_ns, arrived_ns
        has_lost, frame = super().add(packet)
        if frame is None or not frame.data:  # without data are packets that only probe the bandwidth
            frame = self._remove_marked()
        if frame is not None:
            self._blocked_ns = None
        elif self._give_up_blocked(arrived_ns):
            has_lost, frame = True, self._remove_marked()
        if has_lost and self._keyframe_ns is None:
            self._keyframe_ns = arrived_ns
        frame = self._check_dependency(frame, arrived_ns)
        if frame is not None and self.first_timestamp is None:
            self.first_timestamp = frame.timestamp
        return self._should_request(arrived_ns), frame

    def _remove_marked(self) -> JitterFrame | None:
        """Remove the first frame if its packets are complete up to the marker."""
        packets: list[Any] = []
        for count in range(self._capacity):
            packet = self._packet_at(count)
            if packet is None or (packets and packet.timestamp != packets[0].timestamp):
                return None
            packets.append(packet)
            if packet.marker:
                self.remove(len(packets))
                return JitterFrame(b"".join(each._data for each in packets), packet.timestamp)
        return None

    def _packet_at(self, count: int) -> Any:
        return self._packets[((self._origin or 0) + count) % self._capacity]

    def _give_up_blocked(self, now: int) -> bool:
        """Remove the frame that lacks a packet, and the one whose beginning may be lost with it, after the wait."""
        present = [self._packet_at(count) is not None for count in range(_SEARCHED)]
        gap = present.index(False) if False in present else len(present)
        behind = next((count for count in range(gap, len(present)) if present[count]), None)
        if behind is None:
            self._blocked_ns = None
            return False
        if self._blocked_ns is None:
            self._blocked_ns = now
        if now - self._blocked_ns <= MAX_WAIT_NS:
            return False
        self._blocked_ns = None
        self.given_up += 1
        self.smart_remove(behind + 1)
        return True

    def _check_dependency(self, frame: JitterFrame | None, now: int) -> JitterFrame | None:
        """Drop frames that depend on one that was given up, until a whole picture comes."""
        if frame is None or self._keyframe_ns is None:
            return frame
        if is_keyframe(frame.data) or now - self._keyframe_ns > MAX_KEYFRAME_WAIT_NS:
            self._keyframe_ns, self._requested_ns = None, 0
            return frame
        self.given_up += 1
        return None

    def _should_request(self, now: int) -> bool:
        if self._keyframe_ns is None or now - self._requested_ns < REQUEST_EVERY_NS:
            return False
        self._requested_ns = now
        return True


def is_keyframe(data: bytes) -> bool:
    """Whether an encoded frame depends on no other: H.264 with an IDR picture, VP8's key frames; others always."""
    if data.startswith(_H264_START):
        return any(part[:1] and part[0] & 0x1F == 5 for part in data.split(_H264_START)[1:])
    return data[3:6] == _VP8_START or not data[0] & 1
