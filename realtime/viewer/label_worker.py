"""Applies label changes of pages on a thread of its own, as a disk may be slow, and reports them to all pages."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from realtime.correction.editor import ReviewEditor
from realtime.errors import RecordingError
from realtime.viewer.page_messages import LabelChange, UndoRequest, pack_text

MAX_QUEUED = 64
"""Changes that wait for the disk; beyond it the oldest are dropped, and the pages show the labels without them."""

LabelRequest = Path | LabelChange | UndoRequest


class LabelWorker:
    """A thread that applies label changes between `__init__` and `close`; any thread may call, without waiting.

    lost: number of requests that were dropped because the queue was full.
    """

    def __init__(self, broadcast: Callable[[str], None], editor: ReviewEditor | None = None) -> None:
        """broadcast: sends a packed message to every page. editor: that of the recording to begin with."""
        self._broadcast, self._editor = broadcast, editor
        self._requests: deque[LabelRequest] = deque(maxlen=MAX_QUEUED)
        self.lost = 0
        self._changed = threading.Condition()
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name="gazecast-labels", daemon=True)
        self._thread.start()

    def submit(self, request: LabelRequest) -> None:
        """Queue a change or an undo; a path switches to the recording of that path."""
        with self._changed:
            self.lost += len(self._requests) == MAX_QUEUED
            self._requests.append(request)
            self._changed.notify()

    def labels_message(self) -> str:
        """Pack the current labels as a message."""
        editor = self._editor
        if editor is None:
            return pack_text("labels", recording="", labels={}, undo=0)
        labels = {str(object_id): [label.text, label.keep] for object_id, label in editor.labels.objects.items()}
        return pack_text("labels", recording=editor.recording.name, labels=labels, undo=editor.undo_count)

    def close(self) -> None:
        """Save the queued changes and end, within a second."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify()
        self._thread.join(0.9)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._requests or self._is_stopped)
                requests = list(self._requests)
                self._requests.clear()
            if not requests:
                return
            for request in requests:
                try:
                    self._apply(request)
                except RecordingError as error:
                    self._broadcast(pack_text("notice", text=str(error)))
            self._broadcast(self.labels_message())

    def _apply(self, request: LabelRequest) -> None:
        if isinstance(request, Path):
            self._editor = None  # not that of the last recording, if the labels of this one cannot be read
            self._editor = ReviewEditor(request)
        elif self._editor is None:
            raise RecordingError("there is no recording to label")
        elif isinstance(request, UndoRequest):
            self._editor.undo()
        else:
            self._editor.set_label(request.object, request.label)
