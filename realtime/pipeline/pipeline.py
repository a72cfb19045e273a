"""Runs the threads that turn frames and gaze into published masks. Read this first.

    frames source --> newest frame --> track: motion, gaze, decode, publish `mask` --> overlay: draw, publish `overlay`
    gaze source   --> gaze queue ---->   |  ^
                                         v  | newest keyframe
                                        encode: publish `keyframe`                health: once a second, `health`

No queue is unbounded: each pair of threads is connected by a `Latest` slot, or, for gaze, of which every sample counts,
by a `BoundedQueue`. Encoding is slow and every frame needs a mask, so each has a thread and an engine of its own.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeGuard

from engines import Decoder, SharedDecoder
from realtime.infra.clock import now_ns
from realtime.infra.error_guard import describe_error
from realtime.infra.frame_pacing import PacedSource
from realtime.infra.threads import call_with_deadline, retry_without_memory, run_to_end
from realtime.pipeline.adaptive_encoder import AdaptiveEncoder, PreparedDecoder
from realtime.pipeline.context import PipelineContext, PipelineOptions
from realtime.pipeline.correction_graphs import prepare_correction
from realtime.pipeline.encode_worker import EncodeWorker
from realtime.pipeline.engine_watch import EnginePair, EngineWatch, OpenEngine
from realtime.pipeline.health_reporter import HealthReporter
from realtime.pipeline.overlay_worker import OverlayWorker
from realtime.pipeline.pacing import FrameLimiter
from realtime.pipeline.publisher import MessagePublisher
from realtime.pipeline.track_worker import TrackWorker
from realtime.pipeline.tracker_log import LoggedTracker, MakeTracker, TrackerCall
from realtime.types import Frame, FrameSource, GazeSample, GazeSource

log = logging.getLogger(__name__)
FIRST_FRAME_S = 3.0  # how long the opening of the engine waits to learn the frames' size
STOP_S, SOURCE_STOP_S = 0.7, 2.0


class Pipeline:
    """Runs from `start` to `stop`; an error with one frame, sample or message is counted and never ends it."""

    def __init__(
        self,
        frames: FrameSource,
        gaze: GazeSource,
        open_engine: OpenEngine,
        make_tracker: MakeTracker,
        publisher: MessagePublisher,
        options: PipelineOptions | None = None,
    ) -> None:
        self._frame_source, self._gaze_source = frames, gaze
        self._open_engine, self._make_tracker = open_engine, make_tracker
        self._context = PipelineContext(options or PipelineOptions(), publisher)
        self._frame_size = self._context.options.frame_size
        self._limiter = FrameLimiter(self._context.options.max_fps)
        self._is_paced = isinstance(frames, PacedSource)
        slots = self._context.options.work_slots
        for source in (frames, gaze):
            if isinstance(source, PacedSource):
                source.pacing.admit, source.pacing.may_defer = self._admit_frame, lambda: slots.has_waiting
                self._context.pacings.append(source.pacing)
        self._first_frame = threading.Event()
        self._encode_worker = EncodeWorker(self._context)
        self._track_worker = TrackWorker(self._context, self._encode_worker)
        self._overlay_worker = OverlayWorker(self._context)
        self._health_reporter = HealthReporter(self._context, frames, gaze, self._encode_worker)
        self._engine: EngineWatch | None = None
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the sources, open the engine and start the threads.

        Raises the errors of opening the engine, and KeyboardInterrupt when cancelled; call `stop` then.
        """
        self._spawn("health", self._health_reporter.run)
        is_size_known = self._frame_size is not None
        if not is_size_known:
            self._start_sources()
            self._wait_for_first_frame()
        self._context.is_opening = True
        self._health_reporter.report()  # at once: opening may take longer than a second
        pair = self._open_engine(self._frame_size)
        self._context.is_opening = False
        options, stopping = self._context.options, self._context.stopping
        self._engine = EngineWatch(pair, options.fallback_engines, stopping, self._prepare_graphs)
        self._context.heartbeats += self._engine.heartbeats
        self._decoder = SharedDecoder(self._engine)
        for observer in self._context.options.observers:
            observer.on_engine(self._decoder.background)
        self._tracker = LoggedTracker(
            self._make_tracker, self._decoder, self._context.publisher, now_ns,
            encoding=self._context.options.encoding, on_call=self._on_tracker_call,
        )  # fmt: skip
        if self._context.options.every_frame:
            self._encode_worker.recognition.open_now(pair[0])
            self._encode_worker.recognition.set_words()  # before the first frame
        self._spawn("recognizer", self._encode_worker.recognition.run, pair[0])
        self._spawn("track", self._track_worker.run, self._tracker)
        self._spawn("encode", self._encode_worker.run, self._engine)
        self._spawn("overlay", self._overlay_worker.run)
        self._health_reporter.engine = self._engine
        self._context.ready.set()
        if is_size_known:
            self._start_sources()

    def stop(self) -> None:
        """Publish that it stops, stop the sources, join the threads and close the engine; idempotent.

        What lasts longer, an encode or a source that hangs, continues on its daemon thread; the engine stays open then.
        """
        if self._context.stopping.is_set():
            return
        self._context.stopping.set()
        until_ns = now_ns() + round(STOP_S * 1e9)
        self._context.close_channels()
        self._encode_worker.release()
        if self._engine is not None:
            self._engine.release()
        for source in (self._frame_source, self._gaze_source):
            call_with_deadline(source.stop, SOURCE_STOP_S, "gazecast-stop")  # a device's library may hang
        for thread in self._threads:
            thread.join(max(0.0, (until_ns - now_ns()) / 1e9))
        self._health_reporter.report()
        if self._context.ready.is_set() and not any(thread.is_alive() for thread in self._threads):
            self._decoder.close()
            self._encode_worker.recognition.close()

    @property
    def mask_count(self) -> int:
        """The number of masks that were published."""
        return self._track_worker.mask_count

    @property
    def has_ended(self) -> bool:
        """Whether the frames have ended, as those of a file do, or have failed."""
        return self._frame_source.status().state in ("ended", "failed")

    def _spawn(self, name: str, body: Callable[..., None], *args: Any) -> None:
        def run() -> None:
            run_to_end(partial(body, *args), self._context.stopping.is_set, count_failure)

        def count_failure(error: Exception) -> None:
            self._context.metrics.count_drop(f"{name}.failed")
            log.warning("%s: %s", name, describe_error(error))

        thread = threading.Thread(target=run, name=f"gazecast-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _prepare_graphs(self, pair: EnginePair, retired: threading.Event) -> None:
        """Let a thread compile what the first mask does not need; an error ends it, and the run continues without."""
        encoder, decoder = pair
        prepare: Callable[[], None]
        if isinstance(encoder, AdaptiveEncoder):
            prepare = partial(encoder.prepare_sides, retired)
        elif self._context.options.every_frame or not _compiles_fast(decoder):
            return
        else:
            prepare = partial(prepare_correction, decoder, lambda: self._frame_size, retired)

        def prepare_beside() -> None:
            with self._context.guard("prepare"):
                retry_without_memory(prepare, retired)

        self._spawn("prepare", prepare_beside)

    def _start_sources(self) -> None:
        self._gaze_source.start(self._on_gaze)  # first, because a gaze trace follows the clock of its clip
        self._frame_source.start(self._on_frame)

    def _wait_for_first_frame(self) -> None:
        until_ns = now_ns() + round(FIRST_FRAME_S * 1e9)
        while not self._first_frame.wait(0.05) and now_ns() < until_ns:
            if self._context.options.is_cancelled():
                raise KeyboardInterrupt

    def _on_frame(self, frame: Frame) -> None:
        """Queue a frame; on the source's thread."""
        context = self._context
        context.metrics.count_event("frames", now_ns())
        self._frame_size = frame.size
        self._first_frame.set()
        if not context.ready.is_set():
            return  # no thread reads it yet: a start, not a drop
        if not self._is_paced and not self._admit_frame():
            return
        context.notify(lambda observer: observer.on_frame(frame))
        if context.options.every_frame:
            context.frames.put_when_empty(frame)
        else:
            context.frames.put(frame)

    def _admit_frame(self) -> bool:
        """Return whether a frame that has come is processed, and count it where not; on the source's thread."""
        if not self._context.ready.is_set() or self._limiter.admit(now_ns()):
            return True
        self._context.metrics.count_drop("frames.above_max_fps")
        return False

    def _on_gaze(self, sample: GazeSample) -> None:
        """Queue a gaze sample; on the source's thread."""
        self._context.metrics.count_event("gaze", now_ns())
        self._context.notify(lambda observer: observer.on_gaze(sample))
        if self._context.ready.is_set():
            self._context.gaze.put(sample)

    def _on_tracker_call(self, call: TrackerCall) -> None:
        self._context.notify(lambda observer: observer.on_tracker_call(call))


def _compiles_fast(decoder: Decoder) -> TypeGuard[PreparedDecoder]:
    """Return whether graphs can be compiled beside a run: TensorRT would keep its GPU busy for minutes."""
    return isinstance(decoder, PreparedDecoder) and decoder.info.backend != "tensorrt"
