"""Decodes the mask under the gaze on the newest keyframe, selects a candidate and carries it to the newest frame."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from engines import Floats
from realtime.tracking.dwell.mask_points import is_near
from realtime.tracking.gaze.estimate import GazeEstimate
from realtime.tracking.hypotheses import Hypothesis, keyframe_masks, make_hypotheses, rank_levels
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.mask_selection import Belief, SelectionSettings, discount, update_belief
from realtime.tracking.motion.optical_flow import FlowHistory
from realtime.tracking.prompter import MaskPrompter, PromptResult
from realtime.tracking.tracked_mask import MaskProvenance, TrackedMask
from realtime.tracking.whole_object import find_addition, has_neighbour, is_nested
from realtime.tracking.word_search import REACH_RADII, WordSearch
from realtime.types import Frame, Mask

NAMED_SCORE = 0.05
"""Of a mask that the user's word fits; half of the least score of a box that is searched for a word."""
MIN_RECALLED_CONFIDENCE = 0.5
"""Of a shown mask whose box may be prompted on the next keyframe: the box of a wrong one would keep it wrong."""


class GazeMaskDecoder:
    """Turns a gaze estimate and a keyframe into a `TrackedMask` of the newest frame. One thread.

    level: granularity of the last selected candidate, 0 part to 2 whole; None before, or from a decoder without levels.
    """

    def __init__(
        self, prompter: MaskPrompter, motion: FlowHistory, settings: SelectionSettings, word: WordSearch
    ) -> None:
        self._prompter, self._motion, self._settings, self._word = prompter, motion, settings, word
        self.reset()

    def reset(self) -> None:
        """Forget everything, as after a change of source."""
        self.level: int | None = None
        self._judged: PromptResult | None = None
        self._prior: Belief | None = None  # with which `_judged` was judged
        self._belief: Belief | None = None
        self._averaged: tuple[Hypothesis, Hypothesis] | None = None  # the last best one before and after averaging
        self._moved: list[Floats] = []  # motion before the keyframe of `_judged`
        self._since: Floats | None = None  # from it back to the keyframe of `_prior`
        self._named_onset_ns: int | None = None  # of the fixation in which the user's word fitted last
        self._level_key: tuple[object, ...] | None = None  # what `_level_index` was found for
        self._level_index: int | None = None

    def decode(
        self,
        frame: Frame,
        estimate: GazeEstimate,
        warped: TrackedMask | None,
        keyframe: Keyframe | None,
        *,
        fixed_level: int | None,
        is_level_chosen: bool,
        interval_ns: float,
        most_boxes: int | None,
    ) -> TrackedMask | None:
        """Decode the object under a fixation; None for other eye movements or without a usable keyframe.

        warped: the shown mask in the newest frame. fixed_level: its granularity, which the user chose
        (`is_level_chosen`) or a long fixation stepped to; such a step may not take in a neighbour.
        interval_ns: between two frames, 0 while unknown. most_boxes: see `MaskPrompter.decode_gaze`.
        """
        chain = self._motion.chain(keyframe.index) if keyframe is not None else None
        if keyframe is None or chain is None or not estimate.is_steady or not is_inside(estimate.point_px, frame):
            return None
        # After a saccade to another object, the memory of the shown one would only delay the switch.
        reach_px = self._measure_reach(estimate, warped)
        if warped is not None and not is_near(warped.mask, frame.size, estimate.point_px, reach_px):
            warped = None
        shown_on = warped.provenance.keyframe if warped is not None else None
        recalled = self._recall_mask(warped, keyframe)
        answer = self._prompter.decode_gaze(
            estimate, keyframe, chain, recalled, has_stayed=shown_on is keyframe, most_boxes=most_boxes
        )
        belief = self._judge(answer, warped.belief if warped is not None else None, interval_ns)
        found = belief.hypotheses[0]
        candidates, index, confidence = found.candidates, found.index, belief.confidence
        self.level = found.level
        self._named_onset_ns = estimate.onset_ns if found.word >= NAMED_SCORE else None
        if fixed_level is not None and warped is not None:
            at = self._find_level(answer, fixed_level, None if is_level_chosen else found.mask)
            if at is not None:
                candidates, index, self.level = answer.candidates, at, fixed_level
        if warped is not None and warped.is_of(candidates, index):
            logits = warped.logits  # already here
        else:
            logits = chain.warp_logits(candidates.logits[index : index + 1], candidates.letterbox)[0]
        x, y = chain.to_now(np.array([answer.keyframe_px], np.float32))[0]
        provenance = MaskProvenance(
            keyframe, answer.sample, (float(x), float(y)), estimate.radius_px,
            float(np.clip(candidates.predicted_iou[index], 0, 1)), confidence, answer.decode_ns,
        )  # fmt: skip
        if candidates is not answer.candidates:
            is_boxed = self._is_boxed(found)
            answer = replace(answer, candidates=candidates, keyframe_px=found.point_px, has_box=is_boxed)
        return TrackedMask(logits, provenance, answer, index, belief)

    def forget_answers(self) -> None:
        """Forget what the user's word fitted, as after a change of the word."""
        self._named_onset_ns = None

    @property
    def is_named(self) -> bool:
        """Whether the user's word fits the last selected mask."""
        return self._named_onset_ns is not None

    def extend_reach(self, estimate: GazeEstimate | None, warped: TrackedMask | None) -> GazeEstimate | None:
        """Extend the error radius to a shown mask that was found by the word in the present fixation.

        Such a mask may lie far from a gaze with an error; it is not left before the next saccade.
        """
        return None if estimate is None else replace(estimate, radius_px=self._measure_reach(estimate, warped))

    def _measure_reach(self, estimate: GazeEstimate, warped: TrackedMask | None) -> float:
        is_found = warped is not None and warped.prompt_result.onset_ns == estimate.onset_ns == self._named_onset_ns
        return estimate.radius_px * (REACH_RADII if is_found else 1.0)

    def _is_boxed(self, found: Hypothesis) -> bool:
        """Return whether a box was prompted for a hypothesis of the last judged result."""
        judged = self._judged
        if judged is None:
            return False
        has_box = judged.box_px is not None and found.prompt_index == 1
        return has_box or found.prompt_index >= len(judged.all_candidates)

    def _recall_mask(self, warped: TrackedMask | None, keyframe: Keyframe) -> Mask | None:
        """Recall the shown mask of an earlier keyframe, if it is more probably right than wrong."""
        if warped is None or warped.provenance.keyframe.index >= keyframe.index:
            return None
        chain = self._motion.chain(warped.provenance.keyframe.index)
        trust = chain.trust_in(warped.mask) if chain is not None else 0.0
        is_probable = discount(warped.provenance.confidence, trust) >= MIN_RECALLED_CONFIDENCE
        return warped.mask if is_probable else None

    @property
    def is_undecided(self) -> bool:
        """Whether more points could change which hypothesis of the last result is the best."""
        return self._belief is None or float(self._belief.probabilities[0]) < self._settings.decided

    def judge_again(self) -> None:
        """Renew the belief about the last result, now that its voters are known."""
        answer = self._prompter.answer
        if answer is not None and self._judged is not None and answer.candidates is self._judged.candidates:
            self._update_belief(answer)

    def _update_belief(self, answer: PromptResult) -> Belief:
        hypotheses = make_hypotheses(
            answer.all_candidates, answer.keyframe_px, self._settings.gaze_radii * answer.radius_px, self._moved,
            named=answer.named,
            score_word=partial(self._word.score_masks, answer.keyframe) if self._word.is_active else None,
        )  # fmt: skip
        self._judged = answer
        belief = update_belief(answer.keyframe, hypotheses, self._settings, self._prior, self._since)
        self._belief = replace(belief, hypotheses=(self._average(belief.hypotheses[0]), *belief.hypotheses[1:]))
        return self._belief

    def _average(self, best: Hypothesis) -> Hypothesis:
        """Average the candidates of the best hypothesis; later votes for the same one change its mask no more."""
        before = self._averaged
        if before is None or before[0].candidates is not best.candidates or before[0].index != best.index:
            self._averaged = before = best, best.average()
        return replace(best, candidates=before[1].candidates)

    def _measure_motion(self, index: int, interval_ns: float) -> None:
        """Measure the motion before a keyframe, over each time of the settings and since the prior's keyframe."""
        times_s = self._settings.fate_s if interval_ns and self._settings.fate else ()
        counts = [max(1, round(seconds * 1e9 / interval_ns)) for seconds in times_s]
        earlier = [each for count in counts if (each := self._motion.index_before(index, count)) is not None]
        prior = [] if self._prior is None else [self._prior.keyframe.index]
        found = self._motion.trace_back(index, [*earlier, *prior])
        self._moved = [each for each in found[: len(earlier)] if each is not None]
        self._since = found[-1] if prior else None

    def _find_level(self, answer: PromptResult, level: int, core: Mask | None) -> int | None:
        """Find the candidate of a level; None without one.

        core: the freely selected mask, if the candidate must be of the same object: a part of it, or a whole round it
        that adds no neighbour.
        """
        key = (answer.candidates, level, core)
        if self._level_key is not None and all(a is b for a, b in zip(self._level_key, key, strict=True)):
            return self._level_index
        masks = keyframe_masks(answer.candidates)
        levels = rank_levels(masks)
        index = levels.index(level) if level in levels else None
        if index is not None and core is not None and not is_nested(masks[index], core):
            index = None
        if index is not None and core is not None and (point := find_addition(masks[index], core)) is not None:
            box, (height, width) = answer.candidates.letterbox, core.shape
            x, y = (point[0] + 0.5) * box.width / width - 0.5, (point[1] + 0.5) * box.height / height - 0.5
            other = self._prompter.decode_aside(answer, (x, y))
            index = None if has_neighbour(other, masks[index], core) else index
        self._level_key, self._level_index = key, index
        return index

    def follow(self, belief: Belief) -> None:
        """Follow a hypothesis that the user chose, from the next frame on."""
        if self._belief is not None and self._belief.keyframe is belief.keyframe:
            self._belief = self._prior = belief
            self._since = self._motion.trace_back(belief.keyframe.index, [belief.keyframe.index])[0]

    def _judge(self, answer: PromptResult, prior: Belief | None, interval_ns: float) -> Belief:
        """Compute the belief about a result, or return the one computed already."""
        if self._belief is not None and self._judged is not None and self._judged.candidates is answer.candidates:
            return self._belief
        self._prior = prior
        self._measure_motion(answer.keyframe.index, interval_ns)
        return self._update_belief(answer)


def is_inside(point_px: tuple[float, float], frame: Frame) -> bool:
    """Return whether a point lies inside the frame."""
    return all(-0.5 <= place < side - 0.5 for place, side in zip(point_px, frame.size, strict=True))
