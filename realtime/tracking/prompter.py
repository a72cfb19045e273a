"""Prompts the decoder with the gaze on the newest keyframe, and with points round it.

A fixation is decoded once a keyframe. The first decode gives a mask at once; points within the gaze's error, decoded in
idle time, show how far that mask depends on the exact point, and what else may be meant.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from engines import Decoder, Floats, MaskCandidates, Prompt
from realtime.tracking.gaze.estimate import GazeEstimate
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.motion.flow_chain import FlowChain
from realtime.tracking.prompt_box import BoxSource, PromptBox, find_mask_box
from realtime.tracking.setting_checks import check_settings
from realtime.tracking.word_search import WordSearch
from realtime.types import GazeSample, Mask

MAX_SAMPLES = 1024
"""Number of remembered samples, 2.5 s at 400 Hz: longer than a keyframe takes to encode."""


@dataclass(frozen=True, slots=True)
class PrompterSettings:
    """Settings for turning gaze into prompts.

    keyframe_gaze_s: the median of the samples within this window round a keyframe's time is the gaze in it; a frame's
        exposure and interval are about as long.
    reprompt_radii: a fixation that has moved on its object by so many error radii is decoded again.
    voters: number of points on the circle of the error radius that are prompted too, one at a time, where no box is;
        0 for none.
    least_box_confidence: the box of a recognized object of at least this score is prompted beside the point.
    memory_box: without one, the box of the shown mask, carried from an earlier keyframe, is prompted beside the point,
        if that mask is more probably right than wrong. It makes masks of single objects better where keyframes are
        young, and keeps more of the wrong ones among several; live on two full cores it gained nothing.
    """

    keyframe_gaze_s: float = 0.05
    reprompt_radii: float = 0.5
    voters: int = 4
    least_box_confidence: float = 0.25
    memory_box: bool = False

    def __post_init__(self) -> None:
        """Check every setting, and the limit of a decoder's batch."""
        check_settings(self, shares=("least_box_confidence",))
        if not 0 <= self.voters <= 7:
            raise ValueError(f"voters must be 0 to 7, got {self.voters}")


PointCandidates = tuple[tuple[float, float], MaskCandidates]
"""A point in the keyframe, px, and the decoder's candidates for it."""


@dataclass(frozen=True, slots=True, eq=False)
class PromptResult:
    """The decoder's candidates for one prompt on one keyframe.

    onset_ns: of the fixation; unused for a mask's prompt.
    sample, keyframe_px: the gaze sample, and the prompt point in the keyframe, px.
    voters: points with their own candidates, as far as they were decoded: the prompt's point with `box_px` beside it,
        if there is such a box, or else points round it.
    decode_ns: begin and end, host.
    has_box: whether the prompt has a box, beyond which no candidate reaches.
    box_px: (4,) x0 y0 x1 y1 in the keyframe, of the object that is probably meant; None without one.
    named_boxes: such boxes near the prompt that the user's word fits. named: their centres and candidates, as far as
        they were decoded.
    """

    keyframe: Keyframe
    onset_ns: int
    sample: GazeSample
    keyframe_px: tuple[float, float]
    radius_px: float
    candidates: MaskCandidates
    decode_ns: tuple[int, int]
    voters: tuple[PointCandidates, ...] = ()
    has_box: bool = False
    box_px: Floats | None = None
    named_boxes: tuple[Floats, ...] = ()
    named: tuple[PointCandidates, ...] = ()

    @property
    def all_candidates(self) -> list[PointCandidates]:
        """The candidates of the prompt and of its voters."""
        return [(self.keyframe_px, self.candidates), *self.voters]

    def area(self, index: int) -> int:
        """Count the logits inside one of the candidates."""
        return int(np.count_nonzero(self.candidates.logits[index] > 0))


def place_voter(
    point_px: tuple[float, float], radius_px: float, size: tuple[int, int], index: int, count: int
) -> tuple[float, float]:
    """Place one of `count` points on the circle of the error radius, within a picture of (width, height)."""
    angle = 0.3 + index * (2 * math.pi / count)  # not along the picture's axes, as edges often are
    x, y = point_px[0] + radius_px * math.cos(angle), point_px[1] + radius_px * math.sin(angle)
    return min(max(x, 0.0), size[0] - 1.0), min(max(y, 0.0), size[1] - 1.0)


