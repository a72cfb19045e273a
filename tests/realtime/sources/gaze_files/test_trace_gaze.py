"""Gaze traces: read strictly, played on a clip's clock."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from realtime.errors import SourceError
from realtime.sources.gaze_files.trace_gaze import ClipFacts, TraceGaze, TraceOptions, TracePoint, read_trace
from realtime.sources.video import video_file
from realtime.sources.video.video_file import VideoFrames
from realtime.types import Frame, GazeSample
from tests.realtime.sources.video.clips import make_folder
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
    (tmp_path / "t.csv").write_bytes(b"\x00\xff")
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


PIXELS = "timestamp,x,y", "{t},{x},{y}"
CLIP = ClipFacts((320, 240), 3.0, 0.6)
TIMES_S = [0.02 * index for index in range(100)]
TRUTH = [(round(160 + 80 * math.sin(at), 3), round(120 + 60 * math.cos(at), 3)) for at in TIMES_S]


def table(header: str, row: str, start: float = 0.0, unit_s: float = 1.0, decimal: str = ".") -> str:
    """A table of the same gaze: {t} in its unit; {x}, {y} in px; {u}, {v} as shares, {w} from the bottom."""
    lines = [header]
    for index, (at, (x, y)) in enumerate(zip(TIMES_S, TRUTH, strict=True)):
        numbers = {"x": x, "y": y, "u": x / 320, "v": y / 240, "w": 1 - y / 240}
        texts = {name: f"{value:.6f}".replace(".", decimal) for name, value in numbers.items()}
        time = (
            f"{start + at / unit_s:.6f}".replace(".", decimal) if unit_s == 1 else str(int(start) + round(at / unit_s))
        )
        lines.append(row.format(t=time, i=index, **texts))
    return "\n".join(lines) + "\n"


TOOLS = {
    "gazecast": table("timestamp,x,y,confidence", "{t},{x},{y},1"),
    "pupil player": table(
        "gaze_timestamp,world_index,confidence,norm_pos_x,norm_pos_y,base_data", "{t},{i},0.9,{u},{w},{t}-0", 329517.2
    ),
    "pupil cloud": "\ufeff"
    + table(
        "section id,recording id,timestamp [ns],gaze x [px],gaze y [px],worn,fixation id,blink id",
        "a,b,{t},{x},{y},1.0,1,", 1704206942000000000, 1e-9,
    ),
    "tobii": table(
        "Recording timestamp\tSensor\tParticipant name\tGaze point X\tGaze point Y\tValidity left\tValidity right",
        "{t}\tEye Tracker\tJürgen\t{x}\t{y}\tValid\tInvalid", unit_s=1e-6,
    )
    + "900\tMouse\tJürgen\t5\t5\t\t\n",
    "tobii ms": table(
        "Recording timestamp [ms]\tGaze point X [MCS px]\tGaze point Y [MCS px]", "{t}\t{x}\t{y}", unit_s=1e-3
    ),
    "gazepoint": table(
        "MEDIA_ID,CNT,TIME(2024/01/01 10:00:00),FPOGX,FPOGY,BPOGX,BPOGY,BPOGV", "0,{i},{t},9,9,{u},{v},1"
    ),
    "german": table("timestamp;x;y;confidence", "{t};{x};{y};0,9", decimal=","),
    "semicolon": table("timestamp;x;y", "{t};{x};{y}"),
}  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
@pytest.mark.parametrize("tool", TOOLS)
def test_tables_of_other_programs_are_the_same_gaze(tmp_path: Path, tool: str, encoding: str) -> None:
    text = TOOLS[tool].removeprefix("\ufeff") if encoding != "utf-8" else TOOLS[tool]
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    points = read_trace(tmp_path / "t.csv", CLIP)
    assert [point.timestamp for point in points] == pytest.approx(TIMES_S, abs=1e-6)
    for point, (x, y) in zip(points, TRUTH, strict=True):
        assert (point.x, point.y, point.confidence >= 0.9) == (
            pytest.approx(x, abs=0.01),
            pytest.approx(y, abs=0.01),
            True,
        )


@pytest.mark.parametrize(
    ("tool", "header", "first"),
    [("pupil player", "# timestamps [seconds],pts", "329517.1,0"),
     ("pupil cloud", "recording id,timestamp [ns]", "7,1704206941900000000")],
)  # fmt: skip
def test_times_of_frames_beside_a_table_are_its_start(tmp_path: Path, tool: str, header: str, first: str) -> None:
    (tmp_path / "world_timestamps.csv").write_text(f"{header}\n{first}\n")
    points = read_trace(write(tmp_path / "gaze.csv", TOOLS[tool]), CLIP)
    assert points[0].timestamp == pytest.approx(0.1, abs=1e-6)


def test_blinks_and_a_headset_that_is_not_worn_have_no_confidence(tmp_path: Path) -> None:
    text = TOOLS["pupil cloud"] + "a,b,1704206944500000000,5,5,0.0,,\na,b,1704206944600000000,5,5,1.0,,3\n"
    assert [point.confidence for point in read_trace(write(tmp_path / "t.csv", text), CLIP)[-3:]] == [1, 0, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (table("timestamp,x,y", "{t},{u},{v}"), "fractions of the picture: .* the pictures have 320 x 240"),
        (table(*PIXELS, 329517.2), "gaze from 329517.2 to 329519.18 s, the clip from 0 to 3 s; add"),
        (table(*PIXELS, 1704206942.0), "gaze from 1704206942 to 1704206943.98 s, the clip from 0 to 3 s"),
        (table(*PIXELS, 1704206942000000000, 1e-9), "as if in ns: add .time=ns&start="),
        (table(*PIXELS, unit_s=1e-3), "gaze from 0 to 1980 s, the clip from 0 to 3 s; .* add .time=ms$"),
        (table("timestamp,x,y,confidence", "{t},{x},{y},0.3"), "no confidence above 0.3, and gaze below 0.6"),
        ("tracking_timestamp_us,left_yaw_rads_cpf,pitch_rads_cpf\n1,2,3\n", "need the glasses' calibration"),
        (TOOLS["pupil cloud"] + "a,other,1704206944500000000,5,5,1,,\n", "holds 2 recordings"),
    ],
)  # fmt: skip
def test_a_trace_that_does_not_fit_its_clip_is_refused_at_once(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read_trace(write(tmp_path / "t.csv", text), CLIP)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (table("timestamp,x,y", "{t},{u},{v}"), TraceOptions(unit="norm")),
        (table(*PIXELS, 329517.2), TraceOptions(start_s=329517.2)),
        (table(*PIXELS, unit_s=1e-3), TraceOptions(time="ms")),
    ],
)
def test_options_say_what_a_table_does_not(tmp_path: Path, text: str, options: TraceOptions) -> None:
    points = read_trace(write(tmp_path / "t.csv", text), CLIP, options)
    assert (points[-1].timestamp, points[-1].x) == (pytest.approx(1.98), pytest.approx(TRUTH[-1][0], abs=0.01))
