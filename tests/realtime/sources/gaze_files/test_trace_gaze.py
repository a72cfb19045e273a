"""Gaze traces are played on a clip's clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from realtime.sources.gaze_files.trace import read_trace
from realtime.sources.gaze_files.trace_gaze import TraceGaze
from realtime.sources.video import video_file
from realtime.sources.video.video_file import VideoFrames
from realtime.types import Frame, GazeSample
from tests.realtime.sources.video.clips import make_folder
from tests.realtime.waiting import eventually


def played(tmp_path: Path, text: str, until: int, **options: Any) -> list[Frame | GazeSample]:
    """Frames and samples in the order they were given."""
    given: list[Frame | GazeSample] = []
    (tmp_path / "t.csv").write_text(text)
    frames = VideoFrames(make_folder(tmp_path / "clip", 4), fps=20, **options)  # 0.2 s
    gaze = TraceGaze(read_trace(tmp_path / "t.csv"), frames.clock)
    gaze.start(given.append)
    assert gaze.status().state == "connecting"
    frames.start(given.append)
    if until:
        eventually(lambda: sum(isinstance(each, GazeSample) for each in given) >= until)
    else:
        eventually(lambda: {frames.status().state, gaze.status().state} == {"ended"})
    gaze.stop()
    frames.stop()
    return given


ROWS = "timestamp,x,y,confidence\n0,1,2,1\n0.04,2,2,0.5\n0.12,3,2,1\n0.19,4,2,1\n0.3,5,2,1\n"


def test_in_real_time_samples_are_published_when_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_file, "MAX_DELAY_NS", 10**12)  # a busy machine does not shift the clip's clock
    given = played(tmp_path, ROWS, 0)
    samples = [each for each in given if isinstance(each, GazeSample)]
    first = next(each for each in given if isinstance(each, Frame))
    assert [(s.timestamp, s.x, s.y, s.confidence, s.unit) for s in samples] == [
        (0, 1, 2, 1, "px"),
        (0.04, 2, 2, 0.5, "px"),
        (0.12, 3, 2, 1, "px"),
        (0.19, 4, 2, 1, "px"),
    ]
    assert [(s.captured_ns - first.captured_ns) / 1e9 for s in samples] == pytest.approx(
        [0, 0.04, 0.12, 0.19], abs=1e-6
    )
    assert all(s.received_ns >= s.captured_ns for s in samples)


def test_without_real_time_samples_precede_their_frame(tmp_path: Path) -> None:
    given = played(tmp_path, ROWS, 0, real_time=False)
    order = [each.index if isinstance(each, Frame) else f"sample {each.x:g}" for each in given]
    assert order == ["sample 1", 0, "sample 2", 1, 2, "sample 3", 3, "sample 4"]
    frame, sample = given[3], given[2]
    assert isinstance(sample, GazeSample)
    assert frame.captured_ns - sample.captured_ns == pytest.approx(10_000_000, abs=2_000_000)


@pytest.mark.parametrize("real_time", [True, False])
def test_repeated_clip_repeats_the_trace(tmp_path: Path, real_time: bool) -> None:
    given = played(tmp_path, ROWS, 9, loop=True, real_time=real_time)
    samples = [(round(each.timestamp, 6), each.x) for each in given if isinstance(each, GazeSample)]
    cycle = [(0.0, 1), (0.04, 2), (0.12, 3), (0.19, 4)]
    assert len(samples) >= 9
    assert (
        samples == [(round(t + 0.2 * repetition, 6), x) for repetition in range(99) for t, x in cycle][: len(samples)]
    )


def test_gaze_before_the_first_frame_is_left_out(tmp_path: Path) -> None:
    given = played(tmp_path, "timestamp,x,y\n-0.1,1,2\n0.01,3,4\n", 0, real_time=False)
    assert [each.x for each in given if isinstance(each, GazeSample)] == [3]
