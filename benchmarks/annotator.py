"""Simulates a person who answers looks in `gazecast review`, through the program's own corrector.

The true mask decides: a shown mask with an IoU of at least `ACCEPTED_IOU` is accepted. Where the IoU is below
`OTHER_IOU`, the mask is of something else, and the person tries the decoder's other candidates by a key each, and goes
on from the best. Then they click the deepest point of the largest region that is wrong, on the object or on the
background, at most `MAX_CLICKS` times; then they paint or erase along the middle of that region with the brush, at most
`MAX_STROKES` times; then the object is dropped.

Seconds are stated costs, not times of people: a click 1.5 s and 1 s to find what is wrong or to see that nothing is, as
SAM 2's paper assumes (Ravi et al., 2024, appendix, after Delatolas et al., 2024), a stroke as much, and a key 0.28 s
(Card, Moran and Newell, "The keystroke-level model", 1980).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np

from benchmarks.streaming_eval.scoring import iou
from engines import Decoder, Encoder, Image, Mask
from realtime.comms.messages import MaskMessage
from realtime.correction.editor import ReviewEditor
from realtime.correction.events import CorrectionEvent, unpack_mask
from realtime.correction.frame_corrector import CorrectionTarget, FrameCorrector
from realtime.correction.frame_segmenter import FrameSegmenter
from realtime.correction.loop_metrics import LoopMetrics, measure_loop
from realtime.learning.picture_looks import PictureFixations, find_error_region, find_hypotheses
from realtime.recording.format import RecordedFrame
from realtime.recording.labels import ObjectLabel
from realtime.recording.timeline import Timeline, TimelineMoment
from realtime.tracking.candidate_ranker import CandidateRanker, measure_features
from realtime.types import FrameKey

ACCEPTED_IOU, OTHER_IOU = 0.8, 0.5
JUDGE_S, CLICK_S, KEY_S = 1.0, 1.5, 0.28
MAX_CLICKS, MAX_STROKES, CANDIDATES = 5, 15, 3
STROKE_POINTS = 8
RADIUS_SHARE = 0.012
"""The gaze's error radius, in picture widths."""


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatorLook:
    """A look at an object whose (H, W) mask is known. group: never divided between learning and test."""

    image: Image = field(repr=False)
    truth: Mask = field(repr=False)
    point_px: tuple[float, float]
    group: str


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatorAnswer:
    """Holds an answer.

    ious: of the shown mask, and after each action. seconds: spent until each was judged, by the stated costs. mask: as
    it was left; None if dropped. is_corrected: whether it was not accepted as it was.
    """

    ious: tuple[float, ...]
    seconds: tuple[float, ...]
    mask: Mask | None = field(repr=False)
    is_corrected: bool = False

    def find_cost(self, least_iou: float) -> tuple[float, int]:
        """Find the seconds and actions until the IoU is at least so much; all of them where it never is."""
        last = len(self.ious) - 1
        count = next((k for k, iou in enumerate(self.ious) if iou >= least_iou), last)
        return self.seconds[count], count


class LookTimeline:
    """Stands for a recording in which every frame shows one look, at an object of its own."""

    def __init__(self) -> None:
        self.moments: list[TimelineMoment] = []
        self.objects: tuple[Any, ...] = ()
        self.recording = SimpleNamespace(about=SimpleNamespace(pictures=True))

    def add(self, image: Image, mask: Mask, point_px: tuple[float, float], radius_px: float) -> int:
        """Add a frame with the mask that a run published there, and return its number."""
        number = len(self.moments) + 1
        data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
        frame = RecordedFrame(number, number / 24, number, number, "png", True, data)
        gaze = SimpleNamespace(x=point_px[0], y=point_px[1], radius=radius_px)
        message = cast(MaskMessage, SimpleNamespace(object=number, mask=mask, gaze=gaze))
        self.moments.append(TimelineMoment(number, number, number + 1, frame, message, True))
        return number

    def read_moment(self, number: int) -> TimelineMoment:
        """See `Timeline`."""
        return self.moments[number - 1]

    def find_number(self, key: FrameKey) -> int:
        """See `Timeline`."""
        return key.index

    def find_visit(self, number: int, object_id: int) -> range:
        """See `Timeline`."""
        return range(number, number + 1)


class SimulatedAnnotator:
    """Answers looks with one engine. folder: of the corrections, a file as `review` writes it."""

    def __init__(
        self, folder: Path, engine: tuple[Encoder, Decoder], ranker: CandidateRanker, fixations: PictureFixations
    ) -> None:
        self._engine, self._ranker, self._fixations = engine, ranker, fixations
        self._timeline = LookTimeline()
        self._editor = ReviewEditor(folder / "looks.mcap")
        timeline = cast(Timeline, self._timeline)
        self._corrector = FrameCorrector(timeline, self._editor, FrameSegmenter(lambda: engine))

    @property
    def metrics(self) -> LoopMetrics:
        """What `gazecast review --report` says of the answers; of the seconds, without those after the last action."""
        return measure_loop([self._editor.state])

    def answer(self, look: AnnotatorLook) -> AnnotatorAnswer:
        """Answer a look."""
        radius = RADIUS_SHARE * look.image.shape[1]
        shown = self._show(look, radius)
        number = self._timeline.add(look.image, shown, look.point_px, radius)
        review = _LookReview(self._corrector, self._editor, number, look.truth, [iou(shown, look.truth)])
        if review.ious[0] >= ACCEPTED_IOU:
            self._corrector.accept(CorrectionTarget(number, number, JUDGE_S))
            return AnnotatorAnswer(tuple(review.ious), (JUDGE_S,), shown)
        mask = review.correct(shown)
        is_right = review.ious[-1] >= ACCEPTED_IOU
        if not is_right:
            self._editor.set_label(number, ObjectLabel("", keep=False))
        return AnnotatorAnswer(tuple(review.ious), tuple(review.seconds), mask if is_right else None, True)

    def _show(self, look: AnnotatorLook, radius: float) -> Mask:
        """Return the mask that a run shows."""
        encoder, decoder = self._engine
        found = find_hypotheses(decoder, encoder.encode(look.image), look.point_px, radius, self._fixations)
        scores = self._ranker.score(measure_features(found, self._fixations.selection.runaway_area))
        best = found[int(np.argmax(scores))].average()
        return np.asarray(best.candidates.letterbox.logits_to_picture(best.candidates.logits[best.index]) > 0)


