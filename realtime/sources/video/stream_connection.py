"""One connection to a network stream: its packets with their capture times, and the frames decoded from them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import av

from engines import Image
from realtime.infra.clock import now_ns
from realtime.sources.video.capture_clock import CaptureClock
from realtime.sources.video.decoding import FrameDecoder, VideoPacket
from realtime.sources.video.frame_images import ImageConverter

_TIMED_FORMATS = {"rtsp", "rtp", "sdp", "mpegts", "flv", "hls"}
"""Formats whose presentation times run as the sender's clock; FFmpeg makes up those of the others."""


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
        self.is_recorded = kind in ("http", "https") and bool(container.duration)
        self.is_paced = self.is_recorded or "hls" in formats
        self.clock = CaptureClock()
        self._container, self._stream = container, stream
        self._is_timed = bool(formats & _TIMED_FORMATS)
        stream.thread_type = "SLICE"  # threads that work on whole frames would delay each by some frames
        stream.codec_context.copy_opaque = True
        self._decoder, self._converter = FrameDecoder(stream), ImageConverter()

    def packets(self) -> Iterator[tuple[VideoPacket, FrameTiming]]:
        """Yield packets and their timing until the sender ends; raises what PyAV raises."""
        for packet in self._container.demux(self._stream):
            if packet.size:
                received_ns = now_ns()
                presented_ns = None
                if self._is_timed and packet.pts is not None:
                    presented_ns = round(packet.pts * packet.time_base * 1_000_000_000)
                captured_ns = self.clock.capture_ns(received_ns, _read_sender_ns(packet), presented_ns)
                timing = FrameTiming(received_ns, captured_ns)
                packet.opaque = timing  # the decoder hands it on to the frame
                yield packet, timing

    def decode(self, packet: VideoPacket | None) -> tuple[list[av.VideoFrame], int]:
        """Return the frames that a packet, or the end, finishes, and the number that cannot be decoded."""
        frames = list(self._decoder.decode(packet))
        undecodable, self._decoder.undecodable = self._decoder.undecodable, 0
        return frames, undecodable

    def restart_decoder(self) -> None:
        """Forget earlier frames, because packets were left out."""
        self._decoder.restart()

    def convert(self, frame: av.VideoFrame) -> tuple[Image, FrameTiming]:
        """Return the image of a decoded frame, and its timing."""
        timing = frame.opaque if isinstance(frame.opaque, FrameTiming) else FrameTiming(now_ns(), now_ns())
        return self._converter.convert(frame), timing


def _read_sender_ns(packet: VideoPacket) -> int | None:
    """Return the sender's time of capture, ns since 1970, by its RTCP reports (`AVProducerReferenceTime` of FFmpeg)."""
    if not packet.has_sidedata("prft"):
        return None
    return int(struct.unpack_from("<q", bytes(packet.get_sidedata("prft")))[0]) * 1000
