"""Receives frames from a network stream with FFmpeg (PyAV), and connects again after every loss."""

from __future__ import annotations

import logging
from typing import TypeAlias

import av

from realtime.errors import SourceError
from realtime.infra.clock import now_ns
from realtime.infra.frame_pacing import FramePacing
from realtime.sources.base import ThreadedSource
from realtime.sources.video.decoding import VideoPacket, choose_stream
from realtime.sources.video.frame_images import CONVERSION_ERRORS
from realtime.sources.video.hardware import open_accelerated
from realtime.sources.video.interruption import interrupt_on
from realtime.sources.video.packet_queue import PacketQueue, QueuedPacket
from realtime.sources.video.stream_connection import FrameTiming, StreamConnection
from realtime.sources.video.stream_options import StreamSettings
from realtime.types import Frame, OnEvent, OnFrame, SourceStatus

log = logging.getLogger(__name__)

RETRY_S = 1.0
SILENCE_NS = 2_000_000_000
"""Without frames for so long, a stream is `waiting`."""
MAX_AHEAD = 60
"""Packets of a paced stream that are kept ahead."""
MIN_OFFSET_S = 0.1
"""A smaller error of the sender's clock is not worth a line in the log."""
_TICK_S = 0.2
_SILENT = "sends no pictures"
_UNDECODABLE = "sends pictures that cannot be decoded, or no keyframe yet"

_Item: TypeAlias = tuple[StreamConnection, VideoPacket]


