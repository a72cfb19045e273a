"""Depth beside frames: files by time, a device's messages, and what is none."""

from __future__ import annotations

import threading
from pathlib import Path

import av
import cv2
import msgpack
import numpy as np
import pytest

from realtime.errors import SourceError
from realtime.infra.clock import now_ns
from realtime.session.depth_inputs import open_depth
from realtime.session.inputs import open_frames
from realtime.sources.depth import DepthFrame, DepthScale, DepthSource, LiveDepth, choose_scale, clean_depth
from realtime.sources.pupil.device_sources import PupilDepth
from realtime.sources.pupil.messages import DEPTH_FORMATS, MalformedMessage, read_depth, read_frame_header
from realtime.sources.video.depth_file import FileDepth, VideoDepth
from realtime.sources.video.video_file import PlaybackClock
from realtime.types import Frame
from tests.realtime.sources.pupil.test_device_sources import HOST, Device
from tests.realtime.sources.video.clips import make_folder
from tests.realtime.waiting import eventually, promptly

SIZE = (8, 6)


def at(timestamp: float, captured_ns: int = 0) -> Frame:
    return Frame(np.zeros((SIZE[1], SIZE[0], 3), np.uint8), 0, timestamp, captured_ns, captured_ns)


def picture(number: int) -> np.ndarray:
    return np.full((SIZE[1], SIZE[0]), 1000 + number, np.uint16)


def folder(path: Path, numbers: list[int]) -> Path:
    path.mkdir()
    for number in numbers:
        cv2.imwrite(str(path / f"depth_{number:05d}.png"), picture(number))
    return path


def number_of(found: DepthFrame | None) -> int | None:
    return None if found is None else round(float(found.depth[0, 0]) * 1000) - 1000


def test_a_folder_is_matched_by_the_numbers_in_its_names(tmp_path: Path) -> None:
    source = FileDepth(folder(tmp_path / "depth", [10, 13, 16]), PlaybackClock(real_time=True), fps=30)
    assert isinstance(source, DepthSource)
    assert source.size == SIZE
    assert number_of(source.find_nearest(at(0.0), 0.02, 0)) == 10
    found = source.find_nearest(at(4 / 30, 5_000_000_000), 0.04, 0)
    assert number_of(found) == 13
    assert found is not None
    assert found.apart_s == pytest.approx(-1 / 30)
    assert found.captured_ns == pytest.approx(5_000_000_000 - 1e9 / 30, abs=2)
    assert source.find_nearest(at(1.5 / 30), 0.02, 0) is None
    assert source.status().dropped == {"no depth near": 1}


def test_a_clip_that_repeats_finds_its_depth_again(tmp_path: Path) -> None:
    clock = PlaybackClock(real_time=True)
    source = FileDepth(folder(tmp_path / "depth", [0, 1, 2]), clock, fps=10)
    clock.add_pass(0.3)
    assert [number_of(source.find_nearest(at(0.3 * turn + 0.1), 0.01, 0)) for turn in range(3)] == [1, 1, 1]


def test_a_table_of_times_takes_precedence_over_names(tmp_path: Path) -> None:
    path = folder(tmp_path / "depth", [1, 2])
    (path / "timestamps.csv").write_text("\ufeffname,timestamp\ndepth_00002.png,0.5\ndepth_00001.png,0.9\n")
    source = FileDepth(path, PlaybackClock(real_time=True), fps=30)
    assert number_of(source.find_nearest(at(0.5), 0.01, 0)) == 2
    assert number_of(source.find_nearest(at(0.89), 0.02, 0)) == 1


def test_one_picture_holds_for_all_of_the_clip(tmp_path: Path) -> None:
    source = FileDepth(folder(tmp_path / "depth", [7]), PlaybackClock(real_time=True), fps=30)
    assert number_of(source.find_nearest(at(99.0), 0.01, 0)) == 7


def test_a_video_of_16_bits_is_read_along_with_its_clip(tmp_path: Path) -> None:
    path = tmp_path / "depth.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", rate=10, options={"slices": "1"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "gray16le"
        for number in range(5):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), format="gray16le")))
        file.mux(stream.encode())
    clock = PlaybackClock(real_time=True)
    source = VideoDepth(path, clock)
    assert source.size == SIZE
    numbers = [number_of(source.find_nearest(at(second), 0.03, 0)) for second in (0.0, 0.09, 0.1, 0.32, 0.4)]
    assert numbers == [0, 1, 1, 3, 4]
    assert source.find_nearest(at(0.45), 0.03, 0) is None
    clock.add_pass(0.5)
    assert number_of(source.find_nearest(at(0.6), 0.03, 0)) == 1


