"""Any moment of a recording is the recorded one, and found without reading the rest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from realtime.errors import RecordingError
from realtime.recording.reader import RecordingReader
from realtime.recording.timeline import BLOCK_FRAMES, MAX_CARRIED_NS, Timeline
from realtime.recording.writer import RecordingFile
from realtime.types import Confirmation
from tests.realtime.recording import object_recordings
from tests.realtime.recording.object_recordings import STEP_NS, Shown, mask_of, run
from tests.realtime.recording.object_recordings import record as recorded

FIRST_NS = 8_000_000
"""From the first look of the eyes to the first frame's arrival."""


def read(path: Path) -> Timeline:
    timeline = Timeline(path)
    timeline.read()
    return timeline


def test_every_moment_has_the_recorded_frame_and_its_own_mask(tmp_path: Path) -> None:
    shown = [*run(7, None), *run(30, 1), *run(3, 1, "lost"), *run(20, 2, "held")]
    timeline = read(recorded(tmp_path / "a.mcap", shown))
    assert len(timeline) == 60
    for number in (0, 6, 7, 36, 37, 45, 59, 8, 31):  # to and fro
        moment, frame = timeline.read_moment(number), object_recordings.frame_of(number)
        assert (moment.number, moment.frame.index, moment.frame.data) == (number, number, frame.jpeg)
        assert moment.at_ns == FIRST_NS + number * STEP_NS
        if number < 7:
            assert (moment.message, moment.own) == (None, False)
            continue
        assert moment.own
        assert moment.message is not None
        assert (moment.message.object, moment.message.state) == (shown[number].object, shown[number].state)
        if shown[number].state != "lost":
            assert (moment.message.mask == mask_of(shown[number].object or 0)).all()
    assert timeline.read_moment(10).until_ns == FIRST_NS + 11 * STEP_NS
    second_ns = FIRST_NS + STEP_NS
    assert [timeline.find_frame(ns) for ns in (-5, 0, FIRST_NS, second_ns - 1, second_ns, 10**18)] == [
        0,
        0,
        0,
        0,
        1,
        59,
    ]
    for number in (-1, 60):
        with pytest.raises(IndexError):
            timeline.read_moment(number)


def test_a_skipped_frame_shows_the_mask_before_it_for_a_moment(tmp_path: Path) -> None:
    timeline = read(recorded(tmp_path / "a.mcap", [*run(5, 1), *run(20, None)]))
    reported = [timeline.read_moment(number) for number in range(25)]
    carried = [moment.number for moment in reported if moment.message is not None and not moment.own]
    assert carried == [number for number in range(5, 25) if (number - 4) * STEP_NS <= MAX_CARRIED_NS]
    assert all(moment.message is None for moment in reported[carried[-1] + 1 :])


def test_frames_with_a_clips_time_are_shown_in_it(tmp_path: Path) -> None:
    """As those of a clip that was run as fast as it went, or as slowly."""
    about = replace(object_recordings.ABOUT, frame_time=True)
    timeline = read(recorded(tmp_path / "a.mcap", run(25, 1), about=about))
    assert [timeline.read_moment(number).at_ns for number in (0, 7, 24)] == [0, 7 * STEP_NS, 24 * STEP_NS]
    assert timeline.read_moment(24).until_ns == timeline.length_ns == timeline.read_ns == 25 * STEP_NS
    assert [(span.start_ns, span.end_ns) for span in timeline.list_spans()] == [(0, 24 * STEP_NS)]
    assert timeline.find_frame_at_log(timeline.objects[0].best.frame_log_ns) == 0


def test_spans_hold_the_shown_object_over_time(tmp_path: Path) -> None:
    shown = [*run(5, 1, "preview"), *run(5, 1), *run(5, 2), *run(30, None), *run(5, 1)]
    timeline = read(recorded(tmp_path / "a.mcap", shown))
    reported = [
        (span.object, span.state, span.start_ns // STEP_NS, span.end_ns // STEP_NS) for span in timeline.list_spans()
    ]
    # without a following mask the span lasts half a second at most
    assert reported == [(1, "preview", 0, 5), (1, "locked", 5, 10), (2, "locked", 10, 26), (1, "locked", 45, 49)]
    assert [(visited.object, visited.masks) for visited in timeline.objects] == [(1, 15), (2, 5)]
    frame, message = timeline.read_best_view(timeline.objects[1])
    assert 10 <= frame.index < 15
    assert message.object == 2


def test_truncated_and_damaged_parts_are_skipped(tmp_path: Path) -> None:
    path = recorded(tmp_path / "a.mcap", run(60, 1), cut=True)
    object_recordings.damage(path)  # of ten frames
    timeline = read(path)
    assert (len(timeline), timeline.recording.damaged, timeline.recording.complete, timeline.problem) == (
        50,
        1,
        False,
        "",
    )
    assert [timeline.read_moment(number).frame.index for number in (19, 20)] == [19, 30]


def test_moments_are_read_during_indexing_which_stops_on_request(tmp_path: Path) -> None:
    timeline, reported = Timeline(recorded(tmp_path / "a.mcap", run(600, 1))), []

    def go_on(share: float) -> bool:
        reported.append((share, len(timeline), timeline.read_moment(len(timeline) - 1).frame.index))
        return len(reported) < 2

    timeline.read(go_on)
    assert [(frames, index) for _, frames, index in reported] == [(256, 255), (512, 511), (512, 511)]
    assert 0.4 < reported[0][0] < 0.45
    with pytest.raises(RecordingError, match="holds no frames"):
        Timeline(_without_frames(tmp_path / "b.mcap"))


def _without_frames(path: Path) -> Path:
    file = RecordingFile(path, object_recordings.ABOUT)
    file.write_message("health", object_recordings.WALL_NS, b"")
    file.close()
    return path


def test_a_moment_reads_its_own_chunks_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timeline = read(recorded(tmp_path / "a.mcap", [Shown(1)] * 500))
    chunks: list[int] = []
    chunk = RecordingReader._read_chunk
    monkeypatch.setattr(
        RecordingReader,
        "_read_chunk",
        lambda self, file, place: [chunks.append(place.at), *chunk(self, file, place)][1:],
    )
    for number in (400, 401, 90):
        timeline.read_moment(number)
    assert len(chunks) == len(set(chunks)) <= 2 * (BLOCK_FRAMES // 10 + 2)


def test_confirmations_are_indexed_once_each(tmp_path: Path) -> None:
    first, second = Confirmation("key", 1, 0), Confirmation("pinch", 2, 0)
    shown = [*run(5, 1), *run(5, 1, confirmed=first), *run(5, None), *run(5, 2, confirmed=second)]
    timeline = read(recorded(tmp_path / "a.mcap", shown))
    assert timeline.confirmations == [(FIRST_NS + 5 * STEP_NS, 1), (FIRST_NS + 15 * STEP_NS, 2)]
