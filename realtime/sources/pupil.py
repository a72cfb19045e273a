"""Frames and gaze from a Pupil-compatible device over ZeroMQ, through restarts, clock jumps and hostile messages.

A source has two threads: one asks the device's remote about once a second for its port and its time, the other
receives. Frames and gaze are two sources that share nothing, so that decoding a JPEG never delays a look.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

import msgpack

from realtime.comms.sockets import MAX_MESSAGE_BYTES, PupilSubscription, RequestSocket, check_endpoint
from realtime.errors import RequestTimeout
from realtime.infra.clock import ClockMap, now_ns
from realtime.sources.base import ThreadedSource
from realtime.sources.depth import DepthFrame, LiveDepth, clean_depth
from realtime.sources.pupil_messages import (
    DEPTH_FORMATS,
    MAX_TIME_S,
    FrameHeader,
    MalformedMessage,
    read_depth,
    read_frame_header,
    read_gaze,
    read_pixels,
)
from realtime.types import Frame, GazeSample, OnEvent, OnFrame, OnGaze, SourceStatus

DEFAULT_PORT = 50020
CHECK_EVERY_S = 1.0
"""How often the remote is asked for its port and time; a restart is noticed within this."""
SILENCE_NS = 1_500_000_000
"""Without a usable message for this long a device that answers is `waiting`."""
REQUEST_FRAMES_AFTER_NS = 2_000_000_000
INITIAL_PROBES = 5
CLOCK_DOUBT_NS = 200_000_000
"""When a message's timestamp runs away from its arrival by this, the device's clock may have been set."""
_DRAIN = 64
_LONGEST_GAP = 1000
"""Indices further apart than this were not lost, they were counted anew."""


class _PupilConnection(ThreadedSource):
    """A device's remote and one of its topics: finds the port, keeps the clock, receives, notices what is missing."""

    def __init__(self, host: str, port: int, topic: str, queue: int) -> None:
        self._host = f"[{host}]" if ":" in host else host
        self.address = check_endpoint(f"tcp://{self._host}:{port}")
        self._topic, self._queue = topic, queue
        super().__init__(f"asking {self.address}")
        self.monitor = self._monitor
        self.clock = ClockMap()
        self._feed_port: int | None = None
        self._good_ns = self._asked_frames_ns = 0  # last usable message, last request for frames
        self._connected_ns: int | None = None
        self._lag_ns: int | None = None
        self._doubt_ns = self._probed_ns = 0
        self._probes = 0
        self._wake = threading.Event()

    def start(self, take: Callable[[PupilSubscription, list[bytes]], None], on_event: OnEvent | None) -> None:
        """Begin both threads; `take` gets each message, and the feed to take more from."""
        works = {f"{self._topic} remote": self._keep_contact, f"{self._topic} feed": lambda: self._receive(take)}
        self._start_threads(on_event, **works)

    def stop(self) -> None:
        """End both threads."""
        self._stop.set()
        self._wake.set()
        super().stop()

    def status(self) -> SourceStatus:
        """State, counts and clock."""
        return self.monitor.status(self.clock.status(now_ns()))

    def captured_ns(self, timestamp: float, received_ns: int) -> int:
        """Host time of a device timestamp; the receive time before the first probe and while the clock is in doubt."""
        lag_ns = received_ns - round(timestamp * 1e9)
        if self._lag_ns is not None and abs(lag_ns - self._lag_ns) > CLOCK_DOUBT_NS:
            self._doubt_ns = received_ns
            self._wake.set()
        self._lag_ns = lag_ns
        mapped_ns = self.clock.host_ns(timestamp)
        if mapped_ns is None or self._doubt_ns >= self._probed_ns:
            return received_ns
        return min(mapped_ns, received_ns)

    def good(self, received_ns: int) -> None:
        """A message was usable."""
        self._good_ns = received_ns
        self.monitor.set_state("running")

    def _keep_contact(self) -> None:
        remote, pause_s = RequestSocket(self.address), 0.1
        try:
            while not self._stop.is_set():
                try:
                    self._check(remote)
                    pause_s = 0.1
                except RequestTimeout:
                    self._connected_ns, self._probes = None, 0
                    if now_ns() - self._good_ns > SILENCE_NS:
                        self.monitor.set_state("connecting", f"no answer from {self.address}; start the device there")
                    self._stop.wait(pause_s)
                    pause_s = min(2 * pause_s, 0.5)
                    continue
                self._wake.wait(CHECK_EVERY_S)
                self._wake.clear()
                self._stop.wait(0.05)  # doubt may wake us often, but not without pause
        finally:
            remote.close()

    def _check(self, remote: RequestSocket) -> None:
        """Ask for port and time, and say what is missing."""
        answer = remote.request("SUB_PORT")
        if not (len(answer) < 6 and answer.isascii() and answer.isdigit() and 0 < int(answer) < 65536):
            self.monitor.set_state(
                "connecting", f"{self.address} answers SUB_PORT with {answer[:40]!r}; is it a Pupil device?"
            )
            return
        self._feed_port = int(answer)
        for _ in range(INITIAL_PROBES if self._probes < INITIAL_PROBES else 1):
            if self._stop.is_set():
                return
            self._probe(remote)
        now = now_ns()
        if self._connected_ns is None:
            self._connected_ns = now
        silent_ns = now - max(self._good_ns, self._connected_ns)
        if silent_ns > SILENCE_NS:
            self.monitor.set_state("waiting", f"{self.address} answers, but sends no usable {self._topic!r} messages")
        ask_ns = now - max(self._good_ns, self._connected_ns, self._asked_frames_ns)
        if self._topic.startswith("frame.") and ask_ns > REQUEST_FRAMES_AFTER_NS:
            self._asked_frames_ns = now
            subject = "frame_publishing.set_format"
            remote.send_message(f"notify.{subject}", msgpack.packb({"subject": subject, "format": "jpeg"}))

    def _probe(self, remote: RequestSocket) -> None:
        sent_ns = now_ns()
        answer = remote.request("t")
        received_ns = now_ns()
        try:
            device_s = float(answer)
        except ValueError:
            device_s = math.nan
        if not abs(device_s) <= MAX_TIME_S:
            self.monitor.count_dropped("clock answer")
            return
        jumped = self.clock.add(sent_ns, device_s, received_ns)
        self._probed_ns = sent_ns
        self._probes = 1 if jumped else self._probes + 1
        if jumped:
            self._wake.set()

    def _receive(self, take: Callable[[PupilSubscription, list[bytes]], None]) -> None:
        feed: PupilSubscription | None = None
        port, refused = None, 0
        try:
            while not self._stop.is_set():
                if port != self._feed_port:
                    if feed:
                        feed.close()
                    port, refused = self._feed_port, 0
                    feed = PupilSubscription(
                        f"tcp://{self._host}:{port}", [self._topic], queue=self._queue, max_bytes=MAX_MESSAGE_BYTES
                    )
                if feed is None:
                    self._stop.wait(0.02)
                    continue
                parts = feed.receive(0.1)
                self.monitor.count_dropped("oversize", feed.refused - refused)
                refused = feed.refused
                if parts is not None:
                    take(feed, parts)
        finally:
            if feed:
                feed.close()


