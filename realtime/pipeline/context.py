"""Holds the parts that all threads of a pipeline share: options, channels, metrics and observers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from engines import Encoder, EngineUnavailable
from engines.recognition.base import ObjectRecognizer
from realtime.comms.mask_encoding import Encoding
from realtime.infra.channels import BoundedQueue, Latest
from realtime.infra.error_guard import ErrorGuard
from realtime.infra.frame_pacing import FramePacing
from realtime.infra.heartbeat import Heartbeat
from realtime.infra.metrics import MetricsRegistry
from realtime.infra.progress import PreparationStep
from realtime.infra.work_slots import WorkSlots
from realtime.pipeline.control import CommandQueue
from realtime.pipeline.engine_watch import FallbackEngine
from realtime.pipeline.observers import FrameResult, PipelineObserver
from realtime.pipeline.publisher import MessagePublisher
from realtime.pipeline.words import WordQueue
from realtime.tracking.keyframe import Keyframe
from realtime.types import Frame, GazeSample

ENCODER_NICE = 10
"""A keyframe that is 10 ms late is not seen, a mask that is 10 ms late is."""
GAZE_CAPACITY = 4096  # ten seconds at 400 Hz: only a stopped track thread loses gaze


def _refuse_words() -> ObjectRecognizer:
    raise EngineUnavailable("this run has no recognizer, which a word needs")


@dataclass(frozen=True, kw_only=True)
class PipelineOptions:
    """Holds the options of a pipeline.

    frame_size: (width, height) if known beforehand; the engine is then opened before the sources start, so that no
        frame of a recording is lost while it opens.
    every_frame: the source waits until its last frame was read, instead of replacing it with the newest.
    max_fps: frames a second that are processed at most; further ones are dropped. 0 for no limit.
    is_cancelled: polled while the pipeline starts; when true, `Pipeline.start` raises KeyboardInterrupt.
    preparation: called for the present step of opening the engine, for `health`.
    wants_overlay: called for every frame; an overlay is drawn and published where it returns True.
    access: who may connect, by output, for `health`.
    commands: user commands, executed between two frames.
    observers: are called with everything that happens.
    open_recognizer: opens what recognizes objects in keyframes, or returns None; called with the run's encoder, on a
        thread of its own once the first keyframe is encoded, or before it where every frame counts.
    recognizer_share, word_share: of the time of encoding that recognizing may add; the second while a word is set.
    words: words of users, encoded on the recognizer's thread.
    open_word_recognizer: opens what searches for words where `open_recognizer` opened nothing; raises `EngineError`.
    metrics: counts the run's events, latencies and drops.
    work_slots: limits how many of several pipelines track at a time.
    encode_nice: niceness of the thread that encodes.
    fallback_engines: opened in this order when the engine hangs or keeps failing; without any it is not replaced.
    """

    frame_size: tuple[int, int] | None = None
    every_frame: bool = False
    max_fps: float = 0.0
    encoding: Encoding = "packbits+zstd"
    is_cancelled: Callable[[], bool] = lambda: False
    preparation: Callable[[], PreparationStep] = PreparationStep
    wants_overlay: Callable[[], bool] = lambda: True
    jpeg_quality: int = 80
    access: Mapping[str, str] = field(default_factory=dict)
    commands: CommandQueue = field(default_factory=CommandQueue)
    observers: Sequence[PipelineObserver] = ()
    open_recognizer: Callable[[Encoder], ObjectRecognizer | None] = lambda encoder: None
    recognizer_share: float = 0.08
    word_share: float = 0.15
    words: WordQueue = field(default_factory=WordQueue)
    open_word_recognizer: Callable[[], ObjectRecognizer] = _refuse_words
    metrics: MetricsRegistry = field(default_factory=MetricsRegistry)
    work_slots: WorkSlots = field(default_factory=lambda: WorkSlots(1))
    encode_nice: int = ENCODER_NICE
    fallback_engines: Sequence[FallbackEngine] = ()


class PipelineContext:
    """Holds the channels between the threads and all that they share."""

    def __init__(self, options: PipelineOptions, publisher: MessagePublisher) -> None:
        self.options, self.publisher = options, publisher
        self.frames: Latest[Frame] = Latest()
        self.gaze: BoundedQueue[GazeSample] = BoundedQueue(GAZE_CAPACITY)
        self.to_encode: Latest[Frame] = Latest()
        self.keyframes: Latest[Keyframe] = Latest()
        self.to_draw: Latest[FrameResult] = Latest()
        self.on_picture_ns: int | None = None
        """Host time of the last frame for which there was gaze within the picture."""
        self.has_word = False
        """Whether a word is searched for, which selects an object without gaze."""
        self.pacings: list[FramePacing] = []
        """Those of the sources that have one."""
        self.ready, self.stopping = threading.Event(), threading.Event()
        self.is_opening = False
        """Whether the engine is being opened."""
        self.metrics = options.metrics
        self.guard = ErrorGuard(self.metrics.count_drop)
        self.heartbeats: list[Heartbeat] = []
        """Those of the pipeline's threads."""

    def watch_thread(self, name: str, deadline_s: float) -> Heartbeat:
        """Return the heartbeat of one of the pipeline's threads, which `health` reports by this name."""
        heartbeat = Heartbeat(name, deadline_s)
        self.heartbeats.append(heartbeat)
        return heartbeat

    def notify(self, call: Callable[[PipelineObserver], None]) -> None:
        """Call every observer; an exception in one is counted under its name and stops no other."""
        for observer in self.options.observers:
            with self.guard(observer.name):
                call(observer)

    def close_channels(self) -> None:
        """Wake the threads that wait for frames, so that they end."""
        for channel in (self.frames, self.to_encode, self.to_draw):
            channel.close()
