"""Receives frames and depth of an Intel RealSense camera. The only module that imports pyrealsense2."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from calibration import CameraModel
from realtime.errors import SourceError
from realtime.infra.clock import ArrivalClock, now_ns, wall_ns
from realtime.sources.base import SourceMonitor, ThreadedFrames
from realtime.sources.depth import DepthFrame, DepthScale, LiveDepth, choose_scale, clean_depth
from realtime.sources.realsense.intrinsics import convert_intrinsics
from realtime.types import Frame, SourceStatus

RETRY_S = 1.0
POLL_MS = 200
"""Longest wait for frames before `stop` is checked."""
SILENCE_NS = 2_000_000_000
"""A device that sends nothing for so long is opened anew: a camera that was unplugged only falls silent."""
_PLAUSIBLE_NS = 1_000_000_000
_MAX_GAP = 1000
"""Frame numbers further apart than this were not lost: the device restarted its count."""
_MODES_SHOWN = 8


@dataclass(frozen=True, slots=True)
class StreamMode:
    """Holds the requested mode of a stream: size in px and frames per second; 0 where the device chooses."""

    width: int = 0
    height: int = 0
    fps: int = 0

    def __str__(self) -> str:
        """Describe it, such as `640x480 at 30`."""
        size = f"{self.width or 'any'}x{self.height or 'any'}" if self.width or self.height else "any size"
        return f"{size} at {self.fps}" if self.fps else size


def load_realsense() -> Any:
    """Import pyrealsense2; raises `SourceError` where it is missing."""
    try:
        import pyrealsense2
    except ImportError as error:
        how = "sudo apt-get install libusb-1.0-0" if "libusb" in str(error) else "pip install -e '.[realsense]'"
        raise SourceError(f"realsense: needs pyrealsense2 ({error}): {how}") from None
    return pyrealsense2


class RealSenseFrames(ThreadedFrames):
    """A `FrameSource` and `CameraSource` of a camera's colour stream; also reads depth where `open_depth` was called.

    `status().dropped` counts gaps in the frame numbers: lost on the way, or replaced while the thread was busy.
    """

    camera_name = "realsense"

    def __init__(
        self,
        serial: str = "",
        mode: StreamMode | None = StreamMode(),
        find_devices: Callable[[], Iterable[Any]] | None = None,
    ) -> None:
        """serial: of the camera, empty for the first one. mode: None for depth alone.

        find_devices: returns the connected `rs.device`s. Raises `SourceError` without the library.
        """
        self.name = f"RealSense {serial}".strip()
        super().__init__(f"looking for {self.name}", f"frames {self.name}")
        self._rs = load_realsense()
        self.serial, self._mode = serial, mode
        self._find_devices = find_devices or self._rs.context().query_devices
        self.depth: RealSenseDepth | None = None
        self._camera: CameraModel | None = None
        self._lens, self._has_lens = "", False  # why the device's lens model is not used; of the open stream
        self._clock = ArrivalClock()
        self._number = self._depth_number = -1

    def open_depth(self, mode: StreamMode, scale_m: DepthScale) -> RealSenseDepth:
        """Return the depth of this camera, aligned with its colour frames; before `start`."""
        self.depth = RealSenseDepth(self, mode, scale_m)
        return self.depth

    def camera_model(self) -> CameraModel | None:
        """Return the model of the colour camera as the device reports it; None before its first frame."""
        return self._camera

    def stop(self) -> None:
        """Stop within a second."""
        if self.depth is not None:
            self.depth.close()
        super().stop()

    def _run(self) -> None:
        while not self._stop.is_set():
            device = self._choose_device()
            if device is not None:
                self._stream(device)
            self._stop.wait(RETRY_S)

    def _choose_device(self) -> Any | None:
        """Find the camera; else state which ones are connected."""
        number = self._rs.camera_info.serial_number
        found = {device.get_info(number): device for device in self._find_devices() if device.supports(number)}
        chosen = found.get(self.serial) if self.serial else next(iter(found.values()), None)
        if chosen is None:
            others = f"; connected: {', '.join(sorted(found))}" if found else ""
            self._monitor.set_state("waiting", f"no {self.name} is connected{others}; plug it into a USB 3 port")
        return chosen

    def _stream(self, device: Any) -> None:
        """Start the device and read until it falls silent or `stop`."""
        rs = self._rs
        self._number = self._depth_number = -1
        self._has_lens = False
        pipeline, config = rs.pipeline(), rs.config()
        pipeline.set_device(device)
        if self._mode is not None:
            config.enable_stream(rs.stream.color, self._mode.width, self._mode.height, rs.format.bgr8, self._mode.fps)
        if self.depth is not None:
            mode = self.depth.mode
            config.enable_stream(rs.stream.depth, mode.width, mode.height, rs.format.z16, mode.fps)
        try:
            pipeline.start(config)
        except RuntimeError as error:
            self._monitor.set_state("waiting", self._explain_start(device, str(error).partition("\n")[0]))
            return
        try:
            self._read(pipeline)
        except RuntimeError as error:
            self._monitor.set_state(
                "waiting", f"{self.name} ended: {str(error).partition(chr(10))[0]}; plug it in again"
            )
        finally:
            pipeline.stop()

    def _explain_start(self, device: Any, error: str) -> str:
        if "resolve" not in error:
            return f"{self.name} cannot be started ({error}); close what else uses it, or plug it in again"
        rs = self._rs
        wanted = {rs.stream.color: self._mode, rs.stream.depth: self.depth.mode if self.depth else None}
        wanted = {stream: mode for stream, mode in wanted.items() if mode is not None}
        profiles = [profile for sensor in device.query_sensors() for profile in sensor.get_stream_profiles()]
        modes = {
            f"{stream.name} {profile.width()}x{profile.height()} at {profile.fps()}"
            for profile in (p.as_video_stream_profile() for p in profiles if p.is_video_stream_profile())
            if (stream := profile.stream_type()) in wanted
        }  # fmt: skip
        asked = " and ".join(f"{stream.name} of {mode}" for stream, mode in wanted.items())
        shown = sorted(modes)[:_MODES_SHOWN]
        listed = ", ".join(shown) + (", ..." if len(modes) > len(shown) else "")
        return f"{self.name} has no {asked}; it has {listed or 'neither'}"

    def _read(self, pipeline: Any) -> None:
        align = self._rs.align(self._rs.stream.color) if self._mode is not None and self.depth is not None else None
        heard_ns = now_ns()
        while not self._stop.is_set():
            ok, frames = pipeline.try_wait_for_frames(POLL_MS)
            received_ns = now_ns()
            if not ok:
                if received_ns - heard_ns > SILENCE_NS:
                    self._monitor.set_state("waiting", f"{self.name} sends no frames; is it still plugged in?")
                    return
                continue
            heard_ns = received_ns
            colour = frames.get_color_frame() if self._mode is not None else None
            if colour:
                self._publish_colour(colour, received_ns)
            if self.depth is not None:
                self._publish_depth(frames, colour, align, received_ns)

    def _publish_colour(self, colour: Any, received_ns: int) -> None:
        number = int(colour.get_frame_number())
        gap = number - self._number - 1
        if gap == -1:  # the set has a new depth image only
            return
        self._monitor.count_dropped("lost or replaced", gap if self._number >= 0 and 0 < gap < _MAX_GAP else 0)
        self._number = number
        if not self._has_lens:
            self._read_lens(colour.get_profile().as_video_stream_profile().get_intrinsics())
        image = np.asanyarray(colour.get_data()).copy()  # the library uses the memory again
        timestamp = colour.get_timestamp() / 1e3
        frame = Frame(image, number, timestamp, self._map_time(colour, received_ns), received_ns)
        self._publish(frame, self._lens)

    def _read_lens(self, intrinsics: Any) -> None:
        self._has_lens = True
        self._camera = convert_intrinsics(intrinsics, self._rs.rs2_deproject_pixel_to_point)
        unknown = f"no camera model fits the lens model {str(intrinsics.model).rpartition('.')[2]}; give --camera FILE"
        self._lens = unknown if self._camera is None else ""

    def _publish_depth(self, frames: Any, colour: Any | None, align: Any | None, received_ns: int) -> None:
        assert self.depth is not None
        depth = frames.get_depth_frame()
        if not depth or int(depth.get_frame_number()) == self._depth_number:
            return
        self._depth_number = int(depth.get_frame_number())
        domains = {frame.get_frame_timestamp_domain() for frame in (depth, colour or depth)}
        clock = depth if len(domains) == 1 else colour  # else their times cannot be compared, but they belong together
        assert clock is not None
        timestamp, captured_ns = clock.get_timestamp() / 1e3, self._map_time(clock, received_ns)
        if align is not None:
            depth = align.process(frames).get_depth_frame()
        if self._mode is None:
            self._monitor.count_received()
            self._monitor.set_state("running")
        self.depth.add(np.asanyarray(depth.get_data()), float(depth.get_units()), timestamp, captured_ns)

    def _map_time(self, frame: Any, received_ns: int) -> int:
        """Return the capture time on the host's clock; the arrival where the device's time is not plausible."""
        milliseconds = frame.get_timestamp()
        if frame.get_frame_timestamp_domain() == self._rs.timestamp_domain.hardware_clock:
            return self._clock.host_ns(milliseconds / 1e3, received_ns)
        captured_ns = round(milliseconds * 1e6) - wall_ns()  # of the host's wall clock, also where it was estimated
        return min(captured_ns, received_ns) if abs(received_ns - captured_ns) < _PLAUSIBLE_NS else received_ns


class RealSenseDepth(LiveDepth):
    """A `DepthSource` of a RealSense camera: aligned with its colour, unless the camera is opened for depth alone."""

    def __init__(
        self, camera: RealSenseFrames, mode: StreamMode, scale_m: DepthScale, *, is_alone: bool = False
    ) -> None:
        """is_alone: this starts and stops the camera, and its times are matched on the host's clock."""
        super().__init__(same_clock=not is_alone)
        self._camera, self.mode, self._scale_m, self._is_alone = camera, mode, scale_m, is_alone
        self._monitor = SourceMonitor()

    def start(self) -> None:
        """Start the camera if it is read for depth alone; else its frames start it."""
        if self._is_alone:
            self._camera.start(lambda frame: None)

    def stop(self) -> None:
        """Stop within a second, and end a wait for depth."""
        self.close()
        if self._is_alone:
            self._camera.stop()

    def status(self) -> SourceStatus:
        """Return the camera's state, and this source's counts."""
        camera, own = self._camera.status(), self._monitor.status()
        return SourceStatus(camera.state, camera.reason, own.received, own.dropped)

    def add(self, pixels: np.ndarray[Any, Any], units_m: float, timestamp: float, captured_ns: int) -> None:
        """Add a depth image of 16 bits, whose steps are `units_m` by the device."""
        scale_m = choose_scale(self._scale_m, float(f"{units_m:.6g}"))  # without the tail of its 32-bit float
        self._monitor.count_received()
        self.put(DepthFrame(clean_depth(pixels, scale_m), timestamp, captured_ns, scale_m=scale_m))


def open_depth_alone(
    serial: str, mode: StreamMode, scale_m: DepthScale, find_devices: Callable[[], Iterable[Any]] | None = None
) -> RealSenseDepth:
    """Open the depth of a camera whose colour is not used; raises `SourceError` without the library."""
    camera = RealSenseFrames(serial, None, find_devices)
    camera.depth = RealSenseDepth(camera, mode, scale_m, is_alone=True)
    return camera.depth
