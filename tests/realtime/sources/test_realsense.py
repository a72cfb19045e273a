"""Tests RealSense cameras with librealsense's own software device: real frames go through the real library."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from calibration import FisheyeCamera, PinholeCamera
from realtime.errors import SourceError
from realtime.infra.clock import now_ns
from realtime.session.depth_inputs import open_depth
from realtime.session.inputs import open_frames
from realtime.sources.base import CameraSource
from realtime.sources.depth import DepthFrame
from realtime.sources.realsense import camera as realsense_camera
from realtime.sources.realsense.camera import RealSenseFrames, StreamMode, open_depth_alone
from realtime.sources.realsense.intrinsics import convert_intrinsics
from realtime.types import Frame
from tests.realtime.waiting import eventually, promptly

rs = pytest.importorskip(
    "pyrealsense2",
    reason="RealSense cameras need pyrealsense2 (pip install -e '.[realsense]') and the system's libusb-1.0",
    exc_type=ImportError,
)
WIDTH, HEIGHT = 64, 48
UNITS_M = 0.0005
STEPS = 2000


def make_intrinsics(focal_px: float, model: Any = None, coefficients: tuple[float, ...] = (0,) * 5) -> Any:
    intrinsics = rs.intrinsics()
    intrinsics.width, intrinsics.height, intrinsics.ppx, intrinsics.ppy = WIDTH, HEIGHT, 31.0, 23.0
    intrinsics.fx = intrinsics.fy = focal_px
    intrinsics.model, intrinsics.coeffs = model or rs.distortion.inverse_brown_conrady, list(coefficients)
    return intrinsics


class SoftwareCamera:
    """A software device with colour and depth, which sends a numbered frame of both when asked."""

    def __init__(self, serial: str = "SW1", model: Any = None) -> None:
        self.device = rs.software_device()
        self.device.register_info(rs.camera_info.name, "Software RealSense")
        self.device.register_info(rs.camera_info.serial_number, serial)
        self._colour, self._colour_profile = self._add(rs.stream.color, 1, rs.format.bgr8, 3, 60.0, model)
        self._depth, self._depth_profile = self._add(rs.stream.depth, 2, rs.format.z16, 2, 50.0)
        self._depth.add_read_only_option(rs.option.depth_units, UNITS_M)
        extrinsics = rs.extrinsics()
        extrinsics.rotation, extrinsics.translation = [1, 0, 0, 0, 1, 0, 0, 0, 1], [0.0, 0, 0]
        self._depth_profile.register_extrinsics_to(self._colour_profile, extrinsics)
        self.number = 0

    def _add(self, kind: Any, uid: int, layout: Any, size: int, focal_px: float, model: Any = None) -> tuple[Any, Any]:
        stream = rs.video_stream()
        stream.type, stream.index, stream.uid, stream.fmt, stream.bpp = kind, 0, uid, layout, size
        stream.width, stream.height, stream.fps = WIDTH, HEIGHT, 30
        stream.intrinsics = make_intrinsics(focal_px, model)
        sensor = self.device.add_sensor(f"sensor {uid}")
        return sensor, sensor.add_video_stream(stream, True)

    def send(self, domain: Any = None, at_ms: float | None = None) -> None:
        """Send a pair of frames. at_ms: their time; now, on the wall clock, by default."""
        self.number += 1
        at_ms = time.time() * 1e3 if at_ms is None else at_ms
        colour = np.full((HEIGHT, WIDTH, 3), (self.number % 250, 20, 30), np.uint8)
        depth = np.full((HEIGHT, WIDTH), STEPS, np.uint16)
        for sensor, profile, pixels in (
            (self._colour, self._colour_profile, colour),
            (self._depth, self._depth_profile, depth),
        ):
            frame = rs.software_video_frame()
            frame.pixels, frame.bpp, frame.stride = pixels, pixels.nbytes // (WIDTH * HEIGHT), pixels.strides[0]
            frame.timestamp, frame.domain = at_ms, domain or rs.timestamp_domain.system_time
            frame.frame_number, frame.profile = self.number, profile.as_video_stream_profile()
            if pixels is depth:
                frame.depth_units = UNITS_M
            sensor.on_video_frame(frame)


@pytest.fixture
def software() -> SoftwareCamera:
    return SoftwareCamera()


@pytest.fixture
def plugged(software: SoftwareCamera) -> list[Any]:
    """The devices that are connected; a test may change them."""
    return [software.device]


@pytest.fixture
def frames(plugged: list[Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[RealSenseFrames]:
    monkeypatch.setattr(realsense_camera, "RETRY_S", 0.02)
    source = RealSenseFrames("", StreamMode(), lambda: plugged)
    yield source
    with promptly():
        source.stop()
    source.stop()


def send_until(software: SoftwareCamera, condition: Any, **options: Any) -> None:
    def attempt() -> bool:
        software.send(**options)
        threading.Event().wait(0.01)
        return bool(condition())

    eventually(attempt)


def test_frames_have_the_devices_pixels_numbers_and_time(frames: RealSenseFrames, software: SoftwareCamera) -> None:
    got: list[Frame] = []
    before_ns = now_ns()
    frames.start(got.append)
    send_until(software, lambda: len(got) >= 3)
    for frame in got:
        assert frame.size == (WIDTH, HEIGHT)
        assert frame.image[0, 0].tolist() == [frame.index % 250, 20, 30]
        assert before_ns <= frame.captured_ns <= frame.received_ns
        assert abs(frame.timestamp - time.time()) < 3600
    assert frames.status().state == "running"
    assert not frames.status().reason
    assert [frame.image[0, 0, 0] for frame in got] == [frame.index % 250 for frame in got]


def test_the_devices_camera_model_is_offered(frames: RealSenseFrames, software: SoftwareCamera) -> None:
    got: list[Frame] = []
    assert isinstance(frames, CameraSource)
    assert frames.camera_model() is None
    frames.start(got.append)
    send_until(software, lambda: got)
    assert frames.camera_model() == PinholeCamera((WIDTH, HEIGHT), 60.0, 60.0, 31.0, 23.0)


def test_depth_is_aligned_and_has_the_devices_scale(frames: RealSenseFrames, software: SoftwareCamera) -> None:
    got: list[Frame] = []
    depth = frames.open_depth(StreamMode(), "auto")
    frames.start(got.append)
    depth.start()

    def find() -> DepthFrame | None:
        return depth.find_nearest(got[-1], 0.001, 0.0) if got else None

    send_until(software, find)
    found = find()
    assert found is not None
    assert found.scale_m == pytest.approx(UNITS_M)
    assert found.depth.shape == (HEIGHT, WIDTH)
    filled = found.depth > 0
    assert np.allclose(found.depth[filled], STEPS * UNITS_M)
    assert filled[23, 31]
    assert depth.status().state == "running"
    assert depth.status().received > 0
    depth.stop()


def test_a_configured_scale_wins(frames: RealSenseFrames, software: SoftwareCamera) -> None:
    got: list[Frame] = []
    depth = frames.open_depth(StreamMode(), 0.0001)
    frames.start(got.append)
    send_until(software, lambda: got and depth.find_nearest(got[-1], 10, 0))
    found = depth.find_nearest(got[-1], 10, 0)
    assert found is not None
    assert found.depth.max() == pytest.approx(STEPS * 0.0001)


def test_depth_alone_matches_other_frames_on_the_hosts_clock(software: SoftwareCamera) -> None:
    depth = open_depth_alone("", StreamMode(), "auto", lambda: [software.device])
    depth.start()
    try:

        def find() -> DepthFrame | None:
            now = now_ns()
            return depth.find_nearest(Frame(np.zeros((4, 4, 3), np.uint8), 0, 0.0, now, now), 600.0, 0)

        send_until(software, find)
        found = find()
        assert found is not None
        assert np.allclose(found.depth, STEPS * UNITS_M)
        assert depth.status().state == "running"
    finally:
        depth.stop()
    depth.stop()


@pytest.mark.parametrize("offset_ms", [0.0, 9e9])
def test_a_hardware_clock_is_mapped_by_times_of_arrival(
    frames: RealSenseFrames, software: SoftwareCamera, offset_ms: float
) -> None:
    got: list[Frame] = []
    frames.start(got.append)

    def attempt() -> bool:
        software.send(rs.timestamp_domain.hardware_clock, offset_ms + now_ns() / 1e6)
        threading.Event().wait(0.01)
        return len(got) >= 4

    eventually(attempt)
    for earlier, later in itertools.pairwise(got):
        assert earlier.captured_ns < later.captured_ns <= later.received_ns


def test_a_time_that_is_not_plausible_is_that_of_arrival(frames: RealSenseFrames, software: SoftwareCamera) -> None:
    got: list[Frame] = []
    frames.start(got.append)
    send_until(software, lambda: got, at_ms=5.0)
    assert got[0].captured_ns == got[0].received_ns


def test_a_camera_that_comes_late_and_is_unplugged_is_used_again(
    frames: RealSenseFrames, software: SoftwareCamera, plugged: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realsense_camera, "SILENCE_NS", 50_000_000)
    plugged.clear()
    got: list[Frame] = []
    states: list[str] = []
    frames.start(got.append, lambda status: states.append(f"{status.state}: {status.reason}"))
    eventually(lambda: states == ["waiting: no RealSense is connected; plug it into a USB 3 port"])
    plugged.append(software.device)
    send_until(software, lambda: got)
    plugged.clear()
    eventually(lambda: states[-1].startswith("waiting: no RealSense is connected"))
    assert any("sends no frames" in state for state in states)
    count = len(got)
    plugged.append(SoftwareCamera().device)
    second = SoftwareCamera("SW2")
    plugged[:] = [second.device]
    send_until(second, lambda: len(got) > count)
    assert frames.status().state == "running"


def test_another_camera_than_the_named_one_is_not_used(plugged: list[Any]) -> None:
    source = RealSenseFrames("SW9", StreamMode(), lambda: plugged)
    source.start(lambda frame: None)
    try:
        eventually(lambda: "no RealSense SW9 is connected; connected: SW1" in source.status().reason)
    finally:
        source.stop()


def test_a_mode_that_the_camera_lacks_is_named_with_those_it_has(plugged: list[Any]) -> None:
    source = RealSenseFrames("", StreamMode(1920, 1080, 60), lambda: plugged)
    source.start(lambda frame: None)
    try:
        eventually(lambda: source.status().state == "waiting")
        assert source.status().reason == "RealSense has no color of 1920x1080 at 60; it has color 64x48 at 30"
    finally:
        source.stop()


def test_names_are_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = open_frames("RealSense:SW1?width=64&height=48&fps=30")
    assert isinstance(frames, RealSenseFrames)
    assert (frames.serial, frames._mode) == ("SW1", StreamMode(64, 48, 30))
    assert open_depth("realsense:", frames, "realsense:SW1") is frames.depth
    assert open_depth("realsense:SW2", frames, "realsense:SW1") is not frames.depth
    with pytest.raises(SourceError, match="name that one too"):
        open_depth("realsense:SW2", open_frames("realsense:"), "realsense:")
    with pytest.raises(SourceError, match="no serial number"):
        open_frames("realsense:a/b")
    with pytest.raises(SourceError, match="unknown option 'size'"):
        open_frames("realsense:?size=3")
    monkeypatch.setitem(sys.modules, "pyrealsense2", None)
    with pytest.raises(SourceError, match=r"pip install -e '.\[realsense\]'"):
        open_frames("realsense:")


@pytest.mark.parametrize("coefficients", [(0.05, -0.03, 0.001, -0.002, 0.01), (-0.1, 0.02, 0, 0, 0)])
@pytest.mark.parametrize("model", ["brown_conrady", "inverse_brown_conrady"])
def test_a_lens_is_converted(model: str, coefficients: tuple[float, ...]) -> None:
    intrinsics = make_intrinsics(60.0, getattr(rs.distortion, model), coefficients)
    camera = convert_intrinsics(intrinsics, rs.rs2_deproject_pixel_to_point)
    assert isinstance(camera, PinholeCamera)
    for pixel in ([0.0, 0.0], [63.0, 47.0], [10.0, 40.0], [31.0, 23.0]):
        point = rs.rs2_deproject_pixel_to_point(intrinsics, pixel, 2.0)
        assert camera.project([point])[0] == pytest.approx(pixel, abs=0.3)


def test_a_fisheye_is_converted_and_an_unknown_lens_is_not() -> None:
    fisheye = make_intrinsics(60.0, rs.distortion.kannala_brandt4, (0.01, 0.002, 0, 0, 0))
    assert isinstance(convert_intrinsics(fisheye, rs.rs2_deproject_pixel_to_point), FisheyeCamera)
    wild = make_intrinsics(60.0, rs.distortion.ftheta, (9.0, 9.0, 9.0, 9.0, 9.0))
    assert convert_intrinsics(wild, lambda *arguments: [float("nan")] * 3) is None
