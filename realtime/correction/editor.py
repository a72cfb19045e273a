"""Edits the labels and masks of a recording: each answer is on the disk at once, and can be undone and redone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar, cast

from realtime.correction.events import (
    AcceptEvent,
    CarryEvent,
    CorrectionEvent,
    LabelEvent,
    RedoEvent,
    ReviewEvent,
    UndoEvent,
)
from realtime.correction.journal import CorrectionJournal
from realtime.correction.state import CorrectionState, UndoableEvent
from realtime.recording.labels import LabelFile, ObjectLabel, load_labels, save_labels

E = TypeVar("E", bound=ReviewEvent)


class ReviewEditor:
    """Edits the `labels` of a recording and the `state` of its masks. Any thread; a change takes as long as the disk.

    Labels are in a file of their own as well, which older programs read.
    """

    def __init__(self, recording: Path) -> None:
        """Load existing answers; raises `RecordingError` for a file of labels or corrections that cannot be read."""
        self.recording = recording
        self._lock = threading.RLock()
        self._journal = CorrectionJournal(recording, f"gazecast {version('gazecast')}")
        self.labels = load_labels(recording)
        self.state = CorrectionState(self._journal.read_new())

    @property
    def undo_count(self) -> int:
        """The number of answers that can be undone."""
        return self.state.undo_count

    def set_label(self, object_id: int, label: ObjectLabel) -> bool:
        """Set the label of an object; False if it has that label already.

        Raises `RecordingError` and then changes nothing.
        """
        with self._lock:
            before = load_labels(self.recording).get_label(object_id)  # another program may have changed it
            if label == before:
                self.labels = load_labels(self.recording)
                return False
            event = LabelEvent(
                object=object_id, text=label.text, keep=label.keep, before=(before.text, before.keep)
            )  # fmt: skip
            self._save_labels([(object_id, label)], lambda: self._append([event]))
            return True

    def correct(self, events: Sequence[CorrectionEvent]) -> list[CorrectionEvent]:
        """Correct masks, all or none, as one answer; returns the events as written. Raises `RecordingError`."""
        with self._lock:
            return self._append(events)

    def accept(self, event: AcceptEvent) -> None:
        """Accept masks as they are; raises `RecordingError`."""
        with self._lock:
            self._append([event])

    def carry(self, event: CarryEvent) -> None:
        """Add the masks of other frames to a correction; raises `RecordingError`."""
        with self._lock:
            self._append([event])

    def take_back(self, number: int) -> None:
        """Undo the correction of an event number, whatever was answered since; raises `RecordingError`."""
        with self._lock:
            self._append([UndoEvent(of=number)])

    def undo(self) -> int | None:
        """Undo the last answer and return its object, None if there was none; raises `RecordingError`."""
        with self._lock:
            self._read_new()
            number, events = self.state.find_undo()
            return self._reverse(events, UndoEvent(of=number), is_undo=True) if events else None

    def redo(self) -> int | None:
        """Redo the answer that was undone last and return its object, None without one; raises `RecordingError`."""
        with self._lock:
            self._read_new()
            number, events = self.state.find_redo()
            return self._reverse(events, RedoEvent(of=number), is_undo=False) if events else None

    def _reverse(self, events: Sequence[UndoableEvent], event: UndoEvent | RedoEvent, *, is_undo: bool) -> int:
        labels = [
            (each.object, ObjectLabel(*(each.before if is_undo else (each.text, each.keep))))
            for each in events
            if isinstance(each, LabelEvent)
        ]
        self._save_labels(labels, lambda: self._append([event]))
        return events[-1].object

    def _save_labels(self, changes: Sequence[tuple[int, ObjectLabel]], append: Callable[[], object]) -> None:
        """Save labels and append their event; where that fails, the labels stay as they were."""
        before = labels = load_labels(self.recording)
        for object_id, label in changes:
            labels = labels.with_label(object_id, label)
        if changes:
            save_labels(self.recording, labels)
        try:
            append()
        except BaseException:
            if changes:
                save_labels(self.recording, before)
            raise
        self.labels = labels

    def _append(self, events: Sequence[E]) -> list[E]:
        self._read_new()
        written = self._journal.append(events)
        for event in written:
            self.state.add(event)
        return cast("list[E]", written)

    def _read_new(self) -> None:
        for event in self._journal.read_new():
            self.state.add(event)


def load_answers(recording: Path) -> tuple[LabelFile, CorrectionState]:
    """Load the labels and corrections of a recording, empty without files; raises `RecordingError`."""
    return load_labels(recording), CorrectionState(CorrectionJournal(recording).read_new())
