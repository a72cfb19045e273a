"""Receives frames from a network stream with FFmpeg (PyAV), and connects again after every loss."""

from __future__ import annotations

from typing import TypeAlias

import av

from realtime.errors import SourceError
from realtime.infra.clock import now_ns
from realtime.sources.base import ThreadedSource
from realtime.sources.video.decoding import VideoPacket, choose_stream
from realtime.sources.video.hardware import open_accelerated
from realtime.sources.video.interruption import interrupt_on
from realtime.sources.video.packet_queue import PacketQueue, QueuedPacket
from realtime.sources.video.stream_connection import FrameTiming, StreamConnection
from realtime.sources.video.stream_options import StreamSettings
from realtime.types import Frame, OnEvent, OnFrame, SourceStatus

RETRY_S = 1.0
SILENCE_NS = 2_000_000_000
"""Without frames for so long, a stream is `waiting`."""
MAX_DELAY_NS = 250_000_000
"""A paced stream that is later than this goes on later."""
MAX_WAIT_NS = 10_000_000_000
"""A time of presentation that is further ahead begins a new stretch of time."""
MAX_AHEAD = 60
"""Packets of a paced stream that are kept ahead."""
_TICK_S = 0.2
_SILENT = "sends no pictures"

_Item: TypeAlias = "tuple[StreamConnection, VideoPacket | None]"


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
        self._problem = _SILENT
        self._silent_since_ns: int | None = None
        self._index = self._captured_ns = 0
        self._anchor_ns: int | None = None

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
        problem = self._problem if ";" in self._problem else f"{self._problem}; {advice}"
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
            self._problem = _SILENT
            self._silent_since_ns = self._silent_since_ns or now_ns()
            connection = self._connection = StreamConnection(container, stream, self._settings.kind)
            for packet, timing in connection.packets():
                self._queue.put(QueuedPacket((connection, packet), packet.is_keyframe, timing.received_ns))
                while connection.is_paced and not self._queue.wait_below(MAX_AHEAD, _TICK_S):
                    if self._stop.is_set():
                        return
                if self._stop.is_set():
                    return
        if connection.is_recorded:
            self._queue.put(QueuedPacket((connection, None), True, now_ns()))
            self._stop.wait()

    def _connect(self) -> av.container.InputContainer:
        """Open the stream; notes why it cannot be opened."""
        try:
            settings = self._settings
            return open_accelerated(
                settings.url, settings.hwaccel, options=settings.build_options(), timeout=settings.timeout
            )
        except av.HTTPUnauthorizedError:
            self._note_problem("refuses the user or the password; check both in the address")
            raise
        except av.HTTPNotFoundError:
            self._note_problem("has nothing at this path; check the address")
            raise
        except av.ExitError:
            self._note_problem(_SILENT if self._settings.is_awaited else "cannot be opened")
            raise
        except (av.FFmpegError, OSError, ValueError):
            self._note_problem("cannot be opened")
            raise

    def _note_problem(self, problem: str) -> None:
        self._problem = problem
        if self._silent_since_ns is None:  # nothing ever came
            self._silent_since_ns = now_ns() - SILENCE_NS

    def _publish_frames(self) -> None:
        while not self._stop.is_set():
            connection = self._connection
            if connection is not None and connection.is_paced:
                self._publish_next()
            else:
                self._publish_newest()

    def _publish_next(self) -> None:
        """Decode the next packet, and publish its frames when they are due."""
        item = self._queue.take_next(_TICK_S)
        if item is None:
            return
        connection, packet = item.packet
        for frame in self._decode(connection, packet):
            due_ns = self._wait_until_due(frame)
            self._publish(connection, frame, FrameTiming(due_ns, due_ns) if connection.is_recorded else None)
        if packet is None and not self._stop.is_set():
            self._monitor.set_state("ended", f"{self._name} was played to its end, {self._index} frames")
            self._stop.set()

    def _wait_until_due(self, frame: av.VideoFrame) -> int:
        at_ns = round((frame.time or 0.0) * 1e9)
        if self._anchor_ns is None or not -MAX_WAIT_NS < now_ns() - self._anchor_ns - at_ns < MAX_DELAY_NS:
            self._anchor_ns = now_ns() - at_ns
        due_ns = self._anchor_ns + at_ns
        self._stop.wait(max(0, due_ns - now_ns()) / 1e9)
        return due_ns

    def _publish_newest(self) -> None:
        """Decode the waiting packets that the newest frame needs, and publish that."""
        packets, is_anew = self._queue.take_newest(_TICK_S)
        late, newest = self._queue.count_late(), None
        for item in packets:
            connection, packet = item.packet
            if is_anew:
                connection.restart_decoder()
                is_anew = False
            for frame in self._decode(connection, packet):
                late += int(newest is not None)
                newest = connection, frame
        self._monitor.count_dropped("late", late)
        if newest is not None:
            self._publish(*newest)

    def _decode(self, connection: StreamConnection, packet: VideoPacket | None) -> list[av.VideoFrame]:
        if self._stop.is_set():
            return []
        frames, undecodable = connection.decode(packet)
        self._monitor.count_dropped("undecodable", undecodable)
        return frames

    def _publish(self, connection: StreamConnection, frame: av.VideoFrame, timing: FrameTiming | None = None) -> None:
        if self._stop.is_set():
            return
        image, own_timing = connection.convert(frame)
        timing = timing or own_timing
        self._captured_ns = max(timing.captured_ns, self._captured_ns + 1)
        self._silent_since_ns = now_ns()
        self._monitor.count_received()
        self._monitor.set_state("running")
        received_ns = max(timing.received_ns, self._captured_ns)
        self._on_frame(Frame(image, self._index, self._captured_ns / 1e9, self._captured_ns, received_ns))
        self._index += 1