class MaskPrompter:
    """Decodes prompts from gaze and masks, and caches the last results. One thread."""

    def __init__(
        self,
        decoder: Decoder,
        clock_ns: Callable[[], int],
        settings: PrompterSettings,
        box_source: BoxSource | None = None,
        word: WordSearch | None = None,
    ) -> None:
        self._word = word
        self._decoder, self._clock_ns, self._settings, self._box_source = decoder, clock_ns, settings, box_source
        self._recent: deque[tuple[GazeSample, float, float]] = deque(maxlen=MAX_SAMPLES)  # px of their own time
        self._answer: PromptResult | None = None
        self._mask_answer: PromptResult | None = None

    @property
    def answer(self) -> PromptResult | None:
        """The last result of a gaze prompt."""
        return self._answer

    def reset(self) -> None:
        """Forget everything, as after a change of source."""
        self._recent.clear()
        self.forget_answers()

    def forget_answers(self) -> None:
        """Drop the cached results."""
        self._answer = self._mask_answer = None

    def add_sample(self, sample: GazeSample, x: float, y: float) -> None:
        """Remember a valid sample; x and y are pixels of the frame of its own time."""
        self._recent.append((sample, x, y))

    def decode_gaze(
        self,
        estimate: GazeEstimate,
        keyframe: Keyframe,
        chain: FlowChain,
        remembered: Mask | None = None,
        *,
        has_stayed: bool = False,
        most_boxes: int | None = None,
    ) -> PromptResult:
        """Decode a fixation on a keyframe, or return the cached result while the prompt is the same.

        chain: from the newest frame to the keyframe. remembered: the mask of the fixated object in the newest frame, on
        the working grid, from an earlier keyframe. has_stayed: the gaze is on this keyframe's mask, carried: motion
        that errs a little moves the prompt of a pursuit with every frame, but the object is the same.
        most_boxes: boxes to decode at once, None for all; others are left for idle time. One that the word names is
        always decoded: its mask would flicker at every keyframe.
        """
        sample, prompt_px = self._locate_prompt(estimate, keyframe, chain)
        answer = self._answer
        if (
            answer is not None
            and answer.keyframe is keyframe
            and answer.onset_ns == estimate.onset_ns
            and (has_stayed or self._is_near(answer, prompt_px, estimate.radius_px))
        ):
            return answer
        prompt = Prompt.click(*prompt_px)
        box = self._find_box(keyframe, prompt_px, estimate.radius_px)
        if box is None and remembered is not None and self._settings.memory_box:
            box = self._limit_box(find_mask_box(remembered, chain), keyframe, prompt_px, estimate.radius_px)
        candidates, decode_ns = self._decode(keyframe, prompt)
        self._answer = PromptResult(
            keyframe, estimate.onset_ns, sample, prompt_px, estimate.radius_px, candidates, decode_ns,
            box_px=box, named_boxes=self._find_named(keyframe, prompt_px, estimate.radius_px),
        )  # fmt: skip
        count = len(self._answer.named_boxes) + 1 if most_boxes is None else most_boxes
        for _ in range(max(count, 1 if self._answer.named_boxes else 0)):
            if self.has_box_left:
                self.vote()
        return self._answer

    def _is_near(self, answer: PromptResult, prompt_px: tuple[float, float], radius_px: float) -> bool:
        return math.dist(answer.keyframe_px, prompt_px) <= self._settings.reprompt_radii * radius_px

    def _find_box(self, keyframe: Keyframe, point_px: tuple[float, float], radius_px: float) -> Floats | None:
        """Ask the source for a box to prompt beside a point; None without a confident one."""
        found = self._box_source.find_box(keyframe, point_px, radius_px) if self._box_source is not None else None
        if found is None or found.confidence < self._settings.least_box_confidence:
            return None
        return self._limit_box(found, keyframe, point_px, radius_px)

    def _find_named(self, keyframe: Keyframe, point_px: tuple[float, float], radius_px: float) -> tuple[Floats, ...]:
        """Find the boxes near a point that the user's word fits."""
        return tuple(self._word.find_near(keyframe, point_px, radius_px)) if self._word is not None else ()

    @staticmethod
    def _limit_box(
        found: PromptBox | None, keyframe: Keyframe, point_px: tuple[float, float], radius_px: float
    ) -> Floats | None:
        """Limit a box to the picture; None for one that is not round the point."""
        if found is None or not found.contains(point_px, radius_px):
            return None
        box = np.clip(np.array(found.box_px, np.float32), 0, np.array(keyframe.size * 2, np.float32) - 1)
        return box if np.isfinite(box).all() and (box[2:] > box[:2]).all() else None

    def decode_mask_prompt(
        self, prompt: Prompt, sample: GazeSample, radius_px: float, keyframe: Keyframe
    ) -> PromptResult:
        """Decode a held mask's prompt, once a keyframe.

        prompt: with its point first. sample, radius_px: of the gaze that found the object.
        """
        if self._mask_answer is None or self._mask_answer.keyframe is not keyframe:
            candidates, decode_ns = self._decode(keyframe, prompt)
            x, y = map(float, prompt.points_px[0])
            self._mask_answer = PromptResult(
                keyframe, 0, sample, (x, y), radius_px, candidates, decode_ns, has_box=True
            )
        return self._mask_answer

    def decode_point(self, answer: PromptResult) -> PromptResult:
        """Decode a result's point without the box, so that candidates may be larger."""
        candidates, decode_ns = self._decode(answer.keyframe, Prompt.click(*answer.keyframe_px))
        return replace(answer, candidates=candidates, decode_ns=decode_ns, has_box=False)

    def decode_clicks(self, prompt: Prompt, answer: PromptResult, keyframe: Keyframe) -> PromptResult:
        """Decode a user's clicks on the object of a result, or a box; `prompt` is of a keyframe that may be newer."""
        candidates, decode_ns = self._decode(keyframe, prompt)
        box = prompt.box_px
        place = prompt.points_px[int(np.argmax(prompt.labels))] if box is None else (box[:2] + box[2:]) / 2
        x, y = map(float, place)
        return replace(
            answer, keyframe=keyframe, keyframe_px=(x, y), candidates=candidates, decode_ns=decode_ns, voters=(),
            has_box=False, box_px=None, named_boxes=(), named=(),
        )  # fmt: skip

    def decode_aside(self, answer: PromptResult, point_px: tuple[float, float]) -> MaskCandidates:
        """Decode another point of a result's keyframe, without remembering it."""
        return self._decode(answer.keyframe, Prompt.click(*point_px))[0]

    def decode_box(
        self, keyframe: Keyframe, box_px: Floats
    ) -> tuple[tuple[float, float], MaskCandidates, tuple[int, int]]:
        """Decode a box alone, without remembering it; returns its middle, its candidates, and the decode's times."""
        x0, y0, x1, y1 = box_px.tolist()
        return ((x0 + x1) / 2, (y0 + y1) / 2), *self._decode(keyframe, Prompt.box(x0, y0, x1, y1))

    def clear_mask_prompt(self) -> None:
        """Drop the cached result of a held mask, as when it is released."""
        self._mask_answer = None

    def vote(self) -> bool:
        """Decode the box or the next point round the last result, in some 8 ms; False when there was nothing to do."""
        answer, count = self._answer, self._settings.voters
        if answer is None or self.has_voted:
            return False
        if len(answer.named) < len(answer.named_boxes):
            point, candidates, _ = self.decode_box(answer.keyframe, answer.named_boxes[len(answer.named)])
            self._answer = replace(answer, named=(*answer.named, (point, candidates)))
            return True
        if answer.box_px is not None:
            point = answer.keyframe_px
            candidates, _ = self._decode(answer.keyframe, replace(Prompt.click(*point), box_px=answer.box_px))
        else:
            point = place_voter(answer.keyframe_px, answer.radius_px, answer.keyframe.size, len(answer.voters), count)
            candidates = self.decode_aside(answer, point)
        self._answer = replace(answer, voters=(*answer.voters, (point, candidates)))
        return True

    @property
    def has_box_left(self) -> bool:
        """Whether the last result has a box that was not decoded yet."""
        answer = self._answer
        if answer is None:
            return False
        return (answer.box_px is not None and not answer.voters) or len(answer.named) < len(answer.named_boxes)

    @property
    def has_voted(self) -> bool:
        """Whether all points round the last result were decoded, or its box, beside which they only outvote it."""
        answer = self._answer
        if answer is None or self.has_box_left:
            return False
        return len(answer.voters) == (self._settings.voters if answer.box_px is None else 1)

    def _decode(self, keyframe: Keyframe, prompt: Prompt) -> tuple[MaskCandidates, tuple[int, int]]:
        begin_ns = self._clock_ns()
        (found,) = self._decoder.decode(keyframe.embedding, [prompt])
        return found, (begin_ns, self._clock_ns())

    def _locate_prompt(
        self, estimate: GazeEstimate, keyframe: Keyframe, chain: FlowChain
    ) -> tuple[GazeSample, tuple[float, float]]:
        """Find the fixated object in the keyframe: the sample, and the point in px.

        A fixation that began before the keyframe gives the point itself, better than optical flow, because the eyes
        follow the object. Only a later fixation is carried back by motion.
        """
        half_ns = round(self._settings.keyframe_gaze_s * 5e8)
        nearby = [
            (sample, x, y)
            for sample, x, y in self._recent
            if abs(sample.captured_ns - keyframe.captured_ns) <= half_ns and sample.captured_ns >= estimate.onset_ns
        ]
        if nearby and estimate.onset_ns <= keyframe.captured_ns:
            x, y = map(float, np.median([(x, y) for _, x, y in nearby], axis=0))
            sample = min(nearby, key=lambda item: abs(item[0].captured_ns - keyframe.captured_ns))[0]
        else:
            x, y = map(float, chain.to_then(np.array([estimate.point_px], np.float32))[0])
            sample = estimate.sample
        return sample, (min(max(x, 0.0), keyframe.size[0] - 1.0), min(max(y, 0.0), keyframe.size[1] - 1.0))
