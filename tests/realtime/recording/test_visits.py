"""Visits and objects of a recording match the gaze in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from realtime.errors import RecordingError
from realtime.recording.labels import LabelFile, ObjectLabel
from realtime.recording.mask_events import pair_frames, read_mask_events
from realtime.recording.reader import RecordingReader
from realtime.recording.visits import read_best_view
from realtime.types import Confirmation
from tests.realtime.recording.object_recordings import (
    ABOUT,
    BEGIN_NS,
    STEP_NS,
    WALL_NS,
    Shown,
    damage,
    find_objects,
    find_visits,
    mask_of,
    record,
    run,
)

CUP = LabelFile(MappingProxyType({1: ObjectLabel("cup"), 2: ObjectLabel("", keep=False)}))


def test_visits_are_runs_of_one_object(tmp_path: Path) -> None:
    shown = [*run(5, None), *run(6, 1, "preview"), *run(4, 1), *run(5, 2), *run(3, 2, "lost"), *run(7, 1, "held")]
    found = find_visits(RecordingReader(record(tmp_path / "a.mcap", shown)), CUP)
    assert [(visit.object, visit.label, visit.keep, visit.masks) for visit in found] == [
        (1, "cup", True, 10), (2, "", False, 5), (1, "cup", True, 7),
    ]  # fmt: skip
    first = found[0]
    assert (first.start_ns, first.end_ns) == (WALL_NS + BEGIN_NS + 5 * STEP_NS, WALL_NS + BEGIN_NS + 14 * STEP_NS)
    assert (first.start_s, first.end_s) == pytest.approx((100.2, 100.56))
    assert first.duration_s == pytest.approx(0.36)
    assert dict(first.seconds) == pytest.approx({"preview": 0.24, "locked": 0.12})
    assert sum(found[2].seconds.values()) == pytest.approx(found[2].duration_s)
    rows, columns = np.nonzero(mask_of(1))
    assert first.centroid_px == pytest.approx((columns.mean(), rows.mean()))
    assert first.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert first.area == pytest.approx(mask_of(1).mean())
    assert first.gaze_px == pytest.approx((26, 24))
    assert 34 <= first.samples <= 38  # four to a frame, in nine frames' time
    assert (first.radius_px, first.size) == (5.0, (64, 48))


def test_a_visit_has_the_name_that_the_user_gave_else_what_was_recognized(tmp_path: Path) -> None:
    shown = [*run(5, 1, recognized="dog"), *run(5, 3), *run(5, 3, recognized="bowl"), *run(2, 3), *run(5, 4)]
    found = find_visits(RecordingReader(record(tmp_path / "a.mcap", shown)), CUP)
    assert [(visit.object, visit.label) for visit in found] == [(1, "cup"), (3, "bowl"), (4, "")]


def test_a_visit_has_the_confirmations_of_its_object(tmp_path: Path) -> None:
    by_key, by_pinch = Confirmation("key", 1, BEGIN_NS), Confirmation("pinch", 2, BEGIN_NS + STEP_NS)
    shown = [*run(5, 1), *run(5, 1, confirmed=by_key), *run(5, 1, confirmed=by_pinch), *run(5, 2)]
    found = find_visits(RecordingReader(record(tmp_path / "a.mcap", shown)), CUP)
    assert found[0].confirmations == tuple(replace(each, at_ns=each.at_ns + WALL_NS) for each in (by_key, by_pinch))
    assert found[1].confirmations == ()


def test_a_gap_and_a_restart_end_a_visit(tmp_path: Path) -> None:
    shown = [*run(10, 1), *run(30, None), *run(10, 1)]
    assert [visit.masks for visit in find_visits(RecordingReader(record(tmp_path / "a.mcap", shown)), LabelFile())] == [
        10,
        10,
    ]


def test_gaze_of_low_confidence_is_not_counted(tmp_path: Path) -> None:
    about = replace(ABOUT, config="[tracker.gaze]\nmin_confidence = 0.95\n")
    found = find_visits(RecordingReader(record(tmp_path / "a.mcap", run(10, 1), about=about)), LabelFile())
    assert (found[0].samples, found[0].gaze_px) == (0, None)


def test_objects_sum_up_visits_and_their_best_view_is_read(tmp_path: Path) -> None:
    shown = [*run(5, 1), *run(5, 2), Shown(1, "preview", 0.95, 0.95), *run(4, 1), Shown(1, "held", 1.0, 1.0)]
    recording = RecordingReader(record(tmp_path / "a.mcap", shown, restart_at=5))
    found = find_objects(recording, CUP)
    assert [(visited.object, visited.keep, visited.visits, visited.masks) for visited in found] == [
        (1, True, 2, 11), (2, False, 1, 5),
    ]  # fmt: skip
    assert found[0].seconds == pytest.approx((4 + 5) * 0.04)
    assert (found[0].best.key.index, found[0].best.state) == (5, "preview")  # held shows nothing that is looked at
    frame, message = read_best_view(recording, found[0].best)
    assert (frame.index, frame.captured_ns, message.confidence) == (5, BEGIN_NS + 10 * STEP_NS, 0.95)
    assert message.mask is not None
    assert np.array_equal(message.mask, mask_of(1))
    with pytest.raises(RecordingError, match="is not in"):
        read_best_view(recording, replace(found[0].best, mask_log_ns=found[0].best.mask_log_ns + 1))


def test_masks_are_matched_to_frames_also_with_repeated_indices(tmp_path: Path) -> None:
    shown = [*run(8, 1), *run(4, None), *run(8, 2)]
    pairs = list(pair_frames(RecordingReader(record(tmp_path / "a.mcap", shown, restart_at=10))))
    assert [frame.captured_ns for frame, _ in pairs] == [BEGIN_NS + n * STEP_NS for n in range(20)]
    assert [event.object if event else None for _, event in pairs] == [one.object for one in shown]
    assert all(event is None or event.at_ns == frame.captured_ns for frame, event in pairs)


def test_of_a_damaged_chunk_only_its_contents_are_lost(tmp_path: Path) -> None:
    path = record(tmp_path / "a.mcap", run(60, 1), every=10)
    damage(path)
    recording = RecordingReader(path)
    seen = list(read_mask_events(recording))
    assert recording.damaged == 1
    assert 45 <= len(seen) < 60
    whole = [event for event in seen if event.has_frame]
    assert all((event.at_ns - BEGIN_NS) % STEP_NS == 0 for event in seen)  # also without the frame
    assert len(whole) < len(seen)
    assert all(
        event is not None for frame, event in pair_frames(recording) if frame.index in {s.key.index for s in whole}
    )
