"""Replays a recorded run, call by call, so that the same engine gives the same bytes.

Every input of the tracker is in the recording, with its clock readings and the decodes that failed; only the engine's
results are computed again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from engines import Decoder, Embedding, Encoder, EngineInfo, EngineUnavailable, MaskCandidates, Prompt
from engines.recognition.base import ObjectRecognizer
from engines.sam import SamEncoder
from realtime.pipeline.control import UserCommand
from realtime.pipeline.publisher import MessagePublisher
from realtime.pipeline.tracker_log import EncodedKeyframe, LoggedTracker, MakeTracker, TrackerCall
from realtime.recording.format import FRAME, TRACKER_CALL, RecordedFrame, read_frame, read_tracker_call
from realtime.recording.reader import RecordingReader
from realtime.tracking.keyframe import Keyframe
from realtime.types import Frame, FrameKey

MAX_KEPT_FRAMES = 1024
"""Encoded frames kept for later keyframes: half a minute, which is longer than a keyframe takes."""


@dataclass(frozen=True, slots=True)
class ReplayedMask:
    """Holds the payloads of a mask as published and as replayed; None where there was none. frame: its frame."""

    frame: Frame
    recorded: bytes | None
    replayed: bytes | None


@dataclass(slots=True)
class ReplaySummary:
    """Counts the differences between a replay and its recording.

    inexact_frames: frames whose pixels are not those of the run. missing_frames: tracker calls whose frame is not
    in the recording.
    clock_mismatches: clock readings too many or too few, as with another version of the program.
    failed: tracker calls that raised, as they may have done in the run.
    """

    tracker_calls: int = 0
    masks: int = 0
    identical: int = 0
    inexact_frames: int = 0
    missing_frames: int = 0
    clock_mismatches: int = 0
    failed: int = 0


class ExactReplay:
    """Replays a recording once, and counts differences in `summary`."""

    def __init__(
        self,
        recording: RecordingReader,
        encoder: Encoder,
        decoder: Decoder,
        make_tracker: MakeTracker,
        open_recognizer: Callable[[], ObjectRecognizer | None] = lambda: None,
    ) -> None:
        """open_recognizer: called if objects were recognized in the run."""
        self._recording, self._encoder = recording, encoder
        self._open_recognizer = cache(open_recognizer)
        self.summary = ReplaySummary()
        self._clock, self._decoder = _ReplayedClock(), _ReplayedDecoder(decoder)
        self._stamp_ns = 0
        self._replayed_payload: bytes | None = None
        self._frames: OrderedDict[FrameKey, RecordedFrame] = OrderedDict()
        self._published: dict[int, bytes] = {}
        about = recording.about
        first = next((entry for entry in recording.read_entries(("mask",))), None)
        seq = recording.read_mask(first).seq if first is not None else 0
        self._tracker = LoggedTracker(
            make_tracker,
            self._decoder,
            MessagePublisher(self, about.stream, lambda: self._stamp_ns, first_seq={"mask": seq}),
            self._clock,
            encoding=about.encoding,
        )

    def send(self, topic: str, payload: bytes) -> bool:
        """Keep the published payload, in place of sending it."""
        self._replayed_payload = payload
        return True

    def replay_masks(self) -> Iterator[ReplayedMask]:
        """Replay all tracker calls, and yield their masks in order; raises `RecordingError`."""
        for entry in self._recording.read_entries((FRAME, TRACKER_CALL, "mask")):
            if entry.topic == FRAME:
                self._keep_frame(read_frame(entry.data))
            elif entry.topic == "mask":
                self._published[self._recording.read_mask(entry).seq] = entry.data
            elif (mask := self._replay_call(read_tracker_call(entry.data))) is not None:
                yield mask

    def find_frame(self, key: FrameKey) -> RecordedFrame | None:
        """Return one of the last frames, its picture still encoded; None where it is not kept."""
        return self._frames.get(key)

    def _keep_frame(self, frame: RecordedFrame) -> None:
        self._frames[frame.key] = frame
        self.summary.inexact_frames += not frame.exact
        while len(self._frames) > MAX_KEPT_FRAMES:
            self._frames.popitem(last=False)

    def _replay_call(self, call: TrackerCall) -> ReplayedMask | None:
        self.summary.tracker_calls += 1
        self._replayed_payload = None
        keyframe = self._encode_keyframe(call.keyframe) if call.keyframe is not None else None
        encoded = self._frames.get(call.frame) if call.frame is not None else None
        if (call.frame is not None and encoded is None) or (call.keyframe is not None and keyframe is None):
            self.summary.missing_frames += 1
            if encoded is None:
                return None
        self._clock.load(call.clock_ns)
        self._decoder.load(call.failed_decode)
        self._stamp_ns = call.published.published_ns if call.published is not None else 0
        frame = encoded.decode() if encoded is not None else None
        try:
            self._repeat_call(call, frame, keyframe)
        except Exception:  # the run went on too
            self.summary.failed += 1
        self.summary.clock_mismatches += self._clock.mismatches
        recorded = self._published.pop(call.published.seq, None) if call.published is not None else None
        if frame is None or (recorded is None and self._replayed_payload is None):
            return None
        self.summary.masks += 1
        self.summary.identical += recorded == self._replayed_payload
        return ReplayedMask(frame, recorded, self._replayed_payload)

    def _repeat_call(self, call: TrackerCall, frame: Frame | None, keyframe: Keyframe | None) -> None:
        if frame is not None:
            self._tracker.step(frame, call.samples, keyframe, [self._encode_word(each) for each in call.commands])
        elif call.call == "keyframe" and keyframe is not None:
            self._tracker.prepare(keyframe)
        elif call.call == "pause":
            self._tracker.refine()

    def _encode_word(self, command: UserCommand) -> UserCommand:
        """Encode the word of a command again; other commands stay."""
        recognizer = self._open_recognizer() if command.text else None
        return command if recognizer is None else replace(command, query=recognizer.encode_word(command.text))

    def _encode_keyframe(self, encoded: EncodedKeyframe) -> Keyframe | None:
        """Encode the frame again; None without that frame in the recording."""
        recorded = self._frames.get(encoded.frame)
        if recorded is None:
            return None
        frame = recorded.decode()
        side = encoded.picture_side
        if isinstance(self._encoder, SamEncoder) and side:
            embedding = self._encoder.encode(frame.image, side)
        else:
            embedding = self._encoder.encode(frame.image)
        recognizer = self._open_recognizer() if encoded.is_searched else None
        recognition = recognizer.recognize(frame.image) if recognizer is not None else None
        return Keyframe.from_frame(frame, embedding, encoded.encode_ns, encoded.encoded_ns, recognition)


class _ReplayedClock:
    """A clock that repeats the recorded readings, and then stands still."""

    def __init__(self) -> None:
        self._readings: tuple[int, ...] = ()
        self._last = self._read_count = 0

    def load(self, readings: tuple[int, ...]) -> None:
        self._readings, self._read_count = readings, 0

    def __call__(self) -> int:
        if self._read_count < len(self._readings):
            self._last = self._readings[self._read_count]
        self._read_count += 1
        return self._last

    @property
    def mismatches(self) -> int:
        """Number of readings too many or too few."""
        return abs(len(self._readings) - self._read_count)


class _ReplayedDecoder:
    """A decoder that fails where it did in the run."""

    def __init__(self, inside: Decoder) -> None:
        self._inside = inside
        self._left: int | None = None

    @property
    def info(self) -> EngineInfo:
        return self._inside.info

    def load(self, failed_decode: int | None) -> None:
        self._left = failed_decode

    def decode(self, embedding: Embedding, prompts: Sequence[Prompt]) -> tuple[MaskCandidates, ...]:
        if self._left == 0:
            raise EngineUnavailable("this decode failed in the run")
        if self._left is not None:
            self._left -= 1
        return self._inside.decode(embedding, prompts)

    def close(self) -> None:
        self._inside.close()
