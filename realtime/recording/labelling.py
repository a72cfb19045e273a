"""The labels of a recording while people change them: each change is saved at once, and the last can be undone."""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path

from realtime.recording.labels import LabelFile, ObjectLabel, load_labels, save_labels

MAX_UNDO_STEPS = 200


class LabelEditor:
    """Any thread; a change takes as long as the disk."""

    def __init__(self, recording: Path) -> None:
        """Begin with what is there; raises `RecordingError` for a file of labels that cannot be read."""
        self.recording = recording
        self._lock = threading.Lock()
        self._labels = load_labels(recording)
        self._before: deque[tuple[int, ObjectLabel]] = deque(maxlen=MAX_UNDO_STEPS)

    @property
    def labels(self) -> LabelFile:
        """As they are now."""
        return self._labels

    @property
    def undo_count(self) -> int:
        """How many changes can be undone."""
        return len(self._before)

    def set_label(self, thing: int, label: ObjectLabel) -> bool:
        """Say something of an object; False if that was said already. Raises `RecordingError` and changes nothing."""
        with self._lock:
            labels = load_labels(self.recording)  # another program may have said something meanwhile
            before = labels.get_label(thing)
            if label == before:
                self._labels = labels
                return False
            self._save(labels.with_label(thing, label))
            self._before.append((thing, before))
            return True

    def undo(self) -> int | None:
        """Take the last change back; gives its object, None if there was none. Raises `RecordingError`."""
        with self._lock:
            if not self._before:
                return None
            thing, label = self._before[-1]
            self._save(load_labels(self.recording).with_label(thing, label))
            self._before.pop()
            return thing

    def _save(self, labels: LabelFile) -> None:
        save_labels(self.recording, labels)
        self._labels = labels
