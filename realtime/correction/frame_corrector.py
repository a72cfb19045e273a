"""Corrects the mask of an object in a recorded frame, and carries it to the other frames of the visit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from engines import Mask
from realtime.correction.editor import ReviewEditor
from realtime.correction.events import (
    AcceptEvent,
    CarriedMask,
    CarryEvent,
    CorrectionEvent,
    CorrectionMeans,
    MaskCandidate,
    pack_mask,
    unpack_mask,
)
from realtime.correction.frame_segmenter import FrameSegmenter, SegmentedObject
from realtime.correction.propagation import carry_mask
from realtime.errors import RecordingError
from realtime.recording.timeline import Timeline, TimelineMoment
from realtime.tracking.correction_prompt import find_interior_point
from realtime.types import Click, Frame

CandidateStep = Literal["part", "whole", "next", "previous"]
GROWN = 1.05
"""A step to a part or whole changes the area by at least this factor: SAM often offers the same mask twice."""
MAX_CARRIED_FRAMES = 300
"""Frames in either direction to which a correction is carried."""
Place = tuple[float, float]
"""x, y in 0..1 of the frame."""


@dataclass(frozen=True, slots=True)
class CorrectionTarget:
    """Names the mask to correct: of an object, 0 for a new one, in frame `number`.

    seconds: spent since the last action.
    """

    number: int
    object: int
    seconds: float = 0.0


class FrameCorrector:
    """Computes corrections and adds them to the editor's file. One thread.

    Every method raises `RecordingError` where a frame cannot be read or a change cannot be made, and `EngineError`.
    """

    def __init__(self, timeline: Timeline, editor: ReviewEditor, segmenter: FrameSegmenter) -> None:
        self._timeline, self._editor, self._segmenter = timeline, editor, segmenter

    def prepare(self, number: int) -> None:
        """Encode a frame, so that its first correction takes a few milliseconds."""
        frame = self._read(number).frame
        if not self._segmenter.has_embedding(frame.key):
            self._segmenter.encode(frame.key, frame.decode().image)

    def click(self, target: CorrectionTarget, place: Place, on: bool) -> CorrectionEvent:
        """Add a click on the object (`on`) or on the background to those before it."""
        moment, before, anchor = self._find(target)
        frame = moment.frame.decode()
        earlier = anchor.points if anchor is not None and anchor.means == "clicks" else ()
        box = anchor.box if anchor is not None and anchor.means == "clicks" else None
        points = (*earlier, (*_to_px(place, frame), 1 if on else 0))
        if before is None and not on and not earlier:
            raise RecordingError(
                "there is no mask here that a click could take something from; click on the object first"
            )
        support = _find_gaze(moment) if target.object else None
        found = self._segmenter.segment(moment.frame.key, frame.image, points, box, before, support)
        return self._add(target, moment, found.masks[found.chosen], "clicks", points, box, found)

    def draw_box(self, target: CorrectionTarget, corner: Place, opposite: Place) -> CorrectionEvent:
        """Segment the object in a box anew."""
        moment, _, _ = self._find(target)
        frame = moment.frame.decode()
        (x0, y0), (x1, y1) = _to_px(corner, frame), _to_px(opposite, frame)
        box = min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)
        found = self._segmenter.segment(moment.frame.key, frame.image, (), box)
        return self._add(target, moment, found.masks[found.chosen], "clicks", (), box, found)

    def step_candidate(self, target: CorrectionTarget, step: CandidateStep) -> CorrectionEvent:
        """Take another of the decoder's candidates: a smaller part, a larger whole, the next or the one before."""
        moment, before, anchor = self._find(target)
        if anchor is not None and anchor.candidates:
            masks = tuple(self._unpack(each.mask, anchor) for each in anchor.candidates)
            ious = tuple(each.iou for each in anchor.candidates)
            stabilities = tuple(each.stability for each in anchor.candidates)
            found, points, box = SegmentedObject(masks, ious, stabilities, anchor.chosen), anchor.points, anchor.box
        else:
            points, box = self._gaze_prompt(moment, before), None
            found = self._segmenter.segment(moment.frame.key, moment.frame.decode().image, points)
        index = find_candidate(found, before if before is not None else found.masks[found.chosen], step)
        if index is None:
            raise RecordingError(f"there is no {'smaller' if step == 'part' else 'larger'} mask among the candidates")
        chosen = SegmentedObject(found.masks, found.ious, found.stabilities, index)
        return self._add(target, moment, found.masks[index], "candidate", points, box, chosen)

    def paint(self, target: CorrectionTarget, places: Sequence[Place], radius: float, on: bool) -> CorrectionEvent:
        """Add a brush stroke to the mask, or take it away. radius: share of the frame's width."""
        moment, before, _ = self._find(target)
        frame = moment.frame.decode()
        canvas = np.zeros(frame.image.shape[:2], np.uint8)
        if before is not None:
            canvas[before] = 1
        line = np.round([_to_px(place, frame) for place in places]).astype(np.int32)
        width = max(1, round(2 * radius * frame.size[0]))
        cv2.polylines(canvas, [line.reshape(-1, 1, 2)], False, int(on), width)
        cv2.circle(canvas, (int(line[0, 0]), int(line[0, 1])), width // 2, int(on), -1)
        return self._add(target, moment, canvas > 0, "brush")

    def accept(self, target: CorrectionTarget) -> None:
        """Accept the masks of the object in the visit round the frame."""
        frames = self._timeline.find_visit(target.number, target.object)
        first, last = (self._read(number).frame.key for number in (frames[0], frames[-1]))
        self._editor.accept(AcceptEvent(object=target.object, first=first, last=last, seconds=target.seconds))

    def carry_next(self, go_on: Callable[[int, int], bool]) -> bool:
        """Carry the newest correction that was not carried yet to its visit; False where there is none.

        go_on: receives the number of frames done and of all; returns False to stop, and then nothing is changed.
        """
        waiting = self._editor.state.list_uncarried()
        if not waiting:
            return False
        event = waiting[0]
        number = self._timeline.find_number(event.frame)
        if number is None:  # the file lost it since
            self._editor.carry(CarryEvent(of=event.n))
            return True
        ways, anchor = self._find_ways(event, number), self._read(number).frame.decode()
        total, done = sum(map(len, ways)), 0
        carried: list[CarriedMask] = []
        for numbers in ways:
            for key, mask in carry_mask(anchor, self._unpack(event.mask, event), self._decode(numbers)):
                carried.append(CarriedMask(key, pack_mask(mask)))
                done += 1
                if not go_on(done, total):
                    return True
        self._editor.carry(CarryEvent(of=event.n, masks=tuple(carried)))
        return True

    def _find_ways(self, event: CorrectionEvent, number: int) -> tuple[range, range]:
        """Find the frames after and before a corrected one: to the visit's ends, or half way to the next correction."""
        frames = self._timeline.find_visit(number, event.object)
        first, last = max(frames[0], number - MAX_CARRIED_FRAMES), min(frames[-1], number + MAX_CARRIED_FRAMES)
        for key in self._editor.state.list_anchors(event.object):
            other = self._timeline.find_number(key)
            if other is not None and other > number:
                last = min(last, (number + other) // 2)
            elif other is not None and other < number:
                first = max(first, (number + other) // 2 + 1)
        return range(number + 1, last + 1), range(number - 1, first - 1, -1)

    def _decode(self, numbers: range) -> Iterator[Frame]:
        for number in numbers:
            try:
                yield self._read(number).frame.decode()
            except RecordingError:  # a damaged frame: motion goes on over it
                continue

    def _read(self, number: int) -> TimelineMoment:
        if not self._timeline.recording.about.pictures:
            raise RecordingError("this recording has no pictures, so that its masks cannot be corrected")
        try:
            return self._timeline.read_moment(number)
        except IndexError as error:
            raise RecordingError(str(error)) from None

    def _find(self, target: CorrectionTarget) -> tuple[TimelineMoment, Mask | None, CorrectionEvent | None]:
        """Return a frame, the mask in force of the object there, and the correction of it in that very frame."""
        moment = self._read(target.number)
        corrected = self._editor.state.find_masks(moment.frame.key).get(target.object)
        anchor = self._editor.state.list_anchors(target.object).get(moment.frame.key)
        if corrected is not None:
            return moment, corrected.unpack(), anchor
        message = moment.message
        is_shown = message is not None and message.object == target.object != 0 and message.mask is not None
        return moment, message.mask if message is not None and is_shown else None, anchor

    @staticmethod
    def _gaze_prompt(moment: TimelineMoment, before: Mask | None) -> tuple[Click, ...]:
        gaze = moment.message.gaze if moment.message is not None and moment.own else None
        if before is not None and before.any():
            if gaze is not None and before[_clip(gaze.y, before.shape[0]), _clip(gaze.x, before.shape[1])]:
                return ((gaze.x, gaze.y, 1),)
            return ((*find_interior_point(before), 1),)
        if gaze is None:
            raise RecordingError("there is no mask here to begin with; click on the object first")
        return ((gaze.x, gaze.y, 1),)

    @staticmethod
    def _unpack(counts: str, event: CorrectionEvent) -> Mask:
        return unpack_mask(counts, event.size)

    def _add(
        self, target: CorrectionTarget, moment: TimelineMoment, mask: Mask, means: CorrectionMeans,
        points: tuple[Click, ...] = (), box: tuple[float, float, float, float] | None = None,
        found: SegmentedObject | None = None,
    ) -> CorrectionEvent:  # fmt: skip
        gaze = moment.message.gaze if moment.message is not None and moment.own else None
        event = CorrectionEvent(
            object=target.object or self.new_object(), frame=moment.frame.key, size=(mask.shape[1], mask.shape[0]),
            means=means, mask=pack_mask(mask), points=points, box=box, candidates=_pack_candidates(found),
            chosen=found.chosen if found is not None else -1, seconds=round(target.seconds, 2),
            gaze=None if gaze is None else (gaze.x, gaze.y, gaze.radius), engine=self._segmenter.name if found else "",
        )  # fmt: skip
        return self._editor.correct([event])[0]

    def new_object(self) -> int:
        """Return the number of a new object."""
        shown = (visited.object for visited in self._timeline.objects)
        corrected = (event.object for event in self._editor.state.events if isinstance(event, CorrectionEvent))
        return max([*shown, *corrected, *self._editor.labels.objects], default=0) + 1


def find_candidate(found: SegmentedObject, mask: Mask, step: CandidateStep) -> int | None:
    """Find the index of the candidate that a step from a mask leads to; None where no part or whole is left."""
    areas = [int(np.count_nonzero(each)) for each in found.masks]
    area = int(np.count_nonzero(mask))
    if step == "part":
        smaller = [k for k, each in enumerate(areas) if 0 < each * GROWN <= area]
        return max(smaller, key=lambda k: areas[k], default=None)
    if step == "whole":
        return min((k for k, each in enumerate(areas) if each >= GROWN * area), key=lambda k: areas[k], default=None)
    order = sorted(range(len(areas)), key=lambda k: -found.ious[k])
    return order[(order.index(found.chosen) + (1 if step == "next" else -1)) % len(order)]


def _find_gaze(moment: TimelineMoment) -> tuple[float, float] | None:
    """Return the x, y px of the gaze that selected the frame's own mask; None where it has none."""
    gaze = moment.message.gaze if moment.message is not None and moment.own else None
    return None if gaze is None else (gaze.x, gaze.y)


def _pack_candidates(found: SegmentedObject | None) -> tuple[MaskCandidate, ...]:
    if found is None:
        return ()
    rows = zip(found.masks, found.ious, found.stabilities, strict=True)
    return tuple(MaskCandidate(pack_mask(mask), round(iou, 4), round(stability, 4)) for mask, iou, stability in rows)


def _to_px(place: Place, frame: Frame) -> tuple[float, float]:
    width, height = frame.size
    return (
        round(min(max(place[0] * width - 0.5, 0.0), width - 1.0), 2),
        round(min(max(place[1] * height - 0.5, 0.0), height - 1.0), 2),
    )


def _clip(value: float, size: int) -> int:
    return min(max(round(value), 0), size - 1)
