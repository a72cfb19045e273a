"""Writes corrections that a user makes during a run beside the recording, as a review does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from realtime.correction.editor import ReviewEditor
from realtime.correction.events import CorrectionEvent, pack_mask
from realtime.pipeline.observers import FrameResult
from realtime.pipeline.result_worker import ResultWorker
from realtime.types import FrameKey, MaskResult

MAX_SECONDS = 60.0
"""Longest time that counts as spent on a correction."""


class LiveCorrectionWriter(ResultWorker):
    """An observer that adds each new correction, and each one taken back, to the file of the running recording.

    A correction is of the frame in which its mask was first published; `review` carries it to the rest of the visit.
    """

    name = "corrections"

    def __init__(self, find_recording: Callable[[], Path | None]) -> None:
        """find_recording: returns the file being written; None without one."""
        super().__init__()
        self._find_recording = find_recording
        self._editor: ReviewEditor | None = None
        self._written: list[tuple[int, int, int]] = []  # object, number of the click, number of the event
        self._shown: int | None = None
        self._state: tuple[int, int] | None = None  # object and number that were observed last
        self._since_ns = 0

    def on_mask(self, result: FrameResult) -> None:
        """Queue a frame whose correction is new."""
        mask = result.result
        if mask is None or mask.object != self._shown:
            self._shown = mask.object if mask is not None else None
            self._since_ns = result.frame.received_ns
        state = (mask.object, mask.corrected.number) if mask is not None and mask.corrected is not None else None
        if state != self._state and state is not None:
            if self._thread.ident is None:
                self.start()
            super().on_mask(result)
        self._state = state

    def handle(self, result: FrameResult | None) -> None:
        """Write what is new in a frame; raises `RecordingError`."""
        path = self._find_recording()
        mask = result.result if result is not None else None
        if path is None or result is None or mask is None or mask.corrected is None:
            return
        if self._editor is None or self._editor.recording != path:
            self._editor, self._written = ReviewEditor(path), []
        newest = self._take_back(mask.object, mask.corrected.number, self._editor)
        if mask.corrected.number > newest and mask.mask is not None:
            (event,) = self._editor.correct([self._make_event(result, mask)])
            self._written.append((mask.object, mask.corrected.number, event.n))

    def _take_back(self, object_id: int, number: int, editor: ReviewEditor) -> int:
        """Take back the corrections of an object above a number; return the number of the newest left, 0 for none."""
        for entry in [each for each in self._written if each[0] == object_id and each[1] > number]:
            editor.take_back(entry[2])
            self._written.remove(entry)
        return max((each[1] for each in self._written if each[0] == object_id), default=0)

    def _make_event(self, result: FrameResult, mask: MaskResult) -> CorrectionEvent:
        assert mask.mask is not None
        assert mask.corrected is not None
        seconds = min((result.frame.received_ns - self._since_ns) / 1e9, MAX_SECONDS)
        self._since_ns = result.frame.received_ns
        return CorrectionEvent(
            object=mask.object, frame=FrameKey.of(result.frame), size=result.frame.size, means="clicks",
            mask=pack_mask(mask.mask), points=mask.corrected.clicks, gaze=(mask.gaze.x, mask.gaze.y, mask.gaze.radius),
            seconds=round(seconds, 2), source="live",
        )  # fmt: skip