class StreamFrames(ThreadedSource):
    """A `FrameSource` that receives RTSP, HTTP (MJPEG, HLS and files), UDP, RTP and RTMP.

    One thread receives and never waits for the other, which decodes and publishes the newest frame; frames that come
    faster than they are decoded are counted as `late`. `timestamp` is the capture time on the host's clock in seconds.
    """

    def __init__(self, settings: StreamSettings) -> None:
        super().__init__(f"opening {settings.name}")
        self._settings, self._name = settings, settings.name
        self._queue: PacketQueue[_Item] = PacketQueue()
        self._on_frame: OnFrame = lambda frame: None
        self._connection: StreamConnection | None = None
        self._problem, self._is_clock_reported = _SILENT, False
        self._silent_since_ns: int | None = None
        self._index = self._captured_ns = self._packet_ns = 0
        self.pacing = FramePacing()

    def start(self, on_frame: OnFrame, on_event: OnEvent | None = None) -> None:
        """Start the threads; the stream may appear later."""
        self._on_frame = on_frame
        works = {f"receive {self._name}": self._receive, f"frames {self._name}": self._publish_frames}
        self._start_threads(on_event, **works)

    def status(self) -> SourceStatus:
        """Return state and counts; a stream without frames is `waiting`."""
        self._report_silence()
        connection = self._connection
        return self._monitor.status(connection.clock.status(now_ns()) if connection else None)

    def _report_silence(self) -> None:
        """Set the state to waiting, with the last problem, when no frame came for a while."""
        if self._silent_since_ns is None or now_ns() - self._silent_since_ns < SILENCE_NS or self._stop.is_set():
            return
        advice = "check the address, the password and that it is switched on"
        if self._settings.is_awaited:
            advice = "start the sender, or check its address"
        problem = self._problem
        if problem == _SILENT and now_ns() - self._packet_ns < SILENCE_NS:
            problem = _UNDECODABLE
        problem = problem if ";" in problem else f"{problem}; {advice}"
        self._monitor.set_state("waiting", f"{self._name} {problem}")

    def _receive(self) -> None:
        interrupt_on(self._stop)
        while not self._stop.is_set():
            try:
                self._receive_once()
            except av.ProtocolNotFoundError:
                raise SourceError(
                    f"the FFmpeg of the package av has no {self._settings.kind}; send rtsp or udp instead"
                ) from None
            except (av.FFmpegError, OSError, ValueError):
                pass  # the problem was noted where it can be told what it was
            self._report_silence()
            self._stop.wait(RETRY_S)

    def _receive_once(self) -> None:
        """Connect, and receive until the connection ends."""
        with self._connect() as container:
            stream = choose_stream(container)
            if stream is None:
                self._note_problem("has no video that can be decoded; check the address")
                return
            self._problem, self._silent_since_ns = _SILENT, now_ns()
            connection = self._connection = StreamConnection(container, stream, self._settings.kind)
            self._queue.is_paced = connection.is_paced
            for packet, timing in connection.packets():
                self._packet_ns = timing.received_ns
                self._report_clock(connection)
                self._queue.put(QueuedPacket((connection, packet), packet.is_keyframe, timing.received_ns))
                while connection.is_paced and not self._queue.wait_below(MAX_AHEAD, _TICK_S):
                    if self._stop.is_set():
                        return
                if self._stop.is_set():
                    return
        if connection.is_recorded:
            self._stop.wait()

    def _report_clock(self, connection: StreamConnection) -> None:
        """Write into the log, once, that the sender's clock is wrong."""
        status = None if self._is_clock_reported or connection.clock.is_trusted else connection.clock.status(now_ns())
        if status is not None and abs(status.offset_s) > MIN_OFFSET_S:
            self._is_clock_reported = True
            log.warning(
                "%s: the sender's clock is off by %.1f s; set it by NTP. The smallest delay is taken for none",
                self._name,
                status.offset_s,
            )

    def _connect(self) -> av.container.InputContainer:
        """Open the stream; notes why it cannot be opened."""
        try:
            settings = self._settings
            return open_accelerated(
                settings.url, settings.hwaccel, options=settings.build_options(), timeout=settings.timeout
            )
        except (av.HTTPUnauthorizedError, av.HTTPForbiddenError):
            self._note_problem("refuses the user or the password; check both in the address")
            raise
        except av.HTTPNotFoundError:
            self._note_problem("has nothing at this path; check the address")
            raise
        except av.ExitError:  # the time is up; what was wrong before still is
            self._note_problem(self._problem)
            raise
        except (av.FFmpegError, OSError, ValueError):
            self._note_problem("cannot be opened")
            raise

    def _note_problem(self, problem: str) -> None:
        """Note why the stream cannot be opened, which is reported at once."""
        self._problem, self._silent_since_ns = problem, -SILENCE_NS

    def _publish_frames(self) -> None:
        while not self._stop.is_set():
            packets, is_anew = self._queue.take(_TICK_S)
            if packets and is_anew:
                packets[0].packet[0].restart_decoder()
            self._monitor.count_dropped("late", self._queue.count_late())
            if self._queue.is_paced:
                self._publish_when_due(packets)
            else:
                self._publish_newest(packets)

    def _publish_when_due(self, packets: list[QueuedPacket[_Item]]) -> None:
        """Decode packets, and publish all their frames when they are due."""
        for item in packets:
            connection, packet = item.packet
            for frame in self._decode(connection, packet):
                due_ns = connection.due_ns(frame)
                self._stop.wait(max(0, due_ns - now_ns()) / 1e9)
                self._publish(connection, frame, FrameTiming(due_ns, due_ns) if connection.is_recorded else None)
            if not packet.size and not self._stop.is_set():
                self._monitor.set_state("ended", f"{self._name} was played to its end, {self._index} frames")
                self._stop.set()

    def _publish_newest(self, packets: list[QueuedPacket[_Item]]) -> None:
        """Decode the packets that the newest frame needs, and publish that."""
        newest: tuple[StreamConnection, av.VideoFrame] | None = None
        for item in packets:
            connection, packet = item.packet
            for frame in self._decode(connection, packet):
                self._monitor.count_dropped("late", int(newest is not None))
                newest = connection, frame
        if newest is not None:
            self._publish(*newest)

    def _decode(self, connection: StreamConnection, packet: VideoPacket) -> list[av.VideoFrame]:
        if self._stop.is_set():
            return []
        frames, undecodable = connection.decode(packet)
        self._monitor.count_dropped("undecodable", undecodable)
        return frames

    def _publish(self, connection: StreamConnection, frame: av.VideoFrame, timing: FrameTiming | None = None) -> None:
        if self._stop.is_set():
            return
        if not self.pacing.admit():
            self._silent_since_ns = now_ns()
            return
        try:
            image, own_timing = connection.convert(frame)
        except CONVERSION_ERRORS:
            self._monitor.count_dropped("undecodable")
            return
        timing = timing or own_timing
        self._captured_ns = max(timing.captured_ns, self._captured_ns + 1)
        self._silent_since_ns = now_ns()
        self._monitor.count_received()
        self._monitor.set_state("running")
        received_ns = max(timing.received_ns, self._captured_ns)
        self._on_frame(Frame(image, self._index, self._captured_ns / 1e9, self._captured_ns, received_ns))
        self._index += 1
