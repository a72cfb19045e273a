"""Live frames from scripted captures: unplugged, resized, stuck. No camera is needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from engines import Image
from realtime.infra.clock import now_ns
from realtime.sources.video import capture_frames as module
from realtime.sources.video.capture_frames import CaptureFrames
from realtime.sources.video.opencv_capture import VideoCapture
from realtime.types import Frame, SourceStatus
from tests.realtime.sources.video.clips import picture
from tests.realtime.waiting import eventually, promptly


class Script:
    """A capture that gives its pictures and then fails, or blocks until it is let go."""

    def __init__(self, pictures: list[Image], *, blocks: bool = False, stamp_ns: Callable[[], int | None]) -> None:
        self._pictures, self._blocks, self.captured_ns = iter(pictures), blocks, stamp_ns
        self.let_go, self.released = threading.Event(), threading.Event()

    def read(self) -> tuple[bool, Image | None]:
        image = next(self._pictures, None)
        if image is None and self._blocks:
            self.let_go.wait(600)
            return True, picture(0)
        return image is not None, image

    captured_ns: Callable[[], int | None]

    def release(self) -> None:
        self.released.set()


def script(*sizes: tuple[int, int], blocks: bool = False, stamp: Callable[[], int | None] = lambda: None) -> Script:
    return Script([picture(i, size) for i, size in enumerate(sizes)], blocks=blocks, stamp_ns=stamp)


@pytest.fixture
def play(
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., tuple[CaptureFrames, list[Frame], list[SourceStatus]]]]:
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    opened: list[CaptureFrames] = []

    def begin(*captures: VideoCapture | None) -> tuple[CaptureFrames, list[Frame], list[SourceStatus]]:
        order = iter(captures)
        frames: list[Frame] = []
        events: list[SourceStatus] = []
        source = CaptureFrames("camera 0", lambda: next(order, None), "plug it in")
        opened.append(source)
        source.start(frames.append, events.append)
        return source, frames, events

    yield begin
    for source in opened:
        source.stop()


Play = Callable[..., tuple[CaptureFrames, list[Frame], list[SourceStatus]]]


def test_missing_unplugged_and_plugged_in_again(play: Play) -> None:
    first, second = script((64, 48), (64, 48)), script((32, 24), (64, 48), blocks=True)
    source, frames, events = play(None, first, None, second)
    eventually(lambda: len(frames) == 4)
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert [frame.size for frame in frames] == [(64, 48), (64, 48), (32, 24), (64, 48)]
    assert [event.state for event in events] == ["waiting", "running", "waiting", "waiting", "running"]
    assert [event.reason for event in events if event.reason] == [
        "camera 0 cannot be opened; plug it in",
        "camera 0 gives no more pictures; plug it in",
        "camera 0 cannot be opened; plug it in",
    ]
    assert first.released.is_set()
    assert source.status().state == "running"
    assert source.status().received == 4
    second.let_go.set()


def test_a_blocked_read_neither_delays_stop_nor_publishes_later(play: Play) -> None:
    stuck = script((64, 48), blocks=True)
    source, frames, _ = play(stuck)
    eventually(lambda: len(frames) == 1)
    with promptly():
        source.stop()
    stuck.let_go.set()
    eventually(stuck.released.is_set)
    assert len(frames) == 1


def test_a_blocked_camera_is_waiting(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENCE_NS", 50_000_000)
    stuck = script((64, 48), blocks=True)
    source, frames, _ = play(stuck)
    eventually(lambda: len(frames) == 1 and source.status().state == "waiting")
    assert source.status().reason == "camera 0 gives no pictures; plug it in"
    stuck.let_go.set()


@pytest.mark.parametrize(
    ("before_ns", "believed"), [(20_000_000, True), (2_000_000_000, False), (-1_000_000_000, False), (None, False)]
)
def test_drivers_time_is_used_where_it_can_be_true(play: Play, before_ns: int | None, believed: bool) -> None:
    stamps: list[int] = []

    def stamp() -> int | None:
        if before_ns is not None:
            stamps.append(now_ns() - before_ns)
        return stamps[-1] if stamps else None

    _, frames, _ = play(script((64, 48), stamp=stamp))
    eventually(lambda: len(frames) == 1)
    assert frames[0].captured_ns == (stamps[0] if believed else frames[0].received_ns)
    assert frames[0].timestamp == pytest.approx(frames[0].captured_ns / 1e9)


def test_an_unexpected_error_sets_the_state_failed(play: Play) -> None:
    def broken() -> VideoCapture | None:
        raise OSError("driver gone")

    source = CaptureFrames("camera 0", broken, "")
    source.start(lambda frame: None)
    eventually(lambda: source.status().state == "failed")
    assert source.status().reason == "OSError: driver gone"
    source.stop()


def test_stop_before_start_is_fine() -> None:
    CaptureFrames("camera 0", lambda: None, "").stop()