@dataclass
class _LookReview:
    corrector: FrameCorrector
    editor: ReviewEditor
    number: int
    truth: Mask = field(repr=False)
    ious: list[float]
    seconds: list[float] = field(default_factory=lambda: [JUDGE_S])

    def correct(self, mask: Mask) -> Mask:
        """Correct a mask until it is right, or clicks and strokes are used up."""
        if self.ious[0] < OTHER_IOU:
            mask = self._try_candidates(mask)
        for count in range(MAX_CLICKS + MAX_STROKES):
            if self.ious[-1] >= ACCEPTED_IOU or (error := find_error(self.truth, mask)) is None:
                break
            target = self._spend(JUDGE_S + CLICK_S)
            if count < MAX_CLICKS:
                mask = self._add(self.corrector.click(target, error.place, error.is_object))
            else:
                mask = self._add(self.corrector.paint(target, error.stroke, error.radius, error.is_object))
        return mask

    def _try_candidates(self, shown: Mask) -> Mask:
        """Try the other candidates, and undo back to the best of all masks."""
        masks = [shown]
        for _ in range(CANDIDATES):
            masks.append(self._add(self.corrector.step_candidate(self._spend(JUDGE_S + KEY_S), "next")))
            if self.ious[-1] >= ACCEPTED_IOU:
                return masks[-1]
        best = int(np.argmax(self.ious))
        for _ in range(len(masks) - 1 - best):
            self.editor.undo()
        self.ious.append(self.ious[best])
        self.seconds.append(self.seconds[-1] + KEY_S * (len(masks) - 1 - best))
        return masks[best]

    def _spend(self, seconds: float) -> CorrectionTarget:
        """Return the target of an action, whose mask is judged afterwards."""
        self.seconds.append(self.seconds[-1] + seconds)
        return CorrectionTarget(self.number, self.number, seconds)

    def _add(self, event: CorrectionEvent) -> Mask:
        mask = unpack_mask(event.mask, event.size)
        self.ious.append(iou(mask, self.truth))
        return mask


@dataclass(frozen=True, slots=True)
class MaskError:
    """Holds the largest region that is wrong, in 0..1 of the frame.

    place: its deepest point. stroke, radius: a brush stroke along its middle.
    """

    place: tuple[float, float]
    stroke: list[tuple[float, float]]
    radius: float
    is_object: bool


def find_error(truth: Mask, mask: Mask) -> MaskError | None:
    """Find the largest region that is wrong."""
    wrong = find_error_region(truth, mask)
    if wrong is None:
        return None
    region = np.pad(wrong, 1).astype(np.uint8)
    depth = cv2.distanceTransform(region, cv2.DIST_L2, 5)[1:-1, 1:-1]
    rows, columns = np.nonzero(depth)
    points, depths = np.stack([columns, rows], 1), depth[rows, columns]
    centred = points - points.mean(0)
    axis = np.linalg.eigh(centred.T @ centred)[1][:, 1]
    along = centred @ axis
    slots = np.minimum(STROKE_POINTS * (along - along.min()) / max(float(np.ptp(along)), 1.0), STROKE_POINTS - 1)
    middle = [np.flatnonzero(slots.astype(int) == k) for k in range(STROKE_POINTS)]
    deepest = np.array([each[np.argmax(depths[each])] for each in middle if len(each)])
    places = (points + 0.5) / (mask.shape[1], mask.shape[0])
    best = int(np.argmax(depths))
    stroke = [(float(x), float(y)) for x, y in places[deepest]]
    radius = float(np.median(depths[deepest])) / mask.shape[1]
    column, row = points[best]
    return MaskError((float(places[best, 0]), float(places[best, 1])), stroke, radius, bool(truth[row, column]))


def summarize(answers: Sequence[AnnotatorAnswer], metrics: LoopMetrics) -> dict[str, float]:
    """Sum up answers. corrections: in force, as `review --report` counts them, a look. _0.7: until an IoU of 0.7."""
    count = len(answers)
    sooner = np.mean([each.find_cost(0.7) for each in answers], 0)
    return {
        "looks": count,
        "seconds": round(sum(each.seconds[-1] for each in answers) / count, 2),
        "corrections": round(metrics.corrections / count, 2),
        "accepted": round(metrics.accepted / count, 3),
        "dropped": round(sum(each.mask is None for each in answers) / count, 3),
        "seconds_0.7": round(float(sooner[0]), 2),
        "actions_0.7": round(float(sooner[1]), 2),
        "accepted_0.7": round(float(np.mean([each.ious[0] >= 0.7 for each in answers])), 3),
        "first_iou": round(float(np.mean([each.ious[0] for each in answers])), 3),
        "right": round(float(np.mean([each.ious[0] >= 0.5 for each in answers])), 3),
        "last_iou": round(float(np.mean([each.ious[-1] for each in answers])), 3),
    }
