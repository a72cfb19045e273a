"""Changes labels at the wish of pages, on a thread of its own, as a disk may take its time; all pages are told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from realtime.errors import RecordingError
from realtime.infra.channels import BoundedQueue
from realtime.recording.labelling import LabelEditor
from realtime.viewer.page_messages import LabelChange, UndoRequest, pack_text

MOST = 64
"""Changes that wait for the disk; of more the oldest are lost, which the pages show."""


class LabelWorker:
    """Works between `__init__` and `close`; every call returns at once, from any thread."""

    def __init__(self, tell: Callable[[str], None], labelling: LabelEditor | None = None) -> None:
        """tell: sends a packed message to every page. labelling: of the recording that it begins with."""
        self._tell, self._labelling = tell, labelling
        self._wishes: BoundedQueue[Path | LabelChange | UndoRequest] = BoundedQueue(MOST)
        self._wake = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name="gazecast-labels", daemon=True)
        self._thread.start()

    def take(self, wish: Path | LabelChange | UndoRequest) -> None:
        """Change or undo something; or turn to another recording."""
        self._wishes.put(wish)
        with self._wake:
            self._wake.notify()

    @property
    def lost(self) -> int:
        """Wishes that were too many."""
        return self._wishes.lost

    def said(self) -> str:
        """The labels as they are now, as a packed message."""
        labelling = self._labelling
        if labelling is None:
            return pack_text("labels", of="", said={}, undo=0)
        said = {str(thing): [label.text, label.keep] for thing, label in labelling.labels.objects.items()}
        return pack_text("labels", of=labelling.recording.name, said=said, undo=labelling.undoable)

    def close(self) -> None:
        """Save what waits and end, within a second."""
        with self._wake:
            self._stopped = True
            self._wake.notify()
        self._thread.join(0.9)

    def _work(self) -> None:
        while True:
            wishes = self._wishes.take_all()
            for wish in wishes:
                try:
                    self._do(wish)
                except RecordingError as error:
                    self._tell(pack_text("notice", text=str(error)))
            if wishes:
                self._tell(self.said())
                continue
            with self._wake:
                if self._stopped:
                    return
                self._wake.wait(0.5)  # a wish may have come just before

    def _do(self, wish: Path | LabelChange | UndoRequest) -> None:
        if isinstance(wish, Path):
            self._labelling = None  # not those of the last one, if these cannot be read
            self._labelling = LabelEditor(wish)
        elif self._labelling is None:
            raise RecordingError("there is no recording to say something of")
        elif isinstance(wish, UndoRequest):
            self._labelling.undo()
        else:
            self._labelling.change(wish.object, wish.label)
