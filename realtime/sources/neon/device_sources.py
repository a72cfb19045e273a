"""Receives frames and gaze of a Neon or Invisible."""

from __future__ import annotations

import asyncio
import queue
from collections import deque
from contextlib import suppress

from calibration.camera import CameraModel
from realtime.infra.frame_pacing import FramePacing
from realtime.sources.neon.companion_api import CompanionAddress, DeviceUnavailable, request_camera
from realtime.sources.neon.connection import NO_REPORT, NeonSource
from realtime.sources.neon.gaze_messages import UnusableData, read_event, read_gaze
from realtime.sources.rtsp.access_units import AccessUnit, AccessUnitAssembler
from realtime.sources.rtsp.media_stream import MediaStream
from realtime.sources.rtsp.packets import RtpPacket
from realtime.sources.rtsp.video_decoder import UnitDecoder
from realtime.types import EyeEvent, Frame, GazeSample, Image, OnEvent, OnFrame, OnGaze

MAX_QUEUED = 45
"""Frames that wait for the decoder: one and a half seconds."""
MAX_AGE_NS = 1_000_000_000
"""An older frame shows what was there; after a reconnection the first one may be seconds old."""
MAX_AWAITED = 90
"""Frames without a key frame among them after which decoding goes on without one."""
CAMERA_S = 1.0
"""Time between requests for the camera's model."""
MAX_EVENTS, MAX_EVENT_AGE_NS = 64, 10_000_000_000


class NeonFrames(NeonSource):
    """A `FrameSource` that decodes the scene camera, whose model a Neon reports, an Invisible not.

    `status().dropped` counts frames of which packets were lost ("damaged"), that waited for the decoder while newer
    ones came ("replaced"), and that are older than the last one or too old to be shown; "lost packets" are packets.
    """

    camera_name = "Neon scene"

    def __init__(self, address: CompanionAddress | None = None) -> None:
        super().__init__(address, "world")
        self._camera: CameraModel | None = None
        self._on_frame: OnFrame = lambda frame: None
        self._units: queue.Queue[tuple[MediaStream, AccessUnit]] = queue.Queue(MAX_QUEUED)
        self._stream: MediaStream | None = None
        self._assembler = AccessUnitAssembler()
        self._awaited = 0  # frames yet to be left out unless a key frame comes
        self._index = self._captured_ns = 0
        self.pacing = FramePacing()

    def start(self, on_frame: OnFrame, on_event: OnEvent | None = None) -> None:
        """Start now; the device may appear later."""
        self._on_frame = on_frame
        self._connect(on_event, {"world": self._add_packet}, **{"neon decoder": self._decode})

    def camera_model(self) -> CameraModel | None:
        """Return the scene camera's model; None before the device has reported it."""
        return self._camera

    async def _watch_device(self) -> None:
        """Ask for the camera's model whenever the device has come back, which may have another module then."""
        known_since_ns = 0
        while True:
            answered_ns, address = self._answered_ns, self._address
            if answered_ns != known_since_ns and answered_ns and address is not None:
                with suppress(DeviceUnavailable):
                    self._camera = await request_camera(address)
                    known_since_ns = answered_ns
            await asyncio.sleep(CAMERA_S)

    def _add_packet(self, stream: MediaStream, packet: RtpPacket) -> None:
        """Queue the frames that a packet completes."""
        if stream is not self._stream:
            self._stream, self._assembler = stream, AccessUnitAssembler()
        if stream.encoding != "h264":
            raise UnusableData("video that is not H.264")
        self._note_report(packet)
        lost = self._assembler.lost
        for unit in self._assembler.add(packet):
            self._awaited = 0 if unit.is_key else max(0, self._awaited - 1)
            if not self._awaited:
                try:
                    self._units.put_nowait((stream, unit))
                except queue.Full:
                    self._awaited = MAX_AWAITED
            self._monitor.count_dropped("decoder too slow", int(self._awaited > 0))
        self._monitor.count_dropped("lost packets", self._assembler.lost - lost)

    def _decode(self) -> None:
        """Decode all frames in order, and publish the newest of those that wait."""
        decoder, current, clock_jumps = UnitDecoder(()), None, 0
        while not self._stop.is_set():
            try:
                stream, unit = self._units.get(timeout=0.1)
            except queue.Empty:
                continue
            if stream is not current:
                decoder, current, clock_jumps = UnitDecoder(stream.parameter_sets), stream, 0
            if stream.clock_jumps != clock_jumps:
                clock_jumps = stream.clock_jumps
                self._times.note_clock_change(unit.received_ns)
            self._monitor.count_received()
            is_newest = unit.sent_s is not None and self._units.empty()
            is_wanted = is_newest and self.pacing.admit()
            image, is_intact = decoder.decode(unit, convert=is_wanted)
            if image is not None and unit.sent_s is not None:
                self._publish(image, unit.sent_s, unit.received_ns)
            elif not is_intact:
                self._drop("damaged", "its pictures are damaged on the way")
            elif unit.sent_s is None:
                self._drop(NO_REPORT, self._flaw)
            elif is_wanted == is_newest:  # else `pacing` counted it
                self._monitor.count_dropped("before a key frame" if is_wanted else "replaced")

    def _publish(self, image: Image, sent_s: float, received_ns: int) -> None:
        captured_ns = self._times.to_host_ns(sent_s, received_ns)
        if received_ns - captured_ns > MAX_AGE_NS:
            self._drop("too old", "its pictures are more than a second old when they arrive")
        elif captured_ns <= self._captured_ns:
            self._monitor.count_dropped("out of order")
        else:
            self._captured_ns = captured_ns
            self._accept(received_ns)
            self._on_frame(Frame(image, self._index, sent_s, captured_ns, received_ns))
            self._index += 1

    def _drop(self, reason: str, flaw: str) -> None:
        self._monitor.count_dropped(reason)
        self._flaw = flaw