@pytest.mark.parametrize(("steps", "scale_m"), [(1000, "auto"), (1000, 0.001), (5000, 0.0002), (10_000, 0.0001)])
def test_a_metre_is_a_metre_in_any_unit(tmp_path: Path, steps: int, scale_m: DepthScale) -> None:
    """Millimetres, TUM RGB-D, and a RealSense D405."""
    (tmp_path / "depth").mkdir()
    cv2.imwrite(str(tmp_path / "depth" / "1.png"), np.full((48, 64), steps, np.uint16))
    frames = open_frames(f"file:{make_folder(tmp_path / 'clip', 1)}")
    source = open_depth(f"file:{tmp_path / 'depth'}", frames, "file:clip", scale_m=scale_m)
    found = source.find_nearest(at(0.0), 0.03, 0)
    assert found is not None
    assert np.all(found.depth == 1.0)
    assert found.scale_m == (0.001 if scale_m == "auto" else scale_m)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda path: None, "there is no folder"),
        (lambda path: path.mkdir(), "holds no depth"),
        (lambda path: (path.mkdir(), cv2.imwrite(str(path / "1.png"), np.zeros((4, 4), np.uint8))), "16UC1"),
        (lambda path: (path.mkdir(), (path / "1.png").write_bytes(b"no picture")), "cannot be read; it is damaged"),
        (lambda path: (folder(path, [1]), cv2.imwrite(str(path / "x.png"), picture(1))), "no number in its name"),
        (
            lambda path: (folder(path, [1]), (path / "timestamps.csv").write_text("a,b\n1,2\n")),
            "no time of any picture",
        ),
        (lambda path: path.write_bytes(b"no video"), "cannot be opened as a video of depth"),
    ],
)
def test_invalid_depth_is_refused_with_the_reason(tmp_path: Path, made, message: str) -> None:  # type: ignore[no-untyped-def]
    made(tmp_path / "depth")
    frames = open_frames(f"file:{make_folder(tmp_path / 'clip', 2)}")
    with pytest.raises(SourceError, match=message):
        open_depth(f"file:{tmp_path / 'depth'}", frames, "file:clip")


@pytest.mark.parametrize(
    ("spec", "frames", "message"),
    [
        ("smoke:signals", "pupil://127.0.0.1:1", "is no source of depth"),
        ("pupil:", "camera:0", "the frames' own device"),
        ("file:/nowhere", "pupil://127.0.0.1:1", "needs frames from file:"),
    ],
)
def test_invalid_depth_specs_are_refused(spec: str, frames: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        open_depth(spec, open_frames(frames), frames)


def live(shift_s: float) -> DepthFrame:
    return DepthFrame(clean_depth(picture(round(1000 * shift_s))), 50 + shift_s, round((10 + shift_s) * 1e9))


def test_live_depth_is_matched_by_host_time_or_by_the_devices_own() -> None:
    by_host, by_device = LiveDepth(), LiveDepth(same_clock=True)
    for source in (by_host, by_device):
        for shift in (0.0, 0.033, 0.066):
            source.put(live(shift))
    frame = at(50.034, round(10.001 * 1e9))
    assert number_of(by_host.find_nearest(frame, 0.01, 0)) == 0
    assert number_of(by_device.find_nearest(frame, 0.01, 0)) == 33
    assert by_host.find_nearest(at(0, round(10.2 * 1e9)), 0.01, 0) is None


def test_find_nearest_waits_only_for_newer_depth() -> None:
    source = LiveDepth()
    source.put(live(-0.03))
    timer = threading.Timer(0.02, source.put, [live(0.001)])
    timer.start()
    assert number_of(source.find_nearest(at(0, 10_000_000_000), 0.01, 60)) == 1
    timer.join()
    with promptly():  # newer depth is there already, so that none for this frame will come
        assert source.find_nearest(at(0, 9_900_000_000), 0.01, 600) is None
    source.close()
    with promptly():
        assert source.find_nearest(at(0, 99_000_000_000), 0.01, 600) is None


def depth_message(device: Device, image: np.ndarray, **changes: object) -> list[bytes]:
    head = {"width": SIZE[0], "height": SIZE[1], "index": 1, "timestamp": device.clock_s(), "format": "depth16"}
    return [b"frame.depth", msgpack.packb(head | changes), image.tobytes()]


def test_both_depth_formats_are_read_and_malformed_ones_counted() -> None:
    device = Device()
    source = PupilDepth(HOST, device.port, same_clock=True)
    source.start()
    try:

        def sees(expected: int, image: np.ndarray, **changes: object) -> bool:
            message = depth_message(device, image, **changes)
            device.server.send(message)
            stamp = msgpack.unpackb(message[1])["timestamp"]
            return number_of(source.find_nearest(at(stamp, now_ns()), 0.001, 0.01)) == expected

        eventually(lambda: sees(5, picture(5)))
        eventually(lambda: sees(9, (picture(9) / 1000).astype(np.float32), format="depth32f"))
        eventually(lambda: sees(2, 10 * picture(2), depth_scale=0.0001))
        device.server.send(depth_message(device, picture(1)[:-1]))
        device.server.send(depth_message(device, picture(1), format="jpeg"))
        device.server.send(depth_message(device, picture(1), depth_scale=0.0))
        device.server.send(depth_message(device, picture(1), depth_scale="mm"))
        eventually(lambda: {"size", "format", "out of range", "wrong type"} <= source.status().dropped.keys())
    finally:
        source.stop()
        device.close()


@pytest.mark.parametrize(
    ("configured", "reported_m", "used_m"),
    [("auto", None, 0.001), ("auto", 0.0001, 0.0001), (0.0002, 0.0001, 0.0002), (0.0002, None, 0.0002)],
)
def test_a_configured_scale_wins_over_the_devices(
    configured: DepthScale, reported_m: float | None, used_m: float
) -> None:
    assert choose_scale(configured, reported_m) == used_m


def test_nan_and_far_away_are_no_measurement() -> None:
    raw = np.array([[np.nan, np.inf, 1e9], [-1, 0, 2]], "<f4")
    head = read_frame_header([b"", msgpack.packb({"width": 3, "height": 2, "index": 0, "timestamp": 0.0,
                                                "format": "depth32f"}), b""], DEPTH_FORMATS)  # fmt: skip
    assert clean_depth(read_depth(head, raw.tobytes())).tolist() == [[0, 0, 0], [0, 0, 2]]
    with pytest.raises(MalformedMessage, match="size"):
        read_depth(head, raw.tobytes()[:-1])