class PupilFrames:
    """`frame.world` of a device at `host`:`port` (the remote's port). A `FrameSource`; the newest frame only."""

    def __init__(self, host: str, port: int = DEFAULT_PORT) -> None:
        self._link = _PupilConnection(host, port, "frame.world", queue=16)
        self._on_frame: OnFrame = lambda frame: None
        self._index = -1

    def start(self, on_frame: OnFrame, on_event: OnEvent | None = None) -> None:
        """Begin, whether the device is there yet or not."""
        self._on_frame = on_frame
        self._link.start(self._take, on_event)

    def stop(self) -> None:
        """End within a second."""
        self._link.stop()

    def status(self) -> SourceStatus:
        """`dropped` counts frames that a newer one overtook ("replaced"), gaps in their indices, and bad ones."""
        return self._link.status()

    def _take(self, feed: PupilSubscription, parts: list[bytes]) -> None:
        """Of all frames that wait, decode only the newest."""
        monitor, best = self._link.monitor, None
        waiting: list[bytes] | None = parts
        for _ in range(_DRAIN):
            if waiting is None:
                break
            monitor.count_received()
            head = self._head(waiting)
            if head:
                gap = head.index - self._index - 1
                monitor.count_dropped("lost on the way", gap if self._index >= 0 and 0 < gap < _LONGEST_GAP else 0)
                self._index = head.index
                monitor.count_dropped("replaced", int(best is not None))
                best = head, waiting[2], now_ns()
            waiting = feed.receive(0)
        if best is None:
            return
        head, raw, received_ns = best
        try:
            image = read_pixels(head, raw)
        except MalformedMessage as error:
            monitor.count_dropped(str(error))
            return
        captured_ns = self._link.captured_ns(head.timestamp, received_ns)
        self._link.good(received_ns)
        jpeg = raw if head.format == "jpeg" else None
        self._on_frame(Frame(image, head.index, head.timestamp, captured_ns, received_ns, jpeg))

    def _head(self, parts: list[bytes]) -> FrameHeader | None:
        try:
            return read_frame_header(parts)
        except MalformedMessage as error:
            self._link.monitor.count_dropped(str(error))
            return None


