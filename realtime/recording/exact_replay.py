"""Does again what a run did, turn by turn, on the clock that it had: the same engine gives the same masks, to the byte.

Every value that came into the tracker is in the recording; only what the engine computes is computed anew.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

from engines import Decoder, Encoder
from realtime.comms import Encoding
from realtime.pipeline.publisher import MessagePublisher
from realtime.pipeline.tracker_log import EncodedKeyframe, LoggedTracker, TrackerCall
from realtime.recording.format import FRAME, TURN, RecordedFrame, read_frame, read_turn
from realtime.recording.reader import RecordingEntry, RecordingReader
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.tracker import Tracker
from realtime.types import Frame, FrameKey

KEPT = 1024
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

    packed: frames whose pixels are not those that the run saw. missing: turns whose frame is not in the recording.
    adrift: how often the clock was asked too often or too rarely, as another version of the program would.
    failed: turns that raised, as they may have done then.
    """

    turns: int = 0
    masks: int = 0
    same: int = 0
    packed: int = 0
    missing: int = 0
    adrift: int = 0
    failed: int = 0


class ExactReplay:
    """One exact replay; `account` tells how it went."""

    def __init__(
        self, recording: RecordingReader, encoder: Encoder, decoder: Decoder, make_tracker: MakeTracker
    ) -> None:
        self._recording, self._encoder = recording, encoder
        self.account = ReplaySummary()
        self._clock = _ReplayedDecoder()
        self._stamp_ns = 0
        self._sent: bytes | None = None
        self._packed: OrderedDict[FrameKey, RecordedFrame] = OrderedDict()
        self._published: dict[int, bytes] = {}
        about = recording.about
        first = next((entry for entry in recording.entries(("mask",))), None)
        seq = recording.mask(first).seq if first is not None else 0
        self._turns = LoggedTracker(
            lambda clock_ns: make_tracker(decoder, clock_ns),
            MessagePublisher(self, about.stream, lambda: self._stamp_ns, first_seq={"mask": seq}),
            self._clock,
            encoding=cast("Encoding", about.encoding),
        )

    def send(self, topic: str, payload: bytes) -> bool:
        """Take what is published, as a sender does."""
        self._sent = payload
        return True

    def masks(self) -> Iterator[ReplayedMask]:
        """Every mask of the recording, in its order; raises `RecordingError` for what cannot be read."""
        for entry in self._recording.entries((FRAME, TURN, "mask")):
            found = self._take(entry)
            if found is not None:
                yield found

    def _take(self, entry: RecordingEntry) -> ReplayedMask | None:
        if entry.topic == FRAME:
            packed = read_frame(entry.data)
            self._packed[packed.key] = packed
            self.account.packed += not packed.exact
            while len(self._packed) > KEPT:
                self._packed.popitem(last=False)
            return None
        if entry.topic == "mask":
            self._published[self._recording.mask(entry).seq] = entry.data
            return None
        return self._turn(read_turn(entry.data))

    def _turn(self, turn: TrackerCall) -> ReplayedMask | None:
        self.account.turns += 1
        self._sent = None
        keyframe = self._keyframe(turn.keyframe) if turn.keyframe is not None else None
        packed = self._packed.get(turn.frame) if turn.frame is not None else None
        if (turn.frame is not None and packed is None) or (turn.keyframe is not None and keyframe is None):
            self.account.missing += 1
            if packed is None:
                return None
        self._clock.load(turn.clock_ns)
        self._stamp_ns = turn.published.published_ns if turn.published is not None else 0
        frame = packed.frame() if packed is not None else None
        try:
            self._call(turn, frame, keyframe)
        except Exception:  # as it may have been then; the run went on too
            self.account.failed += 1
        self.account.adrift += self._clock.left
        recorded = self._published.pop(turn.published.seq, None) if turn.published is not None else None
        if frame is None or (recorded is None and self._sent is None):
            return None
        self.account.masks += 1
        self.account.same += recorded == self._sent
        return ReplayedMask(frame, recorded, self._sent)

    def _call(self, turn: TrackerCall, frame: Frame | None, keyframe: Keyframe | None) -> None:
        if frame is not None:
            self._turns.step(frame, turn.samples, keyframe, turn.commands)
        elif turn.call == "keyframe" and keyframe is not None:
            self._turns.prepare(keyframe)
        elif turn.call == "pause":
            self._turns.refine()

    def _keyframe(self, encoded: EncodedKeyframe) -> Keyframe | None:
        """Encode the frame again; None where the recording does not have it."""
        packed = self._packed.get(encoded.frame)
        if packed is None:
            return None
        frame = packed.frame()
        return Keyframe(
            frame.index, frame.timestamp, frame.captured_ns, frame.received_ns, frame.size,
            self._encoder.encode(frame.image), encoded.encode_ns, encoded.encoded_ns,
        )  # fmt: skip


class _ReplayedDecoder:
    """A clock that says what it said then. Asked more often, it stands still."""

    def __init__(self) -> None:
        self._said: Iterator[int] = iter(())
        self._last = self._count = self._asked = 0

    def load(self, said: tuple[int, ...]) -> None:
        self._said, self._count, self._asked = iter(said), len(said), 0

    def __call__(self) -> int:
        self._asked += 1
        self._last = next(self._said, self._last)
        return self._last

    @property
    def left(self) -> int:
        """How often it was asked too often or not often enough."""
        return abs(self._count - self._asked)
