"""What the tracking thread does, call by call, so that it can be written down and done again. Pure but for its clock.

Everything that comes into the tracker from outside goes through here: frames, looks, keyframes, commands, and what the
clock said when it was asked. A `TrackerCall` holds it all; the same turns give the same masks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from realtime.comms import Encoding, MaskMessage
from realtime.pipeline.control import TRACKER_VERBS, SteerableTracker, UserCommand, apply_command
from realtime.pipeline.publisher import MessagePublisher, MessageStamp
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.tracker import Tracker, TrackerOutput
from realtime.types import Frame, FrameKey, GazeSample, MaskResult

CallKind = Literal["frame", "keyframe", "pause"]
"""frame: a step to a new frame. keyframe: one is looked at between two frames. pause: answers are voted on."""


@dataclass(frozen=True, slots=True)
class EncodedKeyframe:
    """Which frame was encoded; how long that took and when it was done, host ns."""

    frame: FrameKey
    encode_ns: int
    encoded_ns: int


@dataclass(frozen=True, slots=True)
class TrackerCall:
    """One call of the tracker and all that came into it.

    clock_ns: what the clock said, in the order in which it was asked.
    published: of the mask that was published for it; None if there was none.
    """

    call: CallKind
    frame: FrameKey | None = None
    samples: tuple[GazeSample, ...] = ()
    keyframe: EncodedKeyframe | None = None
    commands: tuple[UserCommand, ...] = ()
    clock_ns: tuple[int, ...] = ()
    published: MessageStamp | None = None


class LoggedClock:
    """A clock that remembers what it said. One thread."""

    def __init__(self, clock_ns: Callable[[], int]) -> None:
        self._clock_ns = clock_ns
        self._said: list[int] = []

    def __call__(self) -> int:
        """The time, ns."""
        said = self._clock_ns()
        self._said.append(said)
        return said

    def drain(self) -> tuple[int, ...]:
        """What it said since the last time this was asked."""
        said, self._said = tuple(self._said), []
        return said


class LoggedTracker:
    """Calls the tracker, publishes what it gives and tells of each turn. One thread, which is the tracker's too."""

    def __init__(
        self,
        make_tracker: Callable[[Callable[[], int]], Tracker],
        broadcast: MessagePublisher,
        clock_ns: Callable[[], int],
        *,
        encoding: Encoding = "packbits+zstd",
        on_call: Callable[[TrackerCall], None] = lambda turn: None,
    ) -> None:
        """`make_tracker` gets the clock that the tracker is to use."""
        self._clock = LoggedClock(clock_ns)
        self._tracker = make_tracker(self._clock)
        self._broadcast, self._encoding, self._on_call = broadcast, encoding, on_call

    @property
    def is_steerable(self) -> bool:
        """Whether the tracker can be told what to show."""
        return isinstance(self._tracker, SteerableTracker)

    def step(
        self,
        frame: Frame,
        samples: Sequence[GazeSample],
        keyframe: Keyframe | None,
        commands: Sequence[UserCommand] = (),
    ) -> tuple[TrackerOutput, MessageStamp | None]:
        """Step to a frame and publish its mask, if there is one."""
        steering = tuple(command for command in commands if command.verb in TRACKER_VERBS)
        self._clock.drain()
        stamp = None
        try:
            tracker: object = self._tracker
            if isinstance(tracker, SteerableTracker):
                for command in steering:
                    apply_command(tracker, command)
            track = self._tracker.step(frame, samples, keyframe)
            if track.result is not None:
                stamp = self._publish(track.result)
            return track, stamp
        finally:  # a turn that failed has changed the tracker too
            key, said = FrameKey.of(frame), self._clock.drain()
            self._on_call(TrackerCall("frame", key, tuple(samples), _encoded(keyframe), steering, said, stamp))

    def prepare(self, keyframe: Keyframe) -> None:
        """Ask about a new keyframe before the next frame comes."""
        self._clock.drain()
        try:
            self._tracker.prepare(keyframe)
        finally:
            self._on_call(TrackerCall("keyframe", keyframe=_encoded(keyframe), clock_ns=self._clock.drain()))

    def refine(self) -> bool:
        """Have answers voted on; False when there was no need."""
        self._clock.drain()
        try:
            return self._tracker.refine()
        finally:
            self._on_call(TrackerCall("pause", clock_ns=self._clock.drain()))

    def _publish(self, result: MaskResult) -> MessageStamp:
        fields = MaskMessage.from_result(result).to_fields(self._encoding)
        # Packing takes its time, and the age is that at publication.
        fields["carried_ms"] = (self._clock() - result.timing_ns.decode_end) / 1e6
        return self._broadcast.publish("mask", fields)


def _encoded(keyframe: Keyframe | None) -> EncodedKeyframe | None:
    if keyframe is None:
        return None
    return EncodedKeyframe(FrameKey.of(keyframe), keyframe.encode_ns, keyframe.encoded_ns)
