"""Does again what a run did, turn by turn, on the clock that it had: the same engine gives the same masks, to the byte.

Every value that came into the tracker is in the recording; only what the engine computes is computed anew.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

from engines import Decoder, Encoder
from realtime.comms.mask_encoding import Encoding
from realtime.pipeline.publisher import MessagePublisher
from realtime.pipeline.tracker_log import EncodedKeyframe, LoggedTracker, TrackerCall
from realtime.recording.format import FRAME, TRACKER_CALL, RecordedFrame, read_frame, read_tracker_call
from realtime.recording.reader import RecordingEntry, RecordingReader
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.tracker import Tracker
from realtime.types import Frame, FrameKey

MAX_PACKED_FRAMES = 1024
"""Packed frames kept for keyframes to come: half a minute, and no keyframe takes so long."""

MakeTracker = Callable[[Decoder, Callable[[], int]], Tracker]


@dataclass(frozen=True, slots=True)
class ReplayedMask:
    """A mask as it was published, and as it came out now; both as the payload of `mask`, None where there was none.

    frame: the frame that it is of.
    """

    frame: Frame
    recorded: bytes | None
    replayed: bytes | None


@dataclass(slots=True)
class ReplaySummary:
    """How exactly a replay could follow.

    inexact_frames: frames whose pixels are not those that the run saw. missing_frames: tracker calls whose frame is not
    in the recording.
    clock_mismatches: how often the clock was asked too often or too rarely, as another version of the program would.
    failed: turns that raised, as they may have done then.
    """

    tracker_calls: int = 0
    masks: int = 0
    identical: int = 0
    inexact_frames: int = 0
    missing_frames: int = 0
    clock_mismatches: int = 0
    failed: int = 0


class ExactReplay:
    """One exact replay; `account` tells how it went."""

    def __init__(
        self, recording: RecordingReader, encoder: Encoder, decoder: Decoder, make_tracker: MakeTracker
    ) -> None:
        self._recording, self._encoder = recording, encoder
        self.summary = ReplaySummary()
        self._clock = _ReplayedClock()
        self._stamp_ns = 0
        self._replayed_payload: bytes | None = None
        self._packed: OrderedDict[FrameKey, RecordedFrame] = OrderedDict()
        self._published: dict[int, bytes] = {}
        about = recording.about
        first = next((entry for entry in recording.read_entries(("mask",))), None)
        seq = recording.read_mask(first).seq if first is not None else 0
        self._tracker = LoggedTracker(
            lambda clock_ns: make_tracker(decoder, clock_ns),
            MessagePublisher(self, about.stream, lambda: self._stamp_ns, first_seq={"mask": seq}),
            self._clock,
            encoding=cast("Encoding", about.encoding),
        )

    def send(self, topic: str, payload: bytes) -> bool:
        """Take what is published, as a sender does."""
        self._replayed_payload = payload
        return True

    def replay_masks(self) -> Iterator[ReplayedMask]:
        """Every mask of the recording, in its order; raises `RecordingError` for what cannot be read."""
        for entry in self._recording.read_entries((FRAME, TRACKER_CALL, "mask")):
            found = self._replay_entry(entry)
            if found is not None:
                yield found

    def _replay_entry(self, entry: RecordingEntry) -> ReplayedMask | None:
        if entry.topic == FRAME:
            packed = read_frame(entry.data)
            self._packed[packed.key] = packed
            self.summary.inexact_frames += not packed.exact
            while len(self._packed) > MAX_PACKED_FRAMES:
                self._packed.popitem(last=False)
            return None
        if entry.topic == "mask":
            self._published[self._recording.read_mask(entry).seq] = entry.data
            return None
        return self._replay_call(read_tracker_call(entry.data))

    def _replay_call(self, turn: TrackerCall) -> ReplayedMask | None:
        self.summary.tracker_calls += 1
        self._replayed_payload = None
        keyframe = self._encode_keyframe(turn.keyframe) if turn.keyframe is not None else None
        packed = self._packed.get(turn.frame) if turn.frame is not None else None
        if (turn.frame is not None and packed is None) or (turn.keyframe is not None and keyframe is None):
            self.summary.missing_frames += 1
            if packed is None:
                return None
        self._clock.load(turn.clock_ns)
        self._stamp_ns = turn.published.published_ns if turn.published is not None else 0
        frame = packed.decode() if packed is not None else None
        try:
            self._call(turn, frame, keyframe)
        except Exception:  # as it may have been then; the run went on too
            self.summary.failed += 1
        self.summary.clock_mismatches += self._clock.mismatches
        recorded = self._published.pop(turn.published.seq, None) if turn.published is not None else None
        if frame is None or (recorded is None and self._replayed_payload is None):
            return None
        self.summary.masks += 1
        self.summary.identical += recorded == self._replayed_payload
        return ReplayedMask(frame, recorded, self._replayed_payload)

    def _call(self, turn: TrackerCall, frame: Frame | None, keyframe: Keyframe | None) -> None:
        if frame is not None:
            self._tracker.step(frame, turn.samples, keyframe, turn.commands)
        elif turn.call == "keyframe" and keyframe is not None:
            self._tracker.prepare(keyframe)
        elif turn.call == "pause":
            self._tracker.refine()

    def _encode_keyframe(self, encoded: EncodedKeyframe) -> Keyframe | None:
        """Encode the frame again; None where the recording does not have it."""
        packed = self._packed.get(encoded.frame)
        if packed is None:
            return None
        frame = packed.decode()
        return Keyframe(
            frame.index, frame.timestamp, frame.captured_ns, frame.received_ns, frame.size,
            self._encoder.encode(frame.image), encoded.encode_ns, encoded.encoded_ns,
        )  # fmt: skip


class _ReplayedClock:
    """A clock that says what it said then. Asked more often, it stands still."""

    def __init__(self) -> None:
        self._readings: Iterator[int] = iter(())
        self._last = self._count = self._read_count = 0

    def load(self, said: tuple[int, ...]) -> None:
        self._readings, self._count, self._read_count = iter(said), len(said), 0

    def __call__(self) -> int:
        self._read_count += 1
        self._last = next(self._readings, self._last)
        return self._last

    @property
    def mismatches(self) -> int:
        """How often it was asked too often or not often enough."""
        return abs(self._count - self._read_count)
