"""Receives frames and gaze of Tobii Pro Glasses 3."""

from __future__ import annotations

from collections.abc import Sequence

from realtime.infra.clock import ArrivalClock
from realtime.infra.frame_pacing import FramePacing
from realtime.sources.rtsp.access_units import AccessUnit, AccessUnitAssembler
from realtime.sources.rtsp.packets import RtpPacket, StreamError
from realtime.sources.rtsp.session import SessionStream
from realtime.sources.rtsp.video_decoder import UnitDecoder
from realtime.sources.tobii.connection import GlassesAddress, TobiiSource
from realtime.sources.tobii.gaze_messages import UnusableGaze, is_gaze, read_gaze_packet
from realtime.types import Frame, FrameSource, GazeSample, GazeSource, OnEvent, OnFrame, OnGaze

MAX_AGE_NS = 1_000_000_000
"""An older frame shows what was there."""
BEHIND_NS = 150_000_000
"""Frames that waited for the decoder for longer are decoded, as later ones build on them, but not shown."""
LEAST_EVERY_NS = 300_000_000
"""On a computer that never keeps up some are shown all the same."""


class TobiiFrames(TobiiSource, FrameSource):
    """A `FrameSource` that decodes the scene camera.

    `status().dropped` counts frames of which packets were lost ("damaged"), that came while the decoder was busy
    ("replaced") and that are older than the last one; "lost packets" are packets.
    """

    def __init__(self, address: GlassesAddress | None = None) -> None:
        super().__init__(address, "pictures")
        self._on_frame: OnFrame = lambda frame: None
        self._assembler, self._decoder = AccessUnitAssembler(), UnitDecoder(())
        self._quickest = ArrivalClock()  # of frames, which are late by their encoder's delay
        self._index = self._captured_ns = self._shown_ns = 0
        self.pacing = FramePacing()

    def start(self, on_frame: OnFrame, on_event: OnEvent | None = None) -> None:
        """Start now; the glasses may appear later."""
        self._on_frame = on_frame
        self._connect(on_event)

    def _select(self, streams: Sequence[SessionStream]) -> Sequence[SessionStream]:
        scene = [stream for stream in streams if (stream.kind, stream.number) == ("video", 0)]
        if not scene or scene[0].encoding != "h264":
            raise StreamError("it has no scene camera with H.264")
        self._assembler, self._decoder = AccessUnitAssembler(), UnitDecoder(scene[0].parameter_sets)
        return [*scene, *(stream for stream in streams if (stream.kind, stream.number) == ("application", 0))]

    def _handle(self, stream: SessionStream, packet: RtpPacket) -> None:
        if stream.kind == "application":
            if packet.sent_s is not None:
                self._map_time(stream, packet.sent_s, packet.received_ns)
            return
        lost = self._assembler.lost
        for unit in self._assembler.add(packet):
            self._monitor.count_received()
            self._decode(stream, unit)
        self._monitor.count_dropped("lost packets", self._assembler.lost - lost)

    def _decode(self, stream: SessionStream, unit: AccessUnit) -> None:
        times = self._map_time(stream, unit.sent_s, unit.received_ns)
        is_timely = times is not None and self._is_wanted(times[0], unit.received_ns)
        is_wanted = is_timely and self.pacing.admit()
        image, is_intact = self._decoder.decode(unit, convert=is_wanted)
        if times is None:
            return
        sent_s, captured_ns = times
        if not is_intact:
            self._drop("damaged", "its pictures are damaged on the way")
        elif captured_ns <= self._captured_ns:
            self._monitor.count_dropped("out of order")
        elif image is None:
            if is_wanted == is_timely:  # else `pacing` counted it
                self._monitor.count_dropped("before a key frame" if is_wanted else "replaced")
        elif unit.received_ns - captured_ns > MAX_AGE_NS:
            self._drop("too old", "its pictures are more than a second old when they arrive")
        else:
            self._captured_ns, self._shown_ns = captured_ns, unit.received_ns
            self._accept(sent_s, unit.received_ns)
            self._on_frame(Frame(image, self._index, sent_s, captured_ns, unit.received_ns))
            self._index += 1

    def _is_wanted(self, sent_s: float, received_ns: int) -> bool:
        behind_ns = received_ns - self._quickest.host_ns(sent_s, received_ns)
        return behind_ns < BEHIND_NS or received_ns - self._shown_ns > LEAST_EVERY_NS


class TobiiGaze(TobiiSource, GazeSource):
    """A `GazeSource` that receives every gaze sample; where no eye is seen, the last position with confidence 0."""

    def __init__(self, address: GlassesAddress | None = None) -> None:
        super().__init__(address, "gaze")
        self._on_gaze: OnGaze = lambda sample: None
        self._last: tuple[float, float] | None = None

    def start(self, on_gaze: OnGaze, on_event: OnEvent | None = None) -> None:
        """Start now; the glasses may appear later."""
        self._on_gaze = on_gaze
        self._connect(on_event)

    def _select(self, streams: Sequence[SessionStream]) -> Sequence[SessionStream]:
        found = [stream for stream in streams if stream.kind == "application"]
        if not found:
            raise StreamError("it has no stream of gaze")
        return found

    def _handle(self, stream: SessionStream, packet: RtpPacket) -> None:
        if not is_gaze(packet.payload, is_expected=stream.number == 0):
            return
        self._monitor.count_received()
        times = self._map_time(stream, packet.sent_s, packet.received_ns)
        if times is None:
            return
        try:
            found = read_gaze_packet(packet.payload)
        except UnusableGaze as error:
            self._drop(str(error), f"the last data were of no use ({error})")
            return
        self._accept(times[0], packet.received_ns)
        self._last = found or self._last
        if self._last is None:
            self._monitor.count_dropped("no position")
            return
        x, y = self._last
        confidence = 1.0 if found else 0.0
        self._on_gaze(GazeSample(x, y, "norm", confidence, times[0], times[1], packet.received_ns))
