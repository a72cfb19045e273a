"""Gaze traces: tables of many programs are read strictly, and what does not fit the clip is refused at once."""

from __future__ import annotations

import gzip
import json
import logging
import math
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.gaze_files import WRITERS, compare_tool
from realtime.errors import SourceError
from realtime.sources.gaze_files.layouts import LAYOUTS, find_layout, normalize_name
from realtime.sources.gaze_files.trace import read_trace
from realtime.sources.gaze_files.trace_values import ClipFacts, TraceOptions, TracePoint


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
        ('sep=,\n# by hand\n "timestamp" , "x", "y"\n"0", "1" ,"2"\n\0\0', [(0, 1, 2, 1)]),
        ("timestamp|x|y\r0|1|2\r", [(0, 1, 2, 1)]),
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


@pytest.mark.parametrize("tool", WRITERS)
def test_files_of_every_program_are_the_same_gaze(tmp_path: Path, tool: str) -> None:
    found = compare_tool(tool, tmp_path / "files")
    assert found.error_px <= 0.5
    assert found.error_ms <= 0.001
    assert found.wrong_blinks == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (table("timestamp,x,y", "{t},9{x},9{y}"), r"outside the picture in .*x from .* to .*320 x 240 px; add .size="),
        (table("timestamp,norm_pos_x,norm_pos_y", "{t},{x},{y}"), "outside the picture .* add .unit=px"),
        ("timestamp,x,y\n" + "0,5,5\n" * 9, "all 9 rows have the time 0 s"),
        ("timestamp;x;y\n0;1.234,5;2\n", "line 2: x is '1.234,5'; expected a number without separators of thousands"),
        ('timestamp,x,y\n0,"1,234",2\n', "line 2: x is '1,234'; expected a number without separators of thousands"),
        ("timestamp,x,y\n0,1_0,2\n", "line 2: x is '1_0'; expected a number"),
        ("timestamp,x,y\n0,1e40,2\n", "line 2: x is '1e40'; expected a number"),
        ("timestamp,x,y\n2024-01-01 10:00:00,1,2\n", "line 2: timestamp is '2024-01-01 10:00:00'"),
        ("start timestamp [ns],fixation x [px]\n1,2\n", "holds fixations or other events, not samples"),
        ("world_timestamp,x_norm,y_norm,gaze_timestamp\n1,2,3,4\n", "gaze on a surface or picture"),
        ("Recording timestamp\tEvent\n1\tx\n", "Tobii Pro Lab without Gaze point X"),
        ("RECORDING_SESSION_LABEL\tTRIAL_INDEX\na\t1\n", "SR Research without TIMESTAMP"),
        ("#INFO\n#DATA\nCNT,FPOGV\n1,1\n", "line 3 .*Gazepoint without BPOGX"),
        ("MEDIA_ID,TIME,BPOGX,BPOGY\n0,0,.5,.5\n1,0,.5,.5\n", "2 recordings or parts: media_id is '0, 1'"),
        ('{"type":"gaze","data":{}}\n', "timestamp is 'None'"),
        ('{"type":"sync"}\n', "no gaze of Tobii Pro Glasses"),
        ("** CONVERTED FROM a.edf\nSAMPLES\tHREF\tLEFT\n1 2 3 4\n", "EyeLink ASC without samples of gaze"),
        ("** CONVERTED FROM a.edf\nSAMPLES\tGAZE\tLEFT\n1 2\n", "EyeLink ASC without samples of gaze"),
    ],
)
def test_what_a_table_lacks_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read_trace(write(tmp_path / "t.csv", text), CLIP)


def test_workbooks_and_damaged_archives_are_named(tmp_path: Path) -> None:
    (tmp_path / "t.xlsx").write_bytes(b"PK\x03\x04rest")
    with pytest.raises(SourceError, match="workbook or an archive; save the sheet as CSV"):
        read_trace(tmp_path / "t.xlsx")
    (tmp_path / "t.gz").write_bytes(gzip.compress(b"timestamp,x,y\n0,1,2\n" * 99)[:-9])
    with pytest.raises(SourceError, match="cannot read the gaze trace"):
        read_trace(tmp_path / "t.gz")


