"""Tracks the mask from frame to frame on the track thread."""

from __future__ import annotations

import math

from realtime.errors import SourceError
from realtime.infra.clock import now_ns
from realtime.infra.frame_pacing import PendingFrame
from realtime.pipeline.context import PipelineContext
from realtime.pipeline.control import TRACKER_VERBS, UserCommand
from realtime.pipeline.encode_worker import EncodeWorker
from realtime.pipeline.observers import FrameResult
from realtime.pipeline.pacing import IdleBudget
from realtime.pipeline.tracker_log import LoggedTracker
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.tracker import TrackerOutput
from realtime.tracking.word_search import WordState
from realtime.types import Frame, GazeSample, MaskResult

DEADLINE_S = 5.0
"""The time that one frame and the idle work after it may take, compiling a graph included."""
MAX_FRAMES_WAITED = 1
"""Frames after which a keyframe that found no idle time is decoded before the next mask."""


class TrackWorker:
    """A worker that steps the tracker to each frame, which publishes `mask`, and executes user commands."""

    def __init__(self, context: PipelineContext, encode_worker: EncodeWorker) -> None:
        self._context, self._encode_worker = context, encode_worker
        self._every_frame = context.options.every_frame
        self._refining = IdleBudget()
        self._frames_waited = 0  # by a keyframe that is not decoded yet
        self._word: WordState | None = None
        self.mask_count = 0
        # With `every_frame` the encoder's heartbeat is enough, for which this thread waits.
        self._heartbeat = context.watch_thread("track", math.inf if self._every_frame else DEADLINE_S)

    def run(self, tracker: LoggedTracker) -> None:
        """Track until the channel closes; the body of the track thread.

        A wake without a frame means that there is a new keyframe.
        """
        frames, slots = self._context.frames, self._context.options.work_slots
        while (frame := frames.get()) is not None or not frames.is_closed:
            with slots.hold(), self._context.guard("track"), self._heartbeat.working():
                for pacing in self._context.pacings:
                    pacing.demand()
                if (newer := frames.get(0)) is not None:  # it came while others worked
                    frames.dropped += frame is not None
                    frame = newer
                if frame is not None and self._decode_picture(frame):
                    self._track(tracker, frame)
                self._use_idle_time(tracker)

    def _decode_picture(self, frame: Frame) -> bool:
        """Decode a picture that is not decoded yet; False for one that its source has counted."""
        if not isinstance(frame, PendingFrame):
            return True
        try:
            return frame.image is not None
        except SourceError:
            return False

    def _track(self, tracker: LoggedTracker, frame: Frame) -> None:
        context = self._context
        begun_ns = now_ns()
        self._refining.record_frame(frame.received_ns)
        self._request_keyframe(tracker, frame)
        keyframe = self._encode_worker.encode_and_wait(frame) if self._every_frame else self._find_keyframe()
        commands = context.options.commands.drain()
        samples = context.gaze.drain()
        if any(_is_on_picture(sample, frame.size) for sample in samples):
            context.on_picture_ns = begun_ns
        output, stamp = tracker.step(frame, samples, keyframe, commands)
        self._encode_worker.observe_frame(frame, output.speed)
        self._observe_word(output.word)
        if output.result is not None and stamp is not None:
            self._count_mask(frame, output, output.result, stamp.published_ns)
        result = FrameResult(frame, output.result)
        context.to_draw.put(result)
        for command in commands:
            if command.verb not in TRACKER_VERBS:
                self._forward(command, result)
        context.metrics.observe("track", (now_ns() - begun_ns) / 1e6, now_ns())

    def _request_keyframe(self, tracker: LoggedTracker, frame: Frame) -> None:
        """Offer the frame to the encoder before it is tracked: a keyframe is the younger by that time."""
        if self._every_frame:
            return  # it is encoded in any case
        if tracker.should_encode(frame) or self._encode_worker.needs_keyframe:
            self._context.to_encode.put(frame)

    def _find_keyframe(self) -> Keyframe | None:
        """Leave a new keyframe for idle time, for some frames: its decode would delay the mask of this one.

        There is no idle time while other pipelines wait for this thread's slot.
        """
        keyframes, is_contended = self._context.keyframes, self._context.options.work_slots.has_waiting
        if keyframes.has_value and self._frames_waited < MAX_FRAMES_WAITED and not is_contended:
            self._frames_waited += 1
            return None
        self._frames_waited = 0
        return keyframes.get(0)

    def _use_idle_time(self, tracker: LoggedTracker) -> None:
        """Between two frames, prompt a new keyframe, and refine earlier prompts where the time suffices.

        A keyframe is prompted whether or not that ends before the next frame comes: it would delay that frame's mask by
        more in its step, and half of a fast encoder's keyframes would be replaced by the next ones before their turn.
        """
        frames, keyframes = self._context.frames, self._context.keyframes
        if self._every_frame:
            while tracker.refine():
                pass
            return
        if not frames.has_value and (keyframe := keyframes.get(0)) is not None:
            self._frames_waited = 0
            tracker.prepare(keyframe)
        slots = self._context.options.work_slots
        while not frames.has_value and self._encode_worker.can_vote and self._refining.has_time(begun_ns := now_ns()):
            if slots.has_waiting or not tracker.refine():
                return
            self._refining.record_work(begun_ns, now_ns())

    def _observe_word(self, word: WordState | None) -> None:
        self._encode_worker.recognition.observe_word(word)
        if word != self._word:
            self._word, self._context.has_word = word, word is not None and word.is_known
            self._context.notify(lambda observer: observer.on_word(word))

    def _forward(self, command: UserCommand, result: FrameResult) -> None:
        self._context.notify(lambda observer: observer.on_command(command, result))

    def _count_mask(self, frame: Frame, output: TrackerOutput, result: MaskResult, published_ns: int) -> None:
        metrics = self._context.metrics
        self.mask_count += result.mask is not None
        metrics.count_event("masks", published_ns)
        if self._every_frame:
            return  # latency means nothing where frames wait for the tracker
        metrics.observe("frame_to_mask", (published_ns - frame.captured_ns) / 1e6, published_ns)
        if result.state in ("preview", "locked"):
            timing = result.timing_ns
            if result.prompt == "gaze":
                metrics.observe("gaze_to_mask", (published_ns - output.gaze_captured_ns) / 1e6, published_ns)
            if result.is_guess:
                return
            metrics.observe("keyframe_age", (frame.captured_ns - output.keyframe_captured_ns) / 1e6, published_ns)
            metrics.observe("decode", (timing.decode_end - timing.decode_start) / 1e6, published_ns)


def _is_on_picture(sample: GazeSample, size: tuple[int, int]) -> bool:
    x, y = sample.to_px(size)
    return sample.confidence > 0 and 0 <= x <= size[0] and 0 <= y <= size[1]
