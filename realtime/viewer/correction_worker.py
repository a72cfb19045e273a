"""Computes the corrections of pages on a thread of its own, and carries them to other frames while no page waits."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from engines import Decoder, Encoder, EngineError
from realtime.correction.editor import ReviewEditor
from realtime.correction.events import CorrectionEvent
from realtime.correction.frame_corrector import CorrectionTarget, FrameCorrector
from realtime.correction.frame_segmenter import FrameSegmenter
from realtime.errors import RecordingError
from realtime.infra.error_guard import describe_error
from realtime.recording.timeline import Timeline
from realtime.viewer.page_messages import CorrectionRequest, PrepareRequest, RedoRequest, UndoRequest, pack_text

log = logging.getLogger(__name__)
MAX_QUEUED = 64
"""Corrections that wait for the engine; beyond it the oldest are dropped."""
FRAMES_PER_REPORT = 5

Request = CorrectionRequest | PrepareRequest | UndoRequest | RedoRequest


class CorrectionWorker:
    """A thread that corrects masks between `__init__` and `close`; any thread may call, without waiting.

    lost: number of requests that were dropped because the queue was full.
    """

    def __init__(
        self,
        timeline: Timeline,
        editor: ReviewEditor,
        open_engine: Callable[[], tuple[Encoder, Decoder]],
        broadcast: Callable[[str], None],
        on_labels: Callable[[], None],
    ) -> None:
        """open_engine: opens it for the first correction. on_labels: called after an undo, which may change labels."""
        self._timeline, self._editor, self._broadcast, self._on_labels = timeline, editor, broadcast, on_labels
        self._segmenter = FrameSegmenter(open_engine)
        self._corrector = FrameCorrector(timeline, editor, self._segmenter)
        self._requests: deque[Request] = deque(maxlen=MAX_QUEUED)
        self.lost = 0
        self._changed = threading.Condition()
        self._is_stopped = self._is_blocked = False
        self._thread = threading.Thread(target=self._run, name="gazecast-corrections", daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> None:
        """Queue a correction, an undo or a redo."""
        with self._changed:
            self.lost += len(self._requests) == MAX_QUEUED
            self._requests.append(request)
            self._changed.notify()

    def wake(self) -> None:
        """Carry what was not carried yet, as after the recording was read."""
        with self._changed:
            self._is_blocked = False
            self._changed.notify()

    def edits_message(self) -> str:
        """Pack how much can be undone and redone; `version` differs after every change."""
        state = self._editor.state
        return pack_text("edits", undo=state.undo_count, redo=state.redo_count, version=state.version)

    def close(self) -> None:
        """Compute the queued corrections and end, within a second."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify()
        self._thread.join(0.9)

    def _can_carry(self) -> bool:
        return self._timeline.is_done and not self._is_blocked and bool(self._editor.state.list_uncarried())

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._requests or self._is_stopped or self._can_carry())
                request = self._requests.popleft() if self._requests else None
                if request is None and self._is_stopped:
                    break
            try:
                if request is None:
                    self._carry()
                else:
                    self._apply(request)
            except (RecordingError, EngineError) as error:
                self._fail(request, str(error))
            except Exception as error:  # files and engines may fail in ways of their own; the next answer must be saved
                log.info("a correction failed", exc_info=log.isEnabledFor(logging.DEBUG))
                self._fail(request, describe_error(error))
        self._segmenter.close()

    def _fail(self, request: Request | None, reason: str) -> None:
        self._is_blocked |= request is None  # until the next correction, not again and again
        self._broadcast(pack_text("progress", text=""))
        if not isinstance(request, PrepareRequest):
            self._broadcast(pack_text("notice", text=reason))

    def _apply(self, request: Request) -> None:
        if isinstance(request, PrepareRequest):
            self._prepare(request.n)
            return
        if isinstance(request, UndoRequest | RedoRequest):
            if (self._editor.undo() if isinstance(request, UndoRequest) else self._editor.redo()) is not None:
                self._on_labels()
        else:
            self._correct(request)
        self._is_blocked = False
        self._broadcast(self.edits_message())

    def _prepare(self, number: int) -> None:
        self._broadcast(pack_text("progress", text="" if self._segmenter.is_open else "opening the engine"))
        self._corrector.prepare(number)
        self._broadcast(pack_text("progress", text=""))

    def _correct(self, request: CorrectionRequest) -> None:
        target = CorrectionTarget(request.n, request.object, request.seconds)
        object_id = request.object
        if request.kind == "accept":
            self._corrector.accept(target)
        else:
            if request.kind != "brush":
                self._prepare(request.n)
            object_id = self._change_mask(target, request).object
        self._broadcast(pack_text("corrected", n=request.n, object=object_id, action=request.kind))

    def _change_mask(self, target: CorrectionTarget, request: CorrectionRequest) -> CorrectionEvent:
        corrector, places = self._corrector, request.places
        if request.kind == "click":
            return corrector.click(target, places[0], request.on)
        if request.kind == "box":
            return corrector.draw_box(target, places[0], places[1])
        if request.kind == "step":
            return corrector.step_candidate(target, request.step)
        return corrector.paint(target, places, request.radius, request.on)

    def _carry(self) -> None:
        is_interrupted = False

        def go_on(done: int, total: int) -> bool:
            nonlocal is_interrupted
            if done % FRAMES_PER_REPORT == 0:
                self._broadcast(pack_text("progress", text=f"moving the mask to frame {done} of {total}"))
            is_interrupted = bool(self._requests) or self._is_stopped
            return not is_interrupted

        self._corrector.carry_next(go_on)
        self._broadcast(pack_text("progress", text=""))
        if not is_interrupted:
            self._broadcast(self.edits_message())
