"""Logs every call of the tracker with all its inputs, so that a run can be recorded and replayed exactly.

Inputs are frames, gaze samples, keyframes, commands, the clock readings, and decodes that failed, as of an engine that
hung or was replaced. A `TrackerCall` holds them all; the same calls give the same masks. Pure but for the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from engines import Decoder, Embedding, EngineInfo, MaskCandidates, Prompt
from realtime.comms.mask_encoding import Encoding
from realtime.comms.messages import MaskMessage
from realtime.pipeline.control import TRACKER_VERBS, UserCommand, apply_command
from realtime.pipeline.publisher import MessagePublisher, MessageStamp
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.tracker import Tracker, TrackerOutput
from realtime.types import Frame, FrameKey, GazeSample, MaskResult

MakeTracker = Callable[[Decoder, Callable[[], int]], Tracker]
"""Makes a tracker from the decoder and the clock, ns, that it must use."""
CallKind = Literal["frame", "keyframe", "pause"]
"""frame: `Tracker.step`. keyframe: `Tracker.prepare` between two frames. pause: `Tracker.refine` in idle time."""


@dataclass(frozen=True, slots=True)
class EncodedKeyframe:
    """Holds the key of an encoded frame, the duration of its encode and the time of its end, host ns.

    picture_side: at which it was encoded, see `Letterbox`; 0 is the engine's usual one.
    is_searched: whether objects were recognized in it.
    """

    frame: FrameKey
    encode_ns: int
    encoded_ns: int
    picture_side: int = 0
    is_searched: bool = False


@dataclass(frozen=True, slots=True)
class TrackerCall:
    """Holds one call of the tracker and all its inputs.

    clock_ns: the clock readings in their order, host ns.
    published: the stamp of the mask that was published for the call; None if there was none.
    failed_decode: how many decodes of the call succeeded before one failed, which ended it; None where none failed.
    """

    call: CallKind
    frame: FrameKey | None = None
    samples: tuple[GazeSample, ...] = ()
    keyframe: EncodedKeyframe | None = None
    commands: tuple[UserCommand, ...] = ()
    clock_ns: tuple[int, ...] = ()
    published: MessageStamp | None = None
    failed_decode: int | None = None


class LoggedClock:
    """A clock that logs its readings. One thread."""

    def __init__(self, clock_ns: Callable[[], int]) -> None:
        self._clock_ns = clock_ns
        self._readings: list[int] = []

    def __call__(self) -> int:
        """Return the time, host ns."""
        reading = self._clock_ns()
        self._readings.append(reading)
        return reading

    def drain(self) -> tuple[int, ...]:
        """Remove and return the readings since the last `drain`."""
        readings, self._readings = tuple(self._readings), []
        return readings


class LoggedDecoder:
    """A `Decoder` that logs which call of it failed. One thread."""

    def __init__(self, inside: Decoder) -> None:
        self._inside = inside
        self._count = 0
        self._failed: int | None = None

    @property
    def info(self) -> EngineInfo:
        """See `Decoder.info`."""
        return self._inside.info

    def decode(self, embedding: Embedding, prompts: Sequence[Prompt]) -> tuple[MaskCandidates, ...]:
        """See `Decoder.decode`."""
        try:
            found = self._inside.decode(embedding, prompts)
        except Exception:
            self._failed = self._count
            raise
        self._count += 1
        return found

    def drain(self) -> int | None:
        """Return how many calls since the last `drain` succeeded before one failed; None where none failed."""
        failed, self._failed, self._count = self._failed, None, 0
        return failed

    def close(self) -> None:
        """See `Decoder.close`."""
        self._inside.close()


class LoggedTracker:
    """A tracker whose results are published and whose calls are logged through `on_call`. One thread."""

    def __init__(
        self,
        make_tracker: MakeTracker,
        decoder: Decoder,
        publisher: MessagePublisher,
        clock_ns: Callable[[], int],
        *,
        encoding: Encoding = "packbits+zstd",
        on_call: Callable[[TrackerCall], None] = lambda call: None,
    ) -> None:
        self._clock, self._decoder = LoggedClock(clock_ns), LoggedDecoder(decoder)
        self._tracker = make_tracker(self._decoder, self._clock)
        self._publisher, self._encoding, self._on_call = publisher, encoding, on_call

    def should_encode(self, frame: Frame) -> bool:
        """Return whether the newest frame is worth encoding; call it before `step`. No mask depends on it."""
        return self._tracker.should_encode(frame)

    def step(
        self,
        frame: Frame,
        samples: Sequence[GazeSample],
        keyframe: Keyframe | None,
        commands: Sequence[UserCommand] = (),
    ) -> tuple[TrackerOutput, MessageStamp | None]:
        """Execute the commands, step to a frame and publish its mask, if there is one."""
        steering = tuple(command for command in commands if command.verb in TRACKER_VERBS)
        stamp = None
        self._begin()
        try:
            for command in steering:
                apply_command(self._tracker.control, command)
            output = self._tracker.step(frame, samples, keyframe)
            if output.result is not None:
                stamp = self._publish(output.result)
            return output, stamp
        finally:  # a call that failed has changed the tracker too
            call = TrackerCall("frame", FrameKey.of(frame), tuple(samples), _encoded(keyframe), steering)
            self._log(replace(call, published=stamp))

    def prepare(self, keyframe: Keyframe) -> None:
        """Prompt a new keyframe before the next frame arrives."""
        self._begin()
        try:
            self._tracker.prepare(keyframe)
        finally:
            self._log(TrackerCall("keyframe", keyframe=_encoded(keyframe)))

    def refine(self) -> bool:
        """Refine earlier prompts in idle time; False when there was nothing to do."""
        self._begin()
        try:
            return self._tracker.refine()
        finally:
            self._log(TrackerCall("pause"))

    def _begin(self) -> None:
        """Forget what was read and decoded outside of a call."""
        self._clock.drain()
        self._decoder.drain()

    def _log(self, call: TrackerCall) -> None:
        self._on_call(replace(call, clock_ns=self._clock.drain(), failed_decode=self._decoder.drain()))

    def _publish(self, result: MaskResult) -> MessageStamp:
        fields = MaskMessage.from_result(result).to_fields(self._encoding)
        # Packing takes time, and the age is that at publication.
        fields["carried_ms"] = (self._clock() - result.timing_ns.decode_end) / 1e6
        return self._publisher.publish("mask", fields)


def _encoded(keyframe: Keyframe | None) -> EncodedKeyframe | None:
    if keyframe is None:
        return None
    side = keyframe.embedding.letterbox.picture_side
    is_searched = keyframe.recognition is not None
    return EncodedKeyframe(FrameKey.of(keyframe), keyframe.encode_ns, keyframe.encoded_ns, side, is_searched)