class NeonGaze(NeonSource):
    """A `GazeSource` that receives every gaze sample, with the onsets and blinks that the device reports.

    Confidence is 1 while the glasses are worn, else 0.
    """

    def __init__(self, address: CompanionAddress | None = None) -> None:
        super().__init__(address, "gaze")
        self._on_gaze: OnGaze = lambda sample: None
        self._clock_jumps = 0
        self._events: deque[EyeEvent] = deque(maxlen=MAX_EVENTS)

    def start(self, on_gaze: OnGaze, on_event: OnEvent | None = None) -> None:
        """Start now; the device may appear later."""
        self._on_gaze = on_gaze
        self._connect(on_event, {"gaze": self._add_gaze, "eye_events": self._add_event})

    def _add_gaze(self, stream: MediaStream, packet: RtpPacket) -> None:
        self._monitor.count_received()
        self._note_report(packet)
        if packet.sent_s is None:
            self._monitor.count_dropped(NO_REPORT)
            return
        gaze = read_gaze(packet.payload)
        if stream.clock_jumps != self._clock_jumps:
            self._clock_jumps = stream.clock_jumps
            self._times.note_clock_change(packet.received_ns)
        captured_ns = self._times.to_host_ns(packet.sent_s, packet.received_ns)
        event = self._events.popleft() if self._events else None
        self._accept(packet.received_ns)
        self._on_gaze(
            GazeSample(
                gaze.x, gaze.y, "px", float(gaze.is_worn), packet.sent_s, captured_ns, packet.received_ns, event=event
            )
        )

    def _add_event(self, stream: MediaStream, packet: RtpPacket) -> None:
        """Keep an event for the next gaze sample."""
        event = read_event(packet.payload)
        if event is None:
            return
        start_ns = self._clock.host_ns(event.start_ns / 1e9)
        if start_ns is None or abs(packet.received_ns - start_ns) > MAX_EVENT_AGE_NS:
            raise UnusableData("event of another time")
        length_ns = None if event.end_ns is None else event.end_ns - event.start_ns
        self._events.append(EyeEvent(event.kind, start_ns, None if length_ns is None else start_ns + length_ns))
