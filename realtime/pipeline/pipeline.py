"""The loop: threads that turn frames and gaze into published masks. Read this first.

    frames source --> newest frame --> track: motion, gaze, decode, publish `mask` --> overlay: draw, publish `overlay`
    gaze source   --> backlog ------->   |  ^
                                         v  | newest keyframe
                                        encode: publish `keyframe`                health: once a second, `health`

Nothing queues without a bound: between two threads lies a `Latest`, or for gaze, of which every sample counts, a
`BoundedQueue`. Encoding is slow and a mask is wanted for every frame, so each has a thread and an engine of its own.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict

import cv2

from engines import Decoder, Encoder, SharedDecoder
from realtime.comms import Encoding, HealthMessage, KeyframeMessage, OverlayMessage
from realtime.infra.channels import BoundedQueue, Latest
from realtime.infra.clock import now_ns, wall_ns
from realtime.infra.error_guard import ErrorGuard
from realtime.infra.machine import measure_memory_mib
from realtime.infra.metrics import MetricsRegistry
from realtime.infra.threads import lower_priority
from realtime.media.overlay import draw
from realtime.pipeline.control import TRACKER_VERBS, USER_VERBS, CommandQueue, CommandVerb, UserCommand
from realtime.pipeline.health import HealthInputs, assess_health
from realtime.pipeline.observers import FrameResult, PipelineObserver
from realtime.pipeline.pacing import IdleBudget
from realtime.pipeline.publisher import MessagePublisher
from realtime.pipeline.tracker_log import LoggedTracker, TrackerCall
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.tracker import Tracker, TrackerOutput
from realtime.types import Frame, FrameRef, FrameSource, GazeSample, GazeSource, MaskResult

GAZE_BACKLOG = 4096  # ten seconds at 400 Hz: only a stopped tracker thread loses gaze
FIRST_FRAME_S = 3.0  # how long the engine's opening waits to learn the frames' size
HEALTH_S = 1.0
STOP_S = 0.7
STUCK_NS = 5_000_000_000  # slower than any encoder on any machine this is for
ENCODER_NICE = 10

OpenEngine = Callable[[tuple[int, int] | None], tuple[Encoder, Decoder]]
"""Opens the engine for frames of (width, height), or of unknown size."""


class Pipeline:
    """Runs from `start` to `stop`; trouble with one frame, sample or message never ends it, but is counted and told."""

    def __init__(
        self,
        frames: FrameSource,
        gaze: GazeSource,
        open_engine: OpenEngine,
        make_tracker: Callable[[Decoder, Callable[[], int]], Tracker],
        broadcast: MessagePublisher,
        *,
        frame_size: tuple[int, int] | None = None,
        every_frame: bool = False,
        encoding: Encoding = "packbits+zstd",
        cancelled: Callable[[], bool] = lambda: False,
        overlay_wanted: Callable[[], bool] = lambda: True,
        jpeg_quality: int = 80,
        commands: CommandQueue | None = None,
        observers: Sequence[PipelineObserver] = (),
    ) -> None:
        """Take the parts; nothing runs yet.

        frame_size: (width, height) if known beforehand; the engine is then open before the first frame comes, so that
            a recording is not played to nobody.
        every_frame: let the source wait until its last frame was taken up, instead of always taking the newest.
        cancelled: asked while it starts; when true, `start` raises KeyboardInterrupt.
        make_tracker: gets the decoder and the host's clock. overlay_wanted: asked for every frame.
        commands: what users ask for, obeyed between two frames. observers: who else takes part.
        """
        self._frame_source, self._gaze_source = frames, gaze
        self._open_engine, self._make_tracker, self._broadcast = open_engine, make_tracker, broadcast
        self._every_frame, self._cancelled = every_frame, cancelled
        self._encoding, self._overlay_wanted, self._jpeg_quality = encoding, overlay_wanted, jpeg_quality
        self._commands, self._observers = commands or CommandQueue(), tuple(observers)
        self._metrics = MetricsRegistry()
        self._frames: Latest[Frame] = Latest()
        self._gaze: BoundedQueue[GazeSample] = BoundedQueue(GAZE_BACKLOG)
        self._to_encode: Latest[Frame] = Latest()
        self._keyframes: Latest[Keyframe] = Latest()
        self._to_draw: Latest[FrameResult] = Latest()
        self._first_frame, self._ready, self._stop = threading.Event(), threading.Event(), threading.Event()
        self._encoded = threading.Event()
        self._frame_size = frame_size
        self._guard = ErrorGuard(self._metrics.count_drop)
        self._masks = 0
        self._encoding_since_ns = 0
        self._pauses = IdleBudget()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the sources, open the engine, start the loop. Raises what opening the engine raises; then `stop`."""
        self._spawn("health", self._health)
        known = self._frame_size is not None
        if not known:
            self._start_sources()
            until_ns = now_ns() + round(FIRST_FRAME_S * 1e9)
            while not self._first_frame.wait(0.05) and now_ns() < until_ns:
                if self._cancelled():
                    raise KeyboardInterrupt
        self._encoder, decoder = self._open_engine(self._frame_size)
        self._decoder = SharedDecoder(decoder)
        for observer in self._observers:
            observer.on_engine(self._decoder.aside)
        self._tracker = LoggedTracker(
            lambda clock_ns: self._make_tracker(self._decoder, clock_ns), self._broadcast, now_ns,
            encoding=self._encoding, on_call=self._tell_turn,
        )  # fmt: skip
        for name, loop in (("track", self._track), ("encode", self._encode), ("overlay", self._overlay)):
            self._spawn(name, loop)
        self._ready.set()
        if known:
            self._start_sources()

    def _start_sources(self) -> None:
        self._gaze_source.start(self._take_gaze)  # first, as a trace follows the clip that it plays along with
        self._frame_source.start(self._take_frame)

    def stop(self) -> None:
        """Publish that it stops, stop the sources, join the threads, close the engine. Twice is fine.

        An encode that lasts longer than `STOP_S` is left behind on its daemon thread, with its engine open.
        """
        if self._stop.is_set():
            return
        self._stop.set()
        until_ns = now_ns() + round(STOP_S * 1e9)
        for slot in (self._frames, self._to_encode, self._to_draw):
            slot.close()
        self._encoded.set()
        self._frame_source.stop()
        self._gaze_source.stop()
        for thread in self._threads:
            thread.join(max(0.0, (until_ns - now_ns()) / 1e9))
        with self._guard("health"):
            self._publish_health()
        if self._ready.is_set() and not any(thread.is_alive() for thread in self._threads):
            self._encoder.close()
            self._decoder.close()

    @property
    def mask_count(self) -> int:
        """How many masks were published."""
        return self._masks

    @property
    def has_ended(self) -> bool:
        """Whether the frames have come to their end, as those of a file do, or to nothing."""
        return self._frame_source.status().state in ("ended", "failed")

    @property
    def supported_verbs(self) -> tuple[CommandVerb, ...]:
        """The commands that it can do something about; known once it has started."""
        steered = self._ready.is_set() and self._tracker.is_steerable
        return tuple(verb for verb in USER_VERBS if steered or verb not in TRACKER_VERBS)

    def _spawn(self, name: str, loop: Callable[[], None]) -> None:
        thread = threading.Thread(target=loop, name=f"gazecast-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    # -- sources' threads ---------------------------------------------------------------------------------------------

    def _take_frame(self, frame: Frame) -> None:
        self._metrics.count_event("frames", now_ns())
        self._frame_size = frame.size
        self._first_frame.set()
        if not self._ready.is_set():
            return  # nobody is there to take it: not a drop, but a start
        self._tell(lambda observer: observer.on_frame(frame))
        if self._every_frame:
            self._frames.put_when_empty(frame)
        else:
            self._frames.put(frame)

    def _take_gaze(self, sample: GazeSample) -> None:
        self._metrics.count_event("gaze", now_ns())
        self._tell(lambda observer: observer.on_gaze(sample))
        if self._ready.is_set():
            self._gaze.put(sample)

    # -- track --------------------------------------------------------------------------------------------------------

    def _track(self) -> None:
        while (frame := self._frames.get()) is not None or not self._frames.is_closed:
            with self._guard("track"):
                if frame is None:
                    self._use_pause()
                    continue
                begun_ns = now_ns()
                self._pauses.record_frame(frame.received_ns)
                keyframe = self._own_keyframe(frame) if self._every_frame else self._keyframes.get(0)
                commands = self._commands.drain()
                track, stamp = self._tracker.step(frame, self._gaze.drain(), keyframe, commands)
                if track.should_encode and not self._every_frame:
                    self._to_encode.put(frame)
                if track.result is not None and stamp is not None:
                    self._count_mask(frame, track, track.result, stamp.published_ns)
                shown = FrameResult(frame, track.result)
                self._to_draw.put(shown)
                for command in commands:
                    if command.verb not in TRACKER_VERBS:
                        self._pass_on(command, shown)
                self._metrics.observe("track", (now_ns() - begun_ns) / 1e6, now_ns())
                self._use_pause()

    def _use_pause(self) -> None:
        """Between two frames: ask about a new keyframe before the next frame comes, have answers voted on."""
        if self._every_frame:
            self._tracker.refine()
            return
        if not self._frames.has_value and (keyframe := self._keyframes.get(0)) is not None:
            self._tracker.prepare(keyframe)
        if self._frames.has_value or not self._pauses.has_time(begun_ns := now_ns()):
            return
        if self._tracker.refine():
            self._pauses.record_work(begun_ns, now_ns())

    def _tell_turn(self, turn: TrackerCall) -> None:
        self._tell(lambda observer: observer.on_tracker_call(turn))

    def _pass_on(self, command: UserCommand, shown: FrameResult) -> None:
        self._tell(lambda observer: observer.on_command(command, shown))

    def _own_keyframe(self, frame: Frame) -> Keyframe | None:
        """Have this very frame encoded: where time does not press, nothing need be older than it must."""
        self._encoded.clear()
        self._to_encode.put(frame)
        if not self._stop.is_set():  # else what `stop` has set may be what was just cleared
            self._encoded.wait()
        return self._keyframes.get(0)

    def _count_mask(self, frame: Frame, track: TrackerOutput, message: MaskResult, published_ns: int) -> None:
        self._masks += message.mask is not None
        self._metrics.count_event("masks", published_ns)
        if self._every_frame:
            return  # at any speed, lateness means nothing
        self._metrics.observe("frame_to_mask", (published_ns - frame.captured_ns) / 1e6, published_ns)
        if message.state in ("preview", "locked"):
            gaze_ms = (published_ns - track.gaze_captured_ns) / 1e6
            self._metrics.observe("gaze_to_mask", gaze_ms, published_ns)
            key_ms = (frame.captured_ns - track.keyframe_captured_ns) / 1e6
            self._metrics.observe("keyframe_age", key_ms, published_ns)
            timing = message.timing_ns
            self._metrics.observe("decode", (timing.decode_end - timing.decode_start) / 1e6, published_ns)

    # -- encode -------------------------------------------------------------------------------------------------------

    def _encode(self) -> None:
        lower_priority(ENCODER_NICE)  # a keyframe 10 ms late is not seen, a mask 10 ms late is
        while (frame := self._to_encode.get()) is not None:
            with self._guard("encode"):
                self._encode_one(frame)
            self._encoding_since_ns = 0
            self._encoded.set()

    def _encode_one(self, frame: Frame) -> None:
        begun_ns = self._encoding_since_ns = now_ns()
        embedding = self._encoder.encode(frame.image)
        done_ns = now_ns()
        keyframe = Keyframe(
            frame.index, frame.timestamp, frame.captured_ns, frame.received_ns, frame.size, embedding,
            done_ns - begun_ns, done_ns,
        )  # fmt: skip
        self._keyframes.put(keyframe)
        self._frames.wake()
        self._tell(lambda observer: observer.on_keyframe(keyframe))
        encode_ms = (done_ns - begun_ns) / 1e6
        self._metrics.count_event("keyframes", done_ns)
        self._metrics.observe("encode", encode_ms, done_ns)
        reference = FrameRef.of(frame)
        self._broadcast.publish("keyframe", KeyframeMessage(reference, encode_ms).to_fields())

    # -- overlay ------------------------------------------------------------------------------------------------------

    def _overlay(self) -> None:
        while (shown := self._to_draw.get()) is not None:
            with self._guard("overlay"):
                self._tell(lambda observer: observer.on_mask(shown))
                if not self._overlay_wanted():
                    continue
                drawn = draw(shown.frame.image, shown.result)
                ok, jpeg = cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, self._jpeg_quality])
                if ok:
                    reference = FrameRef.of(shown.frame)
                    sent = self._broadcast.publish("overlay", OverlayMessage(reference, jpeg.tobytes()).to_fields())
                    self._metrics.count_event("overlays", sent.published_ns)

    # -- health -------------------------------------------------------------------------------------------------------

    def _health(self) -> None:
        while True:
            with self._guard("health"):
                self._publish_health()
            if self._stop.wait(HEALTH_S):
                return

    def _publish_health(self) -> None:
        at_ns = now_ns()
        since_ns = self._encoding_since_ns
        troubles = [*self._guard.errors(), *filter(None, (observer.problem() for observer in self._observers))]
        if since_ns and at_ns - since_ns > STUCK_NS:
            troubles.append(f"encode: busy with one frame for {(at_ns - since_ns) / 1e9:.0f} s")
        frames, gaze = self._frame_source.status(), self._gaze_source.status()
        state, reason = assess_health(
            HealthInputs(
                self._ready.is_set(),
                self._stop.is_set(),
                frames,
                gaze,
                self._metrics.age_ns("frames", at_ns),
                self._metrics.age_ns("gaze", at_ns),
                "; ".join(troubles),
            )
        )
        snapshot = self._metrics.snapshot(at_ns)
        dropped = Counter(snapshot.dropped)
        dropped["frames.superseded"] = self._frames.dropped
        dropped["gaze.overflow"] = self._gaze.dropped
        for name, source in (("frames", frames), ("gaze", gaze)):
            dropped.update({f"{name}.{why}": count for why, count in source.dropped.items()})
        for observer in self._observers:
            dropped.update(observer.drop_counts())
        engine = asdict(self._decoder.info) if self._ready.is_set() else {}
        health = HealthMessage(
            state,
            reason,
            snapshot.rates,
            snapshot.latency_ms,
            {k: v for k, v in dropped.items() if v},
            measure_memory_mib(),
            engine,
            wall_ns(),
        )
        self._broadcast.publish("health", health.to_fields())
        self._tell(lambda observer: observer.on_health(health))

    def _tell(self, what: Callable[[PipelineObserver], None]) -> None:
        """Tell every observer; what goes wrong with one is its own."""
        for observer in self._observers:
            with self._guard(observer.name):
                what(observer)
