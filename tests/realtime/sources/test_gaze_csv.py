"""Gaze traces: read strictly, played on a clip's clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from realtime.errors import SourceError
from realtime.sources import video_file
from realtime.sources.gaze_csv import TraceGaze, TracePoint, read_trace
from realtime.sources.video_file import VideoFrames
from realtime.types import Frame, GazeSample
from tests.realtime.sources.clips import make_folder
from tests.realtime.waiting import eventually


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("timestamp,x,y,confidence\n0.5,10,20,0.75\n", [(0.5, 10, 20, 0.75)]),
        ("timestamp,x,y\n0,-1,2000\n", [(0, -1, 2000, 1)]),
        ("\ufeffTimestamp, X, Y\r\n0,1,2\r\n\r\n", [(0, 1, 2, 1)]),
        ("y,extra,x,timestamp\n2,?,1,0\n", [(0, 1, 2, 1)]),
        ("timestamp,x,y\n2,3,4\n1,1,2\n", [(1, 1, 2, 1), (2, 3, 4, 1)]),
        ("timestamp,x,y\n0,1,2\n1,nan,5\n2,,\n3,6,7\n", [(0, 1, 2, 1), (1, 1, 2, 0), (2, 1, 2, 0), (3, 6, 7, 1)]),
        ("timestamp,x,y,confidence\n0,,,\n1,5,6,nan\n2,5,6,\n", [(0, 5, 6, 0), (1, 5, 6, 0), (2, 5, 6, 0)]),
    ],
)
def test_trace_is_read(tmp_path: Path, text: str, points: list[tuple[float, float, float, float]]) -> None:
    assert read_trace(write(tmp_path / "t.csv", text)) == tuple(TracePoint(*point) for point in points)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1 is ''; expected the header timestamp,x,y,confidence"),
        ("0,1,2\n", "line 1 is '0,1,2'"),
        ("timestamp,x\n0,1\n", "expected the header"),
        ("timestamp,x,y\n", "has no row with a gaze point"),
        ("timestamp,x,y\n0,,\n", "has no row with a gaze point"),
        ("timestamp,x,y\n0,1,2\nsoon,1,2\n", "line 3: timestamp is 'soon'; expected a number"),
        ("timestamp,x,y\n,1,2\n", "line 2: timestamp is ''"),
        ("timestamp,x,y\nnan,1,2\n", "line 2: timestamp is 'nan'"),
        ("timestamp,x,y\n0,left,2\n", "line 2: x is 'left'"),
        ("timestamp,x,y\n0,inf,2\n", "line 2: x is 'inf'"),
        ("timestamp,x,y,confidence\n0,1,2,high\n", "line 2: confidence is 'high'; expected 0 to 1"),
        ("timestamp,x,y,confidence\n0,1,2,1.5\n", "line 2: confidence is '1.5'; expected 0 to 1"),
    ],
)
def test_bad_trace_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read_trace(write(tmp_path / "t.csv", text))


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00\x01")
    for path in (tmp_path / "t.csv", tmp_path / "missing.csv", tmp_path):
        with pytest.raises(SourceError, match=r"cannot read the gaze trace .*; expected a CSV"):
            read_trace(path)


def played(tmp_path: Path, text: str, until: int, **options: Any) -> list[Frame | GazeSample]:
    """Frames and samples in the order they were given."""
    given: list[Frame | GazeSample] = []
    frames = VideoFrames(make_folder(tmp_path / "clip", 4), fps=20, **options)  # 0.2 s
    gaze = TraceGaze(write(tmp_path / "t.csv", text), frames.clock)
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
