"""Lets the user steer what the eyes choose: part and whole, other masks, hold, corrections, confirmation, a word.

The tracker's thread executes commands between two frames; no clock is read but through the tracker's, so that a
recording replays exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engines import MaskCandidates
from engines.recognition.base import WordQuery
from realtime.errors import CommandRejected
from realtime.tracking.correction_prompt import Box
from realtime.tracking.external_objects import ExternalObjects
from realtime.tracking.gaze.estimate import GazeEstimate
from realtime.tracking.hypotheses import rank_levels
from realtime.tracking.mask_corrector import Candidate, MaskCorrector
from realtime.tracking.mask_decoding import GazeMaskDecoder
from realtime.tracking.mask_selection import Belief
from realtime.tracking.motion.optical_flow import FlowHistory
from realtime.tracking.object_confirmation import ObjectConfirmer
from realtime.tracking.prompter import MaskPrompter
from realtime.tracking.shown_mask import ShownMask
from realtime.tracking.tracked_mask import TrackedMask
from realtime.tracking.tracker_context import TrackerContext
from realtime.tracking.word_decoding import WordMaskDecoder
from realtime.tracking.word_search import WordSearch
from realtime.types import Click, ConfirmationMeans

GROWN = 1.05
"""A step goes to a mask whose area differs by this factor, because SAM often offers the same mask twice."""


def find_next_level(candidates: MaskCandidates, area: int, step: int) -> tuple[int, int] | None:
    """Find candidate and level of the next mask that is smaller (step -1) or larger (1) than an area.

    area: in logits, as `PromptResult.area`. Without such a mask, the smallest or largest; None from a decoder that
    offers only one mask.
    """
    masks = candidates.logits > 0
    areas = [int(np.count_nonzero(mask)) for mask in masks]
    ranked = sorted((level, k) for k, level in enumerate(rank_levels(masks)) if level is not None)
    if not ranked:
        return None
    if step > 0:
        found = [(k, level) for level, k in ranked if areas[k] >= GROWN * area]
        return found[0] if found else ranked[-1][::-1]
    found = [(k, level) for level, k in ranked if areas[k] * GROWN <= area]
    return found[-1] if found else ranked[0][::-1]


class UserControl:
    """Executes a user's commands on the shown object, and keeps what they leave in force. One thread.

    Every command acts from the next frame on.

    is_held: the shown object stays, independently of the gaze.
    """

    def __init__(
        self,
        context: TrackerContext,
        motion: FlowHistory,
        prompter: MaskPrompter,
        word: WordSearch,
        decoder: GazeMaskDecoder,
        word_decoder: WordMaskDecoder,
        shown: ShownMask,
        corrector: MaskCorrector,
        confirmer: ObjectConfirmer,
    ) -> None:
        self._context, self._motion, self._prompter, self._word = context, motion, prompter, word
        self._decoder, self._word_decoder, self._shown = decoder, word_decoder, shown
        self._corrector, self._confirmer = corrector, confirmer
        self.reset()

    def reset(self) -> None:
        """Take back a hold, a choice and a `clear`, as after a change of source."""
        self.is_held = False
        self._cleared_ns: int | None = None
        # What to show in place of the present mask, and what may be meant; the latter is None after a part or whole.
        self._chosen: tuple[Candidate, Belief | None] | None = None

    # -- commands -----------------------------------------------------------------------------------------------------

    def step_level(self, step: int) -> None:
        """Show a smaller (-1) or larger (1) mask of the shown object, while it is shown.

        Another object is chosen freely again. Does nothing while no object is shown.
        """
        shown = self._shown.mask
        if shown is None:
            return
        current, at = self._chosen[0] if self._chosen is not None else (shown.prompt_result, shown.index)
        answer = self._prompter.decode_point(current) if current.has_box else current
        found = find_next_level(answer.candidates, current.area(at), step)
        if found is not None:
            index, level = found
            self._shown.fixed_level, self._shown.is_level_chosen = level, True
            self._shown.dwell.set_level(level)
            self._choose((answer, index), None)

    def step_alternative(self, step: int) -> int:
        """Show the next (1) or previous (-1) mask that may be meant, most probable first, while its object is shown.

        Without gaze that is the next object that the word fits.
        Returns the object's id; raises `CommandRejected` when nothing is shown, or there is no other mask.
        """
        shown, now_ns = self._shown.mask, self._context.now_ns
        if shown is None:
            raise CommandRejected("nothing is on show")
        if shown.provenance.prompt == "word" and now_ns is not None:
            self._word_decoder.step_region(step, now_ns)
            return self._shown.dwell.shown_id
        found = shown.belief.find_alternative(step) if shown.belief is not None else None
        if shown.belief is None or found is None:
            raise CommandRejected("there is no other mask that may be meant")
        belief = shown.belief.choose(found)
        chosen = belief.hypotheses[0]
        answer = replace(
            shown.prompt_result, keyframe=belief.keyframe, candidates=chosen.candidates, keyframe_px=chosen.point_px,
            has_box=False,
        )  # fmt: skip
        self._decoder.follow(belief)
        self._free_level()
        self._choose((answer, chosen.index), belief)
        return self._shown.dwell.shown_id

    def hold(self, on: bool, object_id: int | None = None) -> int:
        """Keep the shown object independently of the gaze, or follow the gaze again; returns its id, or the last one's.

        An object that is lost, by a cut or outside the picture, is released. Raises `CommandRejected` when nothing is
        shown, or another object than `object_id`.
        """
        shown = self._shown.check_shown(object_id) if on else self._shown.dwell.shown_id
        self._prompter.clear_mask_prompt()
        self.is_held = on
        return shown

    def correct(
        self, clicks: Sequence[Click], frame_index: int | None = None, object_id: int | None = None,
        box: Box | None = None,
    ) -> int:  # fmt: skip
        """Correct the shown mask by clicks on the object or the background, and return the object's id.

        They stay in force while the object is shown, and are carried with the picture. frame_index: the frame in whose
        pixels they are; None: the newest. box: x0, y0, x1, y1 there, in place of clicks: begin anew with the object in
        it. Raises `CommandRejected` when nothing is shown, or another object than `object_id`, or where the frame is
        not known any more.
        """
        shown_id = self._shown.check_shown(object_id)
        where = frame_index, self._shown.mask, shown_id, self._context.keyframe
        corrector = self._corrector
        self._show_corrected(corrector.correct_by_box(box, *where) if box else corrector.correct(clicks, *where))
        return shown_id

    def undo_correction(self, *, is_all: bool = False) -> int:
        """Take back the last clicks on the shown object, or all of them, and return its id.

        Without any left, the gaze selects its mask again. Raises `CommandRejected` without a correction.
        """
        shown_id = self._shown.check_shown(None)
        self._show_corrected(self._corrector.undo(self._shown.mask, self._context.keyframe, is_all=is_all))
        return shown_id

    def confirm(
        self, by: ConfirmationMeans = "request", object_id: int | None = None, seen_ns: int | None = None
    ) -> int:
        """Confirm the shown object, and return its id; its masks are `confirmed`.

        It stays so until it is lost, another object or another of its masks is shown, or another confirmation follows.
        seen_ns: capture of the frame in which the wearer confirms; None: now. Raises `CommandRejected` when nothing
        is shown, or another object than `object_id`, or nothing was shown in that frame yet.
        """
        shown = self._shown.check_shown(object_id)
        self._confirmer.confirm(by, self._context.read_now(), seen_ns)
        return shown

    def clear(self) -> None:
        """Show nothing until a new fixation begins, and drop the word; the present fixation does not count."""
        self.set_word(None)
        self.reset()
        self._cleared_ns = self._context.now_ns
        self._corrector.reset()
        self._shown.clear()
        self._decoder.level = None

    def set_word(self, query: WordQuery | None, seconds: float | None = None) -> None:
        """Search for a word beside the gaze, or for none; seconds: for how long.

        query: as the recognizer of the keyframes encoded it.
        """
        self._word.set_query(query, seconds)
        for part in (self._prompter, self._word_decoder, self._decoder):
            part.forget_answers()
        self._shown.dwell.release_gaze()

    def add_external_objects(self, known: ExternalObjects) -> list[int | None]:
        """Remember objects that other programs found; returns their ids, None where the motion to now is unknown."""
        context = self._context
        is_old = context.is_before_restart(known.frame.received_ns)
        chain = None if is_old else self._motion.chain(known.frame.index)
        if context.frame is None or context.now_ns is None or chain is None:
            return [None] * len(known.mask_points)
        placed = known.carry(chain)
        inside = [points for points in placed if points is not None]
        ids = iter(self._shown.dwell.add_objects(inside, context.frame.size, context.now_ns))
        return [None if points is None else next(ids) for points in placed]

    def _show_corrected(self, candidate: Candidate) -> None:
        self._free_level()
        self._choose(candidate, None)

    def _free_level(self) -> None:
        self._shown.fixed_level = None
        self._shown.dwell.set_level(None)

    def _choose(self, candidate: Candidate, belief: Belief | None) -> None:
        """Show another mask; a confirmation was of the present one."""
        self._confirmer.revoke()
        self._chosen = candidate, belief

    # -- what is in force ---------------------------------------------------------------------------------------------

    def replace_mask(self, carried: TrackedMask | None) -> TrackedMask | None:
        """Replace the shown mask, carried to the newest frame, by one that was chosen since the last frame."""
        chosen, self._chosen = self._chosen, None
        if carried is None or chosen is None:
            return carried
        candidate, belief = chosen
        chain = self._motion.chain(candidate[0].keyframe.index)
        return carried if chain is None else carried.with_candidate(*candidate, chain, belief)

    def is_cleared(self, estimate: GazeEstimate) -> bool:
        """Return whether an eye movement had begun when the user cleared the result, so that it does not count."""
        return self._cleared_ns is not None and estimate.onset_ns <= self._cleared_ns
