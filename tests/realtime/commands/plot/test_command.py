"""The plot of a recording shows its data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
import pytest

from realtime.commands.main import main
from realtime.commands.plot.figures import (
    MAX_LANES,
    assign_lanes,
    compute_shares,
    compute_windows,
    draw_gaze_map,
    window_width,
)
from realtime.commands.plot.page import draw_page
from realtime.commands.plot.summary import GRID, RecordingSummary, StateSpan, name_object, summarize
from realtime.media.overlay import COLOURS
from realtime.recording.labels import ObjectLabel
from realtime.recording.mask_events import read_events
from realtime.recording.reader import RecordingReader
from realtime.types import Confirmation
from tests.realtime.recording.object_recordings import ABOUT, SIZE, damage, record, run

SHOWN = [*run(5, None), *run(10, 1, "preview"), *run(10, 1), *run(30, 2, "held"), *run(20, 2, "lost")]


def summary_of(path: Path) -> RecordingSummary:
    recording = RecordingReader(path)
    return summarize(read_events(recording), recording.about)


def test_the_summary_has_the_times_of_the_run(tmp_path: Path) -> None:
    summary = summary_of(record(tmp_path / "a.mcap", SHOWN))
    assert summary.span_s == pytest.approx(75 * 0.04, abs=0.05)
    assert [(span.object, span.state) for span in summary.spans] == [
        (1, "preview"), (1, "locked"), (2, "held"), (2, "lost"),
    ]  # fmt: skip
    lasted = [span.end_s - span.start_s for span in summary.spans]
    assert lasted == pytest.approx([0.4, 0.4, 1.2, 19 * 0.04 + 1 / 30])
    found = {name: [round(value) for _, value in points] for name, points in summary.latency_ms.items()}
    assert found["frame_to_mask"] == [20] * 70
    assert found["gaze_to_mask"] == [26] * 20  # none for what is only carried on
    assert found["keyframe_age"] == [80] * 20
    assert [value for _, value in summary.rates["masks"]] == [24] * 3
    assert [value for _, value in summary.dropped["frames.superseded"]] == [0, 1, 1]
    assert summary.gaze is not None
    assert summary.gaze.sum() == summary.samples == 300
    row, column = np.unravel_index(int(summary.gaze.argmax()), summary.gaze.shape)
    assert (column / GRID, row / summary.gaze.shape[0]) == pytest.approx((38.5 / SIZE[0], 0.5), abs=0.02)
    assert summary.radius == pytest.approx(5 * GRID / SIZE[0])


def test_latency_at_any_speed_is_not_drawn(tmp_path: Path) -> None:
    summary = summary_of(record(tmp_path / "a.mcap", SHOWN, about=replace(ABOUT, frame_time=True)))
    assert (summary.timed, summary.latency_ms, summary.rates) == (False, {}, {})
    assert len(summary.spans) == 4
    assert draw_page(summary, {}, ["杯 Tür at $5_any^ speed"]).shape[1] == 1180


def test_percentiles_are_of_their_window() -> None:
    points = [(number / 10, 10.0 if number < 50 else 30.0) for number in range(100)]
    found = compute_windows(points, window_width(10.0))
    assert [at_s for at_s, _ in found] == pytest.approx([0.25 + n / 2 for n in range(20)])
    assert [parts["p50"] for _, parts in found] == [10.0] * 10 + [30.0] * 10
    assert len(compute_windows(points, window_width(600.0))) == 1  # sixty windows, whatever the length


def test_objects_beyond_the_lanes_share_one() -> None:
    spans = [StateSpan(number, number + (2 if number == 40 else 0.5), number, "locked") for number in range(50)]
    lanes = assign_lanes([*spans, StateSpan(50, 99, 7, "lost")])
    assert len(lanes) == MAX_LANES
    assert (40,) in [objects for objects, _ in lanes]
    assert sum(len(objects) for objects, _ in lanes) == 50
    assert len(lanes[-1][0]) == 50 - MAX_LANES + 1


def test_a_span_shorter_than_a_column_has_its_share_of_it() -> None:
    spans = [
        StateSpan(0, 2.5, 1, "locked"),
        StateSpan(2.5, 2.75, 1, "held"),
        StateSpan(2.75, 3, 2, "preview"),
        StateSpan(9, 10, 2, "lost"),
    ]
    assert compute_shares(spans, 10.0, 10) == [
        (0, {"locked": 1}), (1, {"locked": 1}), (2, {"locked": 0.5, "held": 0.25, "preview": 0.25}), (9, {"lost": 1}),
    ]  # fmt: skip


def test_objects_are_named_by_their_labels() -> None:
    labels = MappingProxyType({1: ObjectLabel("cup"), 2: ObjectLabel("", keep=False)})
    assert [name_object(number, labels) for number in (1, 2, 3)] == ["1 cup", "2 (dropped)", "3"]


def test_the_map_is_bright_at_the_gaze() -> None:
    gaze = np.zeros((180, GRID), np.float32)
    gaze[45, 80] = 100
    image = draw_gaze_map(RecordingSummary(gaze=gaze, radius=6.0, picture=np.full((360, 640, 3), 90, np.uint8))).astype(
        int
    )
    coloured = (image.max(2) - image.min(2)) > 60
    rows, columns = np.nonzero(coloured)
    assert (columns.mean(), rows.mean()) == pytest.approx((161, 91), abs=4)
    assert not coloured[250:].any()


def test_states_have_their_colours_in_the_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = record(tmp_path / "a.mcap", SHOWN, cut=True)
    damage(path, 1)
    assert main(["plot", str(path)]) == 0
    out = capsys.readouterr().out
    assert "2 objects" in out
    assert "1 damaged" in out
    image = cv2.imread(str(tmp_path / "a.png"))
    for state, colour in COLOURS.items():
        assert (image == colour).all(2).sum() > 400, state
    assert main(["plot", str(path)]) == 2
    assert "--force" in capsys.readouterr().err
    assert main(["plot", str(path), "--force"]) == 0
    assert main(["plot", str(path), "--out", str(tmp_path / "a.jpg")]) == 2
    assert ".png" in capsys.readouterr().err
    (tmp_path / "none.mcap").write_bytes(b"none")
    assert main(["plot", str(tmp_path / "none.mcap")]) == 2


def test_a_recording_without_masks_can_be_drawn_too(tmp_path: Path) -> None:
    summary = summary_of(record(tmp_path / "a.mcap", run(5, None)))
    picture = draw_page(summary, {}, ["nothing " * 60])
    assert picture.shape[1] == 1180
    assert not summary.spans


def test_recognized_names_and_confirmations_are_drawn(tmp_path: Path) -> None:
    confirmed = run(5, 1, confirmed=Confirmation("key", 1, 0)), run(5, 1, confirmed=Confirmation("dwell", 2, 0))
    shown = [*run(10, 1, recognized="cup"), *confirmed[0], *confirmed[1], *run(20, 2, recognized="bowl")]
    summary = summary_of(record(tmp_path / "a.mcap", shown))
    assert summary.recognized == {1: "cup", 2: "bowl"}
    assert [number for _, number in summary.confirmations] == [1, 1]
    assert [at_s for at_s, _ in summary.confirmations] == pytest.approx([0.4, 0.6], abs=0.02)
    assert name_object(1, {}, "cup") == "1 cup"
    assert name_object(1, {1: ObjectLabel("mug")}, "cup") == "1 mug", "the user knows better"
    without = replace(summary, confirmations=[])
    assert not np.array_equal(draw_page(summary, {}, [""]), draw_page(without, {}, [""]))
