"""Applies label changes of pages and reports them to all pages.

It uses a thread of its own, because a disk may be slow.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from realtime.errors import RecordingError
from realtime.infra.channels import BoundedQueue
from realtime.recording.labels import LabelEditor
from realtime.viewer.page_messages import LabelChange, UndoRequest, pack_text

MAX_QUEUED = 64
"""Changes that wait for the disk; beyond it the oldest are dropped, and the pages show the labels without them."""

LabelRequest = Path | LabelChange | UndoRequest


class LabelWorker:
    """A thread that applies label changes between `__init__` and `close`; any thread may call, without waiting."""

    def __init__(self, broadcast: Callable[[str], None], editor: LabelEditor | None = None) -> None:
        """broadcast: sends a packed message to every page. editor: that of the recording to begin with."""
        self._broadcast, self._editor = broadcast, editor
        self._requests: BoundedQueue[LabelRequest] = BoundedQueue(MAX_QUEUED)
        self._wake = threading.Condition()
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name="gazecast-labels", daemon=True)
        self._thread.start()

    def submit(self, request: LabelRequest) -> None:
        """Queue a change or an undo; a path switches to the recording of that path."""
        self._requests.put(request)
        with self._wake:
            self._wake.notify()

    @property
    def lost(self) -> int:
        """Count requests that were dropped because the queue was full."""
        return self._requests.dropped

    def labels_message(self) -> str:
        """Pack the current labels as a message."""
        editor = self._editor
        if editor is None:
            return pack_text("labels", recording="", labels={}, undo=0)
        labels = {str(object_id): [label.text, label.keep] for object_id, label in editor.labels.objects.items()}
        return pack_text("labels", recording=editor.recording.name, labels=labels, undo=editor.undo_count)

    def close(self) -> None:
        """Save the queued changes and end, within a second."""
        with self._wake:
            self._is_stopped = True
            self._wake.notify()
        self._thread.join(0.9)

    def _run(self) -> None:
        while True:
            requests = self._requests.drain()
            for request in requests:
                try:
                    self._apply(request)
                except RecordingError as error:
                    self._broadcast(pack_text("notice", text=str(error)))
            if requests:
                self._broadcast(self.labels_message())
                continue
            with self._wake:
                if self._is_stopped:
                    return
                self._wake.wait(0.5)  # a request may have arrived just before

    def _apply(self, request: LabelRequest) -> None:
        if isinstance(request, Path):
            self._editor = None  # not that of the last recording, if the labels of this one cannot be read
            self._editor = LabelEditor(request)
        elif self._editor is None:
            raise RecordingError("there is no recording to label")
        elif isinstance(request, UndoRequest):
            self._editor.undo()
        else:
            self._editor.set_label(request.object, request.label)
