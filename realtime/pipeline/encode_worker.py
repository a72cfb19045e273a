"""Encodes frames into keyframes on the encode thread."""

from __future__ import annotations

import threading

from engines import EngineUnavailable
from realtime.comms.messages import KeyframeMessage
from realtime.infra.clock import now_ns
from realtime.infra.threads import lower_priority
from realtime.pipeline.adaptive_encoder import AdaptiveEncoder
from realtime.pipeline.context import PipelineContext
from realtime.pipeline.engine_watch import EngineWatch
from realtime.pipeline.recognition import RecognitionWorker
from realtime.tracking.keyframe import Keyframe
from realtime.types import Frame, FrameRef

RECOGNIZE_S = 5.0
"""The time that a search for objects may take; the encode before it has the engine's own deadline."""


class EncodeWorker:
    """A worker that encodes the newest requested frame and publishes `keyframe`."""

    def __init__(self, context: PipelineContext) -> None:
        self._context = context
        self._encoded = threading.Event()
        self._heartbeat = context.watch_thread("recognizer", RECOGNIZE_S)
        self._engine: EngineWatch | None = None
        self.recognition = RecognitionWorker(context)

    def run(self, engine: EngineWatch) -> None:
        """Encode until the channel closes; the body of the encode thread."""
        self._engine = engine
        lower_priority(self._context.options.encode_nice)
        while (frame := self._context.to_encode.get()) is not None:
            with self._context.guard("encode"):
                try:
                    self._encode(engine, frame)
                except EngineUnavailable:
                    if not self._context.stopping.is_set():  # the end of a run leaves its last encode behind
                        raise
            self._encoded.set()

    def encode_and_wait(self, frame: Frame) -> Keyframe | None:
        """Have this frame encoded and block until it is; None if that failed. Called by the track thread."""
        self._encoded.clear()
        self._context.to_encode.put(frame)
        if not self._context.stopping.is_set():  # else the event that `release` set may have just been cleared
            self._encoded.wait()
        return self._context.keyframes.get(0)

    def observe_frame(self, frame: Frame, speed: float | None) -> None:
        """Pass an adaptive encoder a frame's time and motion; on the track thread."""
        if (encoder := self._adaptive) is not None:
            encoder.observe_frame(frame, speed)

    @property
    def can_vote(self) -> bool:
        """Whether the decoder's graphs for votes are compiled, so that a vote takes milliseconds."""
        return self._adaptive.can_vote if self._adaptive is not None else True

    @property
    def picture_side(self) -> int | None:
        """The picture side of an adaptive encoder; None for another."""
        return self._adaptive.side if self._adaptive is not None else None

    @property
    def needs_keyframe(self) -> bool:
        """Whether the engine was replaced, so that no keyframe can be decoded."""
        return self._engine is not None and self._engine.needs_keyframe

    @property
    def _adaptive(self) -> AdaptiveEncoder | None:
        encoder = None if self._engine is None else self._engine.encoder
        return encoder if isinstance(encoder, AdaptiveEncoder) else None

    def release(self) -> None:
        """End the wait in `encode_and_wait`; call it after `stopping` was set."""
        self._encoded.set()
        self.recognition.release()

    def _encode(self, engine: EngineWatch, frame: Frame) -> None:
        context = self._context
        begun_ns = now_ns()
        embedding = engine.encode(frame.image)
        encode_ns = now_ns() - begun_ns
        with self._heartbeat.working():
            recognition = self.recognition.recognize(frame, encode_ns)
        done_ns = now_ns()
        keyframe = Keyframe.from_frame(frame, embedding, encode_ns, done_ns, recognition)
        context.keyframes.put(keyframe)
        context.frames.wake()
        context.notify(lambda observer: observer.on_keyframe(keyframe))
        encode_ms = encode_ns / 1e6
        context.metrics.count_event("keyframes", done_ns)
        context.metrics.observe("encode", encode_ms, done_ns)
        context.publisher.publish("keyframe", KeyframeMessage(FrameRef.of(frame), encode_ms).to_fields())
