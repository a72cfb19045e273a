"""One connection to a network stream: its packets with their capture times, and the frames decoded from them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import av

from engines import Image
from realtime.infra.clock import now_ns
from realtime.sources.video.capture_clock import CaptureClock
from realtime.sources.video.decoding import FrameDecoder, FrameTimes, VideoPacket, end_packet, measure_rate
from realtime.sources.video.frame_images import ImageConverter

MAX_DELAY_NS = 250_000_000
"""A paced stream that is later than this goes on later."""
MAX_STEP_S = 10.0
"""A longer step in the times of a paced stream begins a new stretch of time."""
_TIMED_FORMATS = {"rtsp", "rtp", "sdp", "mpegts", "flv", "hls"}
"""Formats whose presentation times run as the sender's clock; FFmpeg makes up those of the others."""

_HELD_FORMATS = {"rtsp", "rtp", "sdp", "mpegts"}
"""Formats of which FFmpeg knows that a frame of H.264 or H.265 is whole only when the next one begins."""
MAX_HOLD_NS = 200_000_000


@dataclass(frozen=True, slots=True, eq=False)
class FrameTiming:
    """Holds when a frame arrived and when it was captured, ns on the host's clock."""

    received_ns: int
    captured_ns: int


class StreamConnection:
    """Receives packets on one thread and decodes them on another.

    is_recorded: it is a file, which begins when it is played. is_paced: frames come in advance, in bursts, and are to
    be shown by their times.
    """

    def __init__(self, container: av.container.InputContainer, stream: av.VideoStream, kind: str) -> None:
        """kind: the scheme of the address."""
        formats = set(container.format.name.split(","))
        self.is_recorded = kind in ("http", "https") and _is_file(container)
        self.is_paced = self.is_recorded or "hls" in formats
        self.clock = CaptureClock()
        self._container, self._stream = container, stream
        self._is_timed = bool(formats & _TIMED_FORMATS)
        self._is_held = bool(formats & _HELD_FORMATS) and stream.codec_context.name in ("h264", "hevc")
        self._presented_ns: int | None = None
        stream.thread_type = "SLICE"  # threads that work on whole frames would delay each by some frames
        stream.codec_context.copy_opaque = True
        self._decoder, self._converter = FrameDecoder(stream), ImageConverter()
        self._times = FrameTimes(measure_rate(stream), max_step_s=MAX_STEP_S)
        self._anchor_ns: int | None = None

    def packets(self) -> Iterator[tuple[VideoPacket, FrameTiming]]:
        """Yield packets and their timing until the sender ends, a recording's last one empty.

        Raises what PyAV raises.
        """
        for packet in self._container.demux(self._stream):
            if packet.size:
                received_ns = now_ns()
                presented_ns = None
                if self._is_timed and packet.pts is not None:
                    presented_ns = round(packet.pts * packet.time_base * 1_000_000_000)
                held_ns = self._measure_hold(presented_ns)
                captured_ns = self.clock.capture_ns(received_ns, _read_sender_ns(packet), presented_ns, held_ns)
                timing = FrameTiming(received_ns, captured_ns)
                packet.opaque = timing  # the decoder hands it on to the frame
                yield packet, timing
        if self.is_recorded:
            yield end_packet(self._stream), FrameTiming(now_ns(), now_ns())

    def _measure_hold(self, presented_ns: int | None) -> int:
        """Return the interval to the frame before, if FFmpeg holds a frame back until it sees the next one."""
        before_ns, self._presented_ns = self._presented_ns, presented_ns
        if not self._is_held or presented_ns is None or before_ns is None:
            return 0
        return min(max(0, presented_ns - before_ns), MAX_HOLD_NS)

    def decode(self, packet: VideoPacket) -> tuple[list[av.VideoFrame], int]:
        """Return the frames that a packet finishes, and the number that cannot be decoded."""
        frames = list(self._decoder.decode(packet))
        undecodable, self._decoder.undecodable = self._decoder.undecodable, 0
        return frames, undecodable

    def restart_decoder(self) -> None:
        """Forget earlier frames, because packets were left out."""
        self._decoder.restart()

    def due_ns(self, frame: av.VideoFrame) -> int:
        """Return when a frame of a paced stream is to be shown; one that is late delays all later ones."""
        at_ns = round(self._times.place(frame.time) * 1e9)
        if self._anchor_ns is None or now_ns() - self._anchor_ns - at_ns > MAX_DELAY_NS:
            self._anchor_ns = now_ns() - at_ns
        return self._anchor_ns + at_ns

    def convert(self, frame: av.VideoFrame) -> tuple[Image, FrameTiming]:
        """Return the image of a decoded frame, and its timing; raises `CONVERSION_ERRORS`."""
        timing = frame.opaque if isinstance(frame.opaque, FrameTiming) else FrameTiming(now_ns(), now_ns())
        return self._converter.convert(frame), timing


def _is_file(container: av.container.InputContainer) -> bool:
    """Check whether a server sends a whole file: of a known duration, or size, and no single picture."""
    name = container.format.name
    return bool(container.duration) or ("hls" not in name and "pipe" not in name and (container.size or -1) > 0)


def _read_sender_ns(packet: VideoPacket) -> int | None:
    """Return the sender's time of capture, ns since 1970, by its RTCP reports (`AVProducerReferenceTime` of FFmpeg)."""
    if not packet.has_sidedata("prft"):
        return None
    return int(struct.unpack_from("<q", bytes(packet.get_sidedata("prft")))[0]) * 1000
