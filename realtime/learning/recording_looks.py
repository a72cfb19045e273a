"""Makes looks from a recording: its run is repeated exactly, and what was meant is compared with people's answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from engines import Decoder, Encoder, Image
from engines.recognition.base import ObjectRecognizer
from realtime.comms.envelope import unpack
from realtime.comms.messages import MaskMessage
from realtime.correction.events import AcceptEvent
from realtime.correction.state import CorrectedMask, CorrectionState
from realtime.errors import RecordingError
from realtime.learning.coco_pictures import LabelledObject, LabelledPicture, name_recording
from realtime.learning.looks import (
    RIGHT_IOU,
    Answer,
    FixationChoice,
    LabelledLook,
    describe_choice,
    hash_texts,
    label_choice,
)
from realtime.recording.exact_replay import ExactReplay
from realtime.recording.format import RecordedFrame
from realtime.recording.labels import LabelFile
from realtime.recording.reader import RecordingReader
from realtime.recording.visits import VISIBLE_STATES
from realtime.tracking.mask_selection import Belief
from realtime.tracking.settings import TrackerSettings
from realtime.tracking.tracker import Tracker
from realtime.types import FrameKey, Mask

OnTime = Callable[[int], bool]
"""Receives the host time of a replayed frame, ns; returns False to stop."""


def identify_recording(recording: RecordingReader) -> str:
    """Identify a recording by its content, whatever the file is called; raises `RecordingError` without frames."""
    first = next(recording.read_frames(), None)
    if first is None:
        raise RecordingError(f"{recording.path} holds no frames")
    return name_recording(recording.about.started) or hash_texts([str(first.key), first.data])


class ReplayedChoices:
    """Repeats a run and collects one choice for each object and keyframe, the last one made there."""

    def __init__(
        self,
        recording: RecordingReader,
        engine: tuple[Encoder, Decoder],
        settings: TrackerSettings,
        open_recognizer: Callable[[], ObjectRecognizer | None] = lambda: None,
    ) -> None:
        """settings: those of the recorded run, whose masks people answered."""
        self._settings, self._place = settings, identify_recording(recording)
        self._tracker: Tracker | None = None

        def make_tracker(decoder: Decoder, clock_ns: Callable[[], int]) -> Tracker:
            self._tracker = Tracker(decoder, clock_ns, settings, frame_time=recording.about.frame_time)
            return self._tracker

        self._replay = ExactReplay(recording, *engine, make_tracker, open_recognizer)
        self._last: tuple[int, Belief] | None = None
        self._found: dict[tuple[int, FrameKey], FixationChoice] = {}

    def collect(self, on_time: OnTime) -> list[FixationChoice] | None:
        """Repeat the run; None where it was stopped. Raises `RecordingError`."""
        for replayed in self._replay.replay_masks():
            if not on_time(replayed.frame.received_ns):
                return None
            belief = self._tracker.belief if self._tracker is not None else None
            if belief is None or replayed.recorded is None or replayed.replayed is None:
                continue
            message, again = (MaskMessage.from_fields(unpack(data)) for data in (replayed.recorded, replayed.replayed))
            if message.state in VISIBLE_STATES and message.object > 0 and _is_same(message, again):
                self._add(message, belief)
        return list(self._found.values())

    def _add(self, message: MaskMessage, belief: Belief) -> None:
        number, is_confirmed = message.object, message.confirmed is not None
        if self._last is not None and self._last[0] == number and self._last[1] is belief and not is_confirmed:
            return
        self._last = number, belief
        key = FrameKey(belief.keyframe.index, belief.keyframe.received_ns)
        before = self._found.get((number, key))
        packed = self._replay.find_frame(key) if before is None else None
        choice = describe_choice(
            belief.hypotheses, self._settings.choice, f"{self._place}/{key.index}/{key.received_ns}",
            packed.decode().image if packed is not None else None,
            object_id=number, at_ns=key.received_ns, is_chosen=belief.is_chosen or is_confirmed,
            picture=before.picture if before is not None else b"",
        )  # fmt: skip
        self._found[number, key] = choice


def _is_same(message: MaskMessage, again: MaskMessage) -> bool:
    """Return whether a replay shows the same mask, which another engine need not."""
    if message.mask is None or again.mask is None or message.mask.shape != again.mask.shape:
        return False
    common, union = (int(np.count_nonzero(both)) for both in (message.mask & again.mask, message.mask | again.mask))
    return union > 0 and common >= RIGHT_IOU * union


@dataclass(frozen=True, slots=True)
class RecordingAnswers:
    """Holds people's answers about a recording: its labels, and the corrections beside it."""

    labels: LabelFile
    corrections: CorrectionState = field(default_factory=CorrectionState)

    def label(self, choices: Sequence[FixationChoice]) -> Iterator[LabelledLook]:
        """Yield the choices that were answered, each with its answer."""
        corrected = {event.object for event in self.corrections.corrections}
        accepts = [event for event in self.corrections.answers if isinstance(event, AcceptEvent)]
        for choice in choices:
            group, index, received_ns = choice.place.split("/")
            visit = f"{group}/{choice.object}"
            truth = self._find_truth(choice, FrameKey(int(index), int(received_ns)))
            if truth is not None:
                yield label_choice(choice, "corrected", group, visit, truth)
            elif choice.object not in corrected and (answer := self._find_answer(choice, accepts)) is not None:
                yield label_choice(choice, answer, group, visit)

    def _find_truth(self, choice: FixationChoice, key: FrameKey) -> Mask | None:
        found = self.corrections.find_masks(key).get(choice.object)
        mask = found.unpack() if found is not None else None
        return mask if mask is not None and mask.any() else None

    def _find_answer(self, choice: FixationChoice, accepts: Sequence[AcceptEvent]) -> Answer | None:
        label = self.labels.objects.get(choice.object)
        if label is not None and not label.keep:
            return "dropped"
        if choice.is_chosen:
            return "chosen"
        is_accepted = any(
            each.object == choice.object and each.first.received_ns <= choice.at_ns <= each.last.received_ns
            for each in accepts
        )
        return "kept" if label is not None or is_accepted else None


def list_corrected_pictures(
    recording: RecordingReader, corrections: CorrectionState, group: str
) -> list[LabelledPicture]:
    """List the frames in which masks were corrected by hand; masks that motion carried there are left out."""
    found = []
    for frame in recording.read_frames():
        masks = {number: mask for number, mask in corrections.find_masks(frame.key).items() if not mask.is_carried}
        if masks:
            name = f"{recording.path.name} {frame.index}"
            found.append(LabelledPicture(name, partial(_load, frame), partial(_unpack, masks), group))
    return found


def _load(frame: RecordedFrame) -> Image:
    return frame.decode().image


def _unpack(masks: Mapping[int, CorrectedMask]) -> list[LabelledObject]:
    unpacked = ((number, mask.unpack()) for number, mask in masks.items())
    return [LabelledObject(mask, str(number)) for number, mask in unpacked if mask.any()]
