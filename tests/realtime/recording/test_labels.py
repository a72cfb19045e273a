"""A change of a label is on the disk when it is done, and can be taken back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from realtime.correction.editor import ReviewEditor
from realtime.correction.journal import corrections_path
from realtime.errors import RecordingError
from realtime.recording.labels import LabelFile, ObjectLabel, labels_path, load_labels


def test_changes_are_saved_at_once_and_undone_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    labelling = ReviewEditor(path)
    changes = [(3, ObjectLabel("cup")), (3, ObjectLabel("cup", keep=False)), (5, ObjectLabel("Käse"))]
    for number, label in changes:
        assert labelling.set_label(number, label)
        assert load_labels(path).get_label(number) == label
    assert not labelling.set_label(5, ObjectLabel("Käse"))  # unchanged
    assert labelling.undo_count == 3
    again = ReviewEditor(path)  # another program reads the changes, and could undo them
    assert (again.labels, again.undo_count) == (labelling.labels, 3)
    assert [labelling.undo(), labelling.undo()] == [5, 3]
    assert [load_labels(path).get_label(number) for number in (3, 5)] == [ObjectLabel("cup"), ObjectLabel()]
    assert [labelling.undo(), labelling.undo()] == [3, None]


def test_recognized_names_fill_what_the_user_did_not_name() -> None:
    labels = LabelFile({1: ObjectLabel("cup"), 2: ObjectLabel("", keep=False), 3: ObjectLabel("mug")})
    found = labels.with_recognized_names({1: "bowl", 2: "dog", 4: "car"})
    assert [found.get_label(number).text for number in (1, 2, 3, 4, 5)] == ["cup", "dog", "mug", "car", ""]
    assert [found.get_label(number).keep for number in (1, 2, 3, 4)] == [True, False, True, True]


def test_labels_that_cannot_be_saved_stay_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.mcap"
    labelling = ReviewEditor(path)
    labelling.set_label(1, ObjectLabel("cup"))

    def fail(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    for change in (lambda: labelling.set_label(1, ObjectLabel("cat")), labelling.undo):
        with pytest.raises(RecordingError, match="cannot write the labels"):
            change()
    assert (labelling.labels.get_label(1), labelling.undo_count) == (ObjectLabel("cup"), 1)
    assert load_labels(path) == labelling.labels
    assert sorted(tmp_path.iterdir()) == [corrections_path(path), labels_path(path)]
    monkeypatch.undo()
    labels_path(path).write_text("mine")
    for change in (lambda: labelling.set_label(1, ObjectLabel("cat")), labelling.undo):
        with pytest.raises(RecordingError, match="cannot read the labels"):
            change()
    assert labels_path(path).read_text() == "mine"


def test_two_programs_keep_each_others_labels(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    one, two = ReviewEditor(path), ReviewEditor(path)
    one.set_label(1, ObjectLabel("cup"))
    two.set_label(2, ObjectLabel("cat"))
    one.set_label(3, ObjectLabel("dog"))
    assert one.undo() == 3
    assert load_labels(path).objects == {1: ObjectLabel("cup"), 2: ObjectLabel("cat"), 3: ObjectLabel()}
