"""Holds the state of the recording that a live page shows: its file, its objects and their labels."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

from realtime.errors import PageError
from realtime.infra.clock import now_ns
from realtime.pipeline.observers import FrameResult
from realtime.viewer.label_worker import LabelWorker
from realtime.viewer.page_messages import LabelChange, UndoRequest, pack_text
from realtime.viewer.shown_objects import ShownObjects
from realtime.viewer.thumbnail import BestThumbnails

EXPORT_FLAGS = "--video --csv --coco"


class LiveRecording:
    """Holds the current or last recording of a run; every change is sent to all pages.

    finished: the recordings that have ended, by name.
    """

    def __init__(self, broadcast: Callable[[str], None]) -> None:
        """broadcast: sends a packed message to every page."""
        self._broadcast = broadcast
        self._file: Path | None = None
        self._since_ns: int | None = None
        self._objects, self.thumbnails = ShownObjects(), BestThumbnails()
        self.finished: dict[str, Path] = {}
        self.labels = LabelWorker(broadcast)

    def set_file(self, file: Path | None) -> None:
        """Start a recording into a file, or with None end the current one."""
        if file is None:
            if self._file is not None and self._since_ns is not None:
                self.finished[self._file.name] = self._file
            self._since_ns = None
            self._objects.stop()
        else:
            self._file, self._since_ns = file, now_ns()
            self._objects.start()
            self.thumbnails.clear()
            self.labels.submit(file)
        self._broadcast(self._state_message())

    def add_result(self, result: FrameResult) -> None:
        """Count a shown frame; pages are sent the list when its object is new."""
        if self._since_ns is not None:
            self.thumbnails.add_result(result)
        if self._objects.add_result(result):
            self.send_changes()

    def send_changes(self) -> None:
        """Send pages the objects that changed since the last call."""
        if changes := self._objects.pop_changes():
            self._broadcast(self._pack_objects(changes))

    def opening_messages(self) -> tuple[str, ...]:
        """Pack the whole state for a page that has just connected."""
        objects = self._pack_objects(self._objects.durations())
        return self._state_message(), self.labels.labels_message(), objects

    def change_label(self, request: LabelChange | UndoRequest) -> None:
        """Label an object or undo the last change; raises `PageError` for an object that was not recorded."""
        if isinstance(request, LabelChange) and not self._objects.has_object(request.object):
            raise PageError(f"object {request.object} was not shown in a recording of this run")
        self.labels.submit(request)

    def _pack_objects(self, durations: list[tuple[int, float]]) -> str:
        objects = [(object_id, seconds, self.thumbnails.version(object_id)) for object_id, seconds in durations]
        return pack_text("objects", objects=objects)

    def _state_message(self) -> str:
        duration_s = (now_ns() - self._since_ns) / 1e9 if self._since_ns is not None else 0.0
        name = self._file.name if self._file is not None else ""
        path = shlex.quote(str(self._file or ""))
        commands = (
            [f"gazecast review {path}", f"gazecast export {path} {EXPORT_FLAGS}"] if name in self.finished else []
        )
        return pack_text(
            "recording", on=self._since_ns is not None, file=name, s=round(duration_s, 2), commands=commands
        )