class PupilGaze:
    """`gaze.` of a device at `host`:`port` (the remote's port). A `GazeSource`; every sample, in order of arrival."""

    def __init__(self, host: str, port: int = DEFAULT_PORT) -> None:
        self._link = _PupilConnection(host, port, "gaze.", queue=1000)
        self._on_gaze: OnGaze = lambda sample: None

    def start(self, on_gaze: OnGaze, on_event: OnEvent | None = None) -> None:
        """Begin, whether the device is there yet or not."""
        self._on_gaze = on_gaze
        self._link.start(self._take, on_event)

    def stop(self) -> None:
        """End within a second."""
        self._link.stop()

    def status(self) -> SourceStatus:
        """`dropped` counts malformed samples by reason; "no position" are those without a usable `norm_pos`."""
        return self._link.status()

    def _take(self, feed: PupilSubscription, parts: list[bytes]) -> None:
        received_ns = now_ns()
        self._link.monitor.count_received()
        try:
            look = read_gaze(parts)
        except MalformedMessage as error:
            self._link.monitor.count_dropped(str(error))
            return
        captured_ns = self._link.captured_ns(look.timestamp, received_ns)
        self._link.good(received_ns)
        self._on_gaze(GazeSample(look.x, look.y, "norm", look.confidence, look.timestamp, captured_ns, received_ns))


class PupilDepth(LiveDepth):
    """`frame.depth` of a device at `host`:`port`. A `DepthSource`; format `depth16` (mm) or `depth32f` (m).

    same_clock: the frames come from the same device, so that timestamps say which belong together.
    """

    def __init__(self, host: str, port: int = DEFAULT_PORT, *, same_clock: bool) -> None:
        super().__init__(same_clock=same_clock)
        self._link = _PupilConnection(host, port, "frame.depth", queue=8)

    def start(self) -> None:
        """Begin, whether the device is there yet or not."""
        self._link.start(self._take, None)

    def stop(self) -> None:
        """End within a second."""
        self.close()
        self._link.stop()

    def status(self) -> SourceStatus:
        """`dropped` counts malformed messages by reason."""
        return self._link.status()

    def _take(self, feed: PupilSubscription, parts: list[bytes]) -> None:
        received_ns = now_ns()
        self._link.monitor.count_received()
        try:
            head = read_frame_header(parts, DEPTH_FORMATS)
            depth = clean_depth(read_depth(head, parts[2]))
        except MalformedMessage as error:
            self._link.monitor.count_dropped(str(error))
            return
        captured_ns = self._link.captured_ns(head.timestamp, received_ns)
        self._link.good(received_ns)
        self.put(DepthFrame(depth, head.timestamp, captured_ns))
