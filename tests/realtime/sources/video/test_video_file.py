"""A clip as a source: its own time, no time, again and again."""

from __future__ import annotations

import threading
from pathlib import Path

import av
import numpy as np
import pytest

from realtime.infra.clock import now_ns
from realtime.sources.video import video_file, video_reader
from realtime.sources.video.video_file import VideoFrames
from realtime.types import Frame, SourceStatus
from tests.realtime.sources.video.clips import make_folder, make_video, number_in
from tests.realtime.waiting import eventually, find_threads


def test_in_real_time_frames_come_by_the_clips_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_file, "MAX_DELAY_NS", 10**12)  # a busy machine does not shift the clip's clock
    frames: list[Frame] = []
    events: list[SourceStatus] = []
    source = VideoFrames(make_video(tmp_path / "clip.mp4", 15, fps=50))
    begun_ns = now_ns()
    source.start(frames.append, events.append)
    eventually(lambda: source.status().state == "ended")
    source.stop()
    assert [frame.index for frame in frames] == list(range(15))
    assert [number_in(frame.image) for frame in frames] == list(range(15))
    assert [frame.timestamp for frame in frames] == pytest.approx([i / 50 for i in range(15)])
    steps_ms = np.diff([frame.captured_ns for frame in frames]) / 1e6
    assert np.median(steps_ms) == pytest.approx(20, abs=0.01)
    assert all(frame.captured_ns <= frame.received_ns for frame in frames)
    assert frames[-1].received_ns - begun_ns >= 14 * 20_000_000
    assert [event.state for event in events] == ["running", "ended"]
    assert source.status().reason.endswith("was played to its end, 15 frames")
    assert source.status().received == 15


def test_without_real_time_the_reader_sets_the_pace(tmp_path: Path) -> None:
    go = threading.Semaphore(0)
    frames: list[Frame] = []

    def take(frame: Frame) -> None:
        frames.append(frame)
        go.acquire()

    source = VideoFrames(make_folder(tmp_path / "clip", 20), real_time=False, fps=0.5)  # 40 s of clip
    source.start(take)
    for count in (1, 2, 3):
        eventually(lambda count=count: len(frames) == count)  # type: ignore[misc]
        go.release()
    go.release(100)
    eventually(lambda: source.status().state == "ended")
    assert [frame.timestamp for frame in frames] == [2.0 * i for i in range(20)]
    source.stop()


def test_repeated_clip_counts_on(tmp_path: Path) -> None:
    frames: list[Frame] = []
    source = VideoFrames(make_folder(tmp_path / "clip", 4), loop=True, fps=100)
    source.start(frames.append)
    eventually(lambda: len(frames) > 12)
    source.stop()
    count = len(frames)
    assert [frame.index for frame in frames] == list(range(count))
    assert [number_in(frame.image) for frame in frames] == [i % 4 for i in range(count)]
    assert [frame.timestamp for frame in frames] == pytest.approx([i / 100 for i in range(count)])


def test_reader_that_holds_the_clip_up_makes_it_slower_not_later(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "clip", 8)

    def latest_ms() -> float:
        """How late the latest frame comes after the one that was held up."""
        frames: list[Frame] = []

        def take(frame: Frame) -> None:
            frames.append(frame)
            if frame.index == 1:
                threading.Event().wait(0.5)  # the delay under test

        source = VideoFrames(folder, fps=50)
        source.start(take)
        eventually(lambda: source.status().state == "ended")
        source.stop()
        return max((frame.received_ns - frame.captured_ns) / 1e6 for frame in frames[2:])

    eventually(lambda: latest_ms() < 200)  # once: more than that is the machine's


def test_stop_ends_the_wait_between_slow_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_reader, "FPS_RANGE", (0.001, 1000))
    before = find_threads()
    frames: list[Frame] = []
    source = VideoFrames(make_folder(tmp_path / "clip", 3), fps=0.001)
    source.start(frames.append)
    eventually(lambda: len(frames) == 1)
    source.stop()
    source.stop()
    eventually(lambda: find_threads() <= before, "the end of the thread")
    assert len(frames) == 1


def test_pictures_that_cannot_be_decoded_are_counted(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "clip", 4)
    (folder / "002.png").write_bytes(b"broken")
    source = VideoFrames(folder, real_time=False)
    source.start(lambda frame: None)
    eventually(lambda: source.status().state == "ended")
    assert source.status().dropped == {"undecodable": 1}
    source.stop()


def test_clip_that_goes_away_fails_with_the_reason(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", 3)
    source = VideoFrames(path, loop=True, real_time=False)
    path.unlink()
    source.start(lambda frame: None)
    eventually(lambda: source.status().state == "failed")
    assert "cannot be opened" in source.status().reason
    source.stop()


def test_no_other_package_turns_the_log_of_ffmpeg_on(tmp_path: Path) -> None:
    """With a log its threads and the closing of a decoder wait for each other; Pupil Labs' packages turn it on."""
    av.logging.set_level(av.logging.VERBOSE)
    video_reader.VideoFile(make_video(tmp_path / "clip.mp4", 2))
    assert av.logging.get_level() is None
