"""The file of corrections survives what cuts it off, and says what is wrong with it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from realtime.correction.events import AcceptEvent, CorrectionEvent, pack_mask, unpack_mask
from realtime.correction.journal import CorrectionJournal, corrections_path
from realtime.errors import RecordingError
from realtime.types import FrameKey
from tests.realtime.correction.moving_disc import truth_of

KEY = FrameKey(3, 17)


def make_correction(object_id: int = 1) -> CorrectionEvent:
    return CorrectionEvent(object=object_id, frame=KEY, size=(64, 48), means="clicks", mask=pack_mask(truth_of(3)))


def test_events_are_numbered_dated_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    journal = CorrectionJournal(path, "test 1")
    assert journal.read_new() == []
    written = journal.append([make_correction()])
    written += journal.append([make_correction(4), make_correction(5)])
    assert [event.n for event in written] == [2, 3, 4]
    assert [event.group for event in written if isinstance(event, CorrectionEvent)] == [0, 3, 3]
    lines = corrections_path(path).read_text().splitlines()
    assert json.loads(lines[0]) | {"at": ""} == {
        "event": "begin", "n": 1, "at": "", "version": 1, "recording": "a.mcap", "program": "test 1",
    }  # fmt: skip
    assert CorrectionJournal(path).read_new()[1:] == written
    assert (unpack_mask(written[0].mask, written[0].size) == truth_of(3)).all()


@pytest.mark.parametrize("kept", [1, 20, -1])
def test_a_line_that_was_cut_off_is_dropped_by_the_next_change(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "a.mcap"
    CorrectionJournal(path).append([make_correction()])
    whole = corrections_path(path).read_bytes()
    journal = CorrectionJournal(path)
    journal.read_new()
    journal.append([make_correction(2)])
    last = corrections_path(path).read_bytes()[len(whole) :]
    corrections_path(path).write_bytes(whole + last[:kept])
    again = CorrectionJournal(path)
    assert len(again.read_new()) == 2
    again.append([AcceptEvent(object=1, first=KEY, last=KEY)])
    assert [type(event).__name__ for event in CorrectionJournal(path).read_new()] == [
        "BeginEvent", "CorrectionEvent", "AcceptEvent",
    ]  # fmt: skip


def test_two_programs_see_each_others_events(tmp_path: Path) -> None:
    one, two = (CorrectionJournal(tmp_path / "a.mcap") for _ in range(2))
    one.append([make_correction()])
    two.read_new()
    two.append([make_correction(2)])
    assert [event.n for event in one.read_new()] == [3]
    assert [event.n for event in one.append([make_correction(3)])] == [4]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{\n", "line 2 of .* cannot be read"),
        (b'{"event":"paint"}\n', "line 2 of .* cannot be read"),
        (b'{"event":"correct","object":"x"}\n', "line 2 of .* cannot be read"),
        (b'{"event":"begin","version":2}\n', "is of version 2; this program reads 1"),
    ],
)
def test_what_cannot_be_read_is_named_and_left_alone(tmp_path: Path, line: bytes, reason: str) -> None:
    path = tmp_path / "a.mcap"
    CorrectionJournal(path).append([])
    with corrections_path(path).open("ab") as file:
        file.write(line)
    data = corrections_path(path).read_bytes()
    with pytest.raises(RecordingError, match=reason):
        CorrectionJournal(path).read_new()
    assert corrections_path(path).read_bytes() == data


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = CorrectionJournal(tmp_path / "a.mcap")
    journal.append([make_correction()])
    data = journal.path.read_bytes()

    def fail(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RecordingError, match=r"cannot write the corrections .*No space left"):
        journal.append([make_correction(2)])
    monkeypatch.undo()
    assert journal.path.read_bytes() == data
    assert journal.append([make_correction(2)])[0].n == 3