def test_pixels_of_another_picture_are_scaled(tmp_path: Path) -> None:
    header = "Recording timestamp\tGaze point X\tGaze point Y\tRecording media width\tRecording media height"
    text = f"{header}\n0\t640\t480\t640\t480\n20000\t320\t240\t640\t480\n"
    points = read_trace(write(tmp_path / "t.tsv", text), CLIP)
    assert [(point.timestamp, point.x, point.y) for point in points] == [(0, 320, 240), (0.02, 160, 120)]
    plain = write(tmp_path / "t.csv", "timestamp,x,y\n0,640,480\n0.1,320,240\n")
    assert read_trace(plain, CLIP, TraceOptions(size=(640, 480)))[1].x == 160


def test_eyes_are_averaged_and_one_eye_is_enough(tmp_path: Path) -> None:
    text = "TIMESTAMP\tLEFT_GAZE_X\tLEFT_GAZE_Y\tRIGHT_GAZE_X\tRIGHT_GAZE_Y\n"
    text += "5000\t10\t20\t12\t22\n5002\t.\t.\t30\t40\n5004\t.\t.\t.\t.\n"
    points = read_trace(write(tmp_path / "t.txt", text), CLIP)
    assert [(round(p.timestamp, 6), p.x, p.y, p.confidence) for p in points] == [
        (0, 11, 21, 1), (0.002, 30, 40, 1), (0.004, 30, 40, 0)
    ]  # fmt: skip


def test_order_and_repetitions_are_told_and_mended(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = "timestamp,x,y\n0,1,2\n0.2,3,4\n0.1,5,6\n0.1,5,6\n"
    with caplog.at_level(logging.WARNING):
        points = read_trace(write(tmp_path / "t.csv", text), CLIP)
    assert [point.x for point in points] == [1, 5, 3]
    assert "1 rows are earlier than the one before and were sorted, 1 have its time" in caplog.text
    assert "covers only a part of its clip: gaze from 0 to 0.2 s, the clip from 0 to 3 s" in caplog.text


def test_little_confidence_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = "".join(f"{at / 100},5,5,{0.9 if at % 4 == 0 else 0.2}\n" for at in range(300))
    with caplog.at_level(logging.WARNING):
        read_trace(write(tmp_path / "t.csv", f"timestamp,x,y,confidence\n{rows}"), CLIP)
    assert "75 % of the gaze is ignored, because its confidence is below 0.6" in caplog.text


def test_times_of_the_recording_are_the_start_of_an_export_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "exports" / "000").mkdir(parents=True)
    np.save(tmp_path / "world_timestamps.npy", np.array([329517.0, 329517.04]))
    text = TOOLS["pupil player"]
    assert read_trace(write(tmp_path / "exports" / "000" / "gaze_positions.csv", text), CLIP)[0].timestamp == (
        pytest.approx(0.2, abs=1e-6)
    )
    assert read_trace(write(tmp_path / "other.csv", text), CLIP)[0].timestamp == pytest.approx(0.2, abs=1e-6)


@pytest.mark.parametrize(("first", "starts"), [(0.0, 0.0), (1.0, 1.0), (500.0, 0.0)])
def test_a_clock_that_may_be_the_clips_is_it_where_it_fits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, first: float, starts: float
) -> None:
    text = f"TIME,BPOGX,BPOGY,BPOGV\n{first},0.5,0.5,1\n{first + 0.02},0.5,0.5,1\n"
    with caplog.at_level(logging.WARNING):
        assert read_trace(write(tmp_path / "t.csv", text), CLIP)[0].timestamp == starts
    told = "on the clock of Gazepoint, from 500 to 500.02 s, and no times of frames (world_timestamps.csv) are beside"
    assert (told in caplog.text) == (first == 500)
    assert ("the clip, which lasts 3 s" in caplog.text) == (first == 500)


def test_tobii_glasses_2_begin_at_their_video_time(tmp_path: Path) -> None:
    lines = [{"ts": 5_000_000, "vts": 1_000_000}, {"ts": 4_100_000, "s": 0, "gp": [0.5, 0.25]}, {"ts": 1, "s": 0}]
    lines.append({"ts": 4_120_000, "s": 1, "gp": [0.0, 0.0]})
    path = tmp_path / "livedata.json.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, lines)).encode() + b'\n{"ts": 41'))
    assert read_trace(path, CLIP) == (
        TracePoint(pytest.approx(0.1), 160, 60, 1),
        TracePoint(pytest.approx(0.12), 0, 0, 0),
    )


