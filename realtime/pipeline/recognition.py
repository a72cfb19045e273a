"""Recognizes objects in keyframes, in a bounded share of the time that encoding takes."""

from __future__ import annotations

import threading

from engines import Encoder
from engines.recognition.base import ObjectRecognizer, Recognition
from realtime.infra.clock import now_ns
from realtime.infra.threads import lower_priority
from realtime.pipeline.context import PipelineContext
from realtime.types import Frame

OPENER_NICE = 10


class RecognitionWorker:
    """Recognizes objects on the encode thread, once the recognizer is open.

    Every encode adds a share of its time to a balance, and a search costs its own time: so objects are recognized in
    every second keyframe, for example. Where every frame counts, they are recognized in all, so that a run does not
    depend on the machine's speed.
    """

    def __init__(self, context: PipelineContext) -> None:
        self._context = context
        self._recognizer: ObjectRecognizer | None = None
        self._encoded = threading.Event()
        self._first_frame: Frame | None = None
        self._balance_ns = self._cost_ns = 0.0

    def open(self, encoder: Encoder) -> None:
        """Open the recognizer after the first keyframe; the body of a thread."""
        lower_priority(OPENER_NICE)
        self._encoded.wait()
        if not self._context.stopping.is_set():
            self.open_now(encoder)

    def open_now(self, encoder: Encoder) -> None:
        """Open the recognizer; an error is counted, and the run goes on without it."""
        with self._context.guard("recognizer"):
            recognizer = self._context.options.open_recognizer(encoder)
            if recognizer is not None and self._first_frame is not None:
                recognizer.recognize(self._first_frame.image)  # which compiles its graph, beside the encode thread
            self._recognizer = recognizer

    def recognize(self, frame: Frame, encode_ns: int) -> Recognition | None:
        """Recognize the objects of a frame, which took so long to encode; None where it is not searched."""
        self._first_frame = self._first_frame or frame
        self._encoded.set()
        recognizer, options = self._recognizer, self._context.options
        if recognizer is None:
            return None
        self._balance_ns = min(self._balance_ns + options.recognizer_share * encode_ns, self._cost_ns)
        if self._balance_ns < self._cost_ns and not options.every_frame:
            return None
        begun_ns = now_ns()
        with self._context.guard("recognizer"):
            found = recognizer.recognize(frame.image)
            spent_ns = now_ns() - begun_ns
            # The first search of a shape compiles its graph, and others may meet a busy core.
            self._cost_ns = spent_ns if not self._cost_ns else min(spent_ns, 0.8 * self._cost_ns + 0.2 * spent_ns)
            self._balance_ns = 0.0
            self._context.metrics.observe("recognize", spent_ns / 1e6, now_ns())
            return found
        return None

    def release(self) -> None:
        """End the wait for the first keyframe; call it after `stopping` was set."""
        self._encoded.set()

    def close(self) -> None:
        """Close the recognizer."""
        if self._recognizer is not None:
            self._recognizer.close()