@pytest.mark.parametrize(
    ("step", "factor"), [(20, 1e-3), (8, 1e-3), (20_000, 1e-6), (833, 1e-6), (3, 1e-3), (40, 1e-3), (40_000, 1e-6)]
)
def test_unit_of_times_without_a_name_is_that_of_an_eye_tracker(tmp_path: Path, step: int, factor: float) -> None:
    rows = "".join(f"{at * step}\t5\t5\n" for at in range(20))
    points = read_trace(write(tmp_path / "t.tsv", f"Recording timestamp\tGaze point X\tGaze point Y\n{rows}"))
    assert points[-1].timestamp == pytest.approx(19 * step * factor)


@pytest.mark.parametrize(
    ("header", "time_s"),
    [("time [ms],x,y", 0.2), ("t_us,x_px,y_px", 0.0002), ("Time (s),Gaze X,Gaze Y", 200), ("timestamp_ns,x,y", 2e-7)],
)
def test_units_in_the_names_of_columns_are_read(tmp_path: Path, header: str, time_s: float) -> None:
    assert read_trace(write(tmp_path / "t.csv", f"{header}\n200,5,5\n"))[0].timestamp == pytest.approx(time_s)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "t.csv").write_bytes("timestamp,x,y\n0,1,2\n".encode(encoding))
    assert read_trace(tmp_path / "t.csv") == (TracePoint(0, 1, 2, 1),)


NAMES = sorted({name.replace("\\", "").replace("( ", " ").replace(")?", "") for layout in LAYOUTS
                for name in (*layout.x, *layout.y, layout.time, *layout.reads, *layout.one_of)})  # fmt: skip
CELLS = st.one_of(
    st.text(max_size=12),
    st.floats().map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.sampled_from(["", "-", ".", "NaN", "1,5", "1.234,5", "1e400", '"', "Eye Tracker", "Valid", "1", "0", "\0"]),
)
HEADERS = st.lists(
    st.sampled_from(
        [*NAMES, "timestamp", "x", "y", "confidence", "gaze_timestamp", "norm_pos_x", "norm_pos_y", "timestamp [ns]",
         "gaze x [px]", "gaze y [px]", "Recording timestamp", "Gaze point X", "Gaze point Y", "TIME", "BPOGX", "BPOGY"]
    ),
    min_size=3, max_size=8,
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HEADERS, st.lists(st.lists(CELLS, max_size=9), max_size=6), st.sampled_from(",;\t|"))
def test_any_table_is_read_or_refused(tmp_path: Path, header: list[str], rows: list[list[str]], by: str) -> None:
    text = "\n".join(by.join(row) for row in (header, *rows))
    points = read_or_refuse(tmp_path, text.encode("utf-8", "surrogatepass"))
    if points:
        assert all(math.isfinite(point.x + point.y + point.timestamp) for point in points)
        assert [point.timestamp for point in points] == sorted(point.timestamp for point in points)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=50).map(lambda data: b"timestamp,x,y\n0,1,2\n" + data),
        st.binary(max_size=50).map(lambda data: b'{"type":"gaze","timestamp":0,"data":{"gaze2d":[1,2]}}\n' + data),
        st.binary(max_size=50).map(lambda data: b"\x1f\x8b\x08" + data),
        st.binary(max_size=50).map(lambda data: b"** CONVERTED\nSAMPLES GAZE LEFT RIGHT\n100 5 5 9 5 5 9\n" + data),
    )
)
def test_any_bytes_are_read_or_refused(tmp_path: Path, data: bytes) -> None:
    read_or_refuse(tmp_path, data)


def read_or_refuse(folder: Path, data: bytes) -> tuple[TracePoint, ...]:
    """The points of a file; none where it is refused with a sentence that names it."""
    (folder / "fuzz.csv").write_bytes(data)
    with suppress(SourceError):
        return read_trace(folder / "fuzz.csv", CLIP)
    with pytest.raises(SourceError, match=r"fuzz\.csv"):
        read_trace(folder / "fuzz.csv", CLIP)
    return ()


@given(st.lists(st.text(max_size=20), max_size=6))
def test_any_header_is_looked_up(names: list[str]) -> None:
    find_layout([normalize_name(name) for name in names])
