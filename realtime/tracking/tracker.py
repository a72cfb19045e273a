"""Tracks the fixated object: frames, gaze samples and keyframes in, its mask in the newest frame out.

    1. `motion`: optical flow from the frame before; remembered points and masks move along with the picture
    2. `gaze`: every sample passes the filter, which estimates the eye movement and its point in this frame
    3. `prompter`: the gaze at the newest keyframe's time prompts the decoder; after a saccade since then, the present
       point is carried back by the motion between
    4. `mask_decoding`: of the candidates, the one that agrees with the shown mask is carried to this frame
    5. `shown_mask`: dwell decides whether it is the same object, another one, or whether the last mask is kept
    6. `mask_preview`: while no keyframe shows the object, motion and colours of the newest frames do

One thread, no sockets, no clock of its own: the same inputs give the same results. Commands of the
user between two frames (`step_level`, `step_alternative`, `hold`, `clear`) override the gaze, see `user_overrides`;
`correct` changes the shown mask, see `mask_corrector`; `confirm` tells subscribers that the shown object is meant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from engines import Decoder
from engines.recognition.base import WordQuery
from realtime.errors import CommandRejected
from realtime.tracking.correction_prompt import Box
from realtime.tracking.dwell.mask_points import map_together
from realtime.tracking.gaze.estimate import GazeEstimate
from realtime.tracking.gaze.gaze_filter import GazeFilter
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.keyframe_selection import KeyframeSelector
from realtime.tracking.mask_carrier import MaskCarrier
from realtime.tracking.mask_corrector import MaskCorrector
from realtime.tracking.mask_decoding import GazeMaskDecoder
from realtime.tracking.mask_preview import MaskPreviewer
from realtime.tracking.mask_refinement import MaskRefiner
from realtime.tracking.mask_selection import Belief
from realtime.tracking.motion.flow_chain import FlowChain
from realtime.tracking.motion.optical_flow import FlowHistory
from realtime.tracking.object_confirmation import ObjectConfirmer
from realtime.tracking.object_names import ObjectNamer
from realtime.tracking.prompter import MaskPrompter, PromptResult
from realtime.tracking.recognition_memory import RecognitionMemory
from realtime.tracking.settings import TrackerOutput, TrackerSettings
from realtime.tracking.shown_mask import ShownMask
from realtime.tracking.tracked_mask import TrackedMask
from realtime.tracking.user_overrides import ExternalObjects, UserOverrides, find_next_level
from realtime.tracking.word_decoding import WordMaskDecoder
from realtime.tracking.word_search import WordSearch
from realtime.types import Click, ConfirmationMeans, Frame, GazeSample, MaskResult

__all__ = ["Tracker", "TrackerOutput", "TrackerSettings"]


class Tracker:
    """Tracks the fixated object from frame to frame. One thread."""

    def __init__(
        self,
        decoder: Decoder,
        clock_ns: Callable[[], int],
        settings: TrackerSettings | None = None,
        *,
        frame_time: bool = False,
    ) -> None:
        """Begin without any object.

        clock_ns: the host's clock. frame_time: now is the frame's own time, as for a clip played at any speed.
        """
        self._clock_ns, self._frame_time = clock_ns, frame_time
        self._settings = use = settings or TrackerSettings()
        self._motion = FlowHistory(use.motion)
        self._selector = KeyframeSelector(use.keyframes)
        self._gaze = GazeFilter(use.gaze)
        self._recognized = RecognitionMemory(self._motion)
        self._namer = ObjectNamer(self._recognized)
        self._word = WordSearch(self._recognized)
        self._prompter = MaskPrompter(decoder, clock_ns, use.prompter, self._recognized, self._word)
        self._decoder = GazeMaskDecoder(self._prompter, self._motion, use.choice, self._word)
        self._word_decoder = WordMaskDecoder(self._prompter, self._motion, self._word, use.word.alone_s)
        self._carrier = MaskCarrier(self._motion, use.carry)
        self._refiner = MaskRefiner(clock_ns, use.clean, use.frame_share, hurry=not frame_time)
        self._shown = ShownMask(clock_ns, use, self._motion, self._refiner)
        self._previewer = MaskPreviewer(clock_ns, use.preview, self._motion, use.dwell)
        self._confirmer = ObjectConfirmer(use.dwell.confirm_s)
        self._corrector = MaskCorrector(self._prompter, self._motion)
        self._overrides = UserOverrides()
        self._frame: Frame | None = None
        self._keyframe: Keyframe | None = None
        self._now_ns: int | None = None
        self._restarted_ns: int | None = None  # when the source last began anew

    def should_encode(self, frame: Frame) -> bool:
        """Return whether the newest frame is worth encoding when the encoder is free; call it before its `step`.

        Its picture differs from the newest keyframe's, or that is so old that soon no chain will reach it. The encoder
        can then begin while the frame is tracked.
        """
        newest = self._keyframe.index if self._keyframe is not None else None
        if self._has_restarted(frame):
            self._selector.reset()
            newest = None
        changed = self._selector.should_encode(frame.index, self._motion.load(frame), newest)
        return changed or newest is None or frame.index - newest > self._settings.motion.ring // 2

    def step(self, frame: Frame, samples: Sequence[GazeSample], keyframe: Keyframe | None) -> TrackerOutput:
        """Process the newest frame, every gaze sample since the last one, and the newest keyframe if there is one."""
        if self._has_restarted(frame):
            self._restart()
            self._restarted_ns = frame.received_ns
        before, self._frame = self._frame, frame
        self._refiner.observe_frame(before, frame)
        self._motion.push(frame)
        self._accept_keyframe(keyframe)
        since = self._motion.chain(before.index) if before is not None else None
        self._filter_gaze(samples, frame)
        if since is not None and before is not None:
            self._gaze.move(since.map_points, before.captured_ns, frame.captured_ns)
            self._shown.dwell.move(since.map_points)
            self._corrector.move(since.map_points)
        self._now_ns = frame.captured_ns if self._frame_time else self._clock_ns()
        if self._word.expire(self._now_ns):
            self.set_word(None)
        estimate = pointer = self._estimate_gaze(self._now_ns)
        warped = self._warp_shown(since)
        if self._is_kept(estimate, warped, frame):
            decoded = self._redecode(warped, self._keyframe, frame)
        elif self._word_decoder.is_alone(estimate, frame, self._now_ns):
            estimate = None
            decoded, pointer = self._word_decoder.decode(warped, self._keyframe, self._now_ns)
        else:
            pointer = self._decoder.extend_reach(estimate, warped)
            decoded = self._decode(frame, estimate, warped, most_boxes=None if self._frame_time else 0)
        warped, decoded = self._carrier.carry(warped, decoded)
        result = self._shown.update(
            self._now_ns, frame, pointer, decoded, warped, level=self._decoder.level,
            is_broken=before is not None and since is None, is_held=self._overrides.is_held,
            is_meant=self._confirmer.confirmation is not None or self._decoder.is_named,
        )  # fmt: skip
        result = self._describe(result, frame)
        if self._shown.mask is None:
            self._overrides = replace(self._overrides, is_held=False)
        origin = self._shown.provenance
        preview = None if self._overrides.is_held else self._previewer.preview(
            frame, self._now_ns, estimate, self._shown.mask, result, is_decoded=decoded is not None,
            interval_ns=self._refiner.interval_ns,
        )  # fmt: skip
        output = TrackerOutput(None, speed=self._motion.speed, word=self._word.describe(self._keyframe))
        if preview is not None and estimate is not None:
            times_ns = estimate.sample.captured_ns, frame.captured_ns
            return replace(output, result=preview, gaze_captured_ns=times_ns[0], keyframe_captured_ns=times_ns[1])
        if result is None or origin is None:
            return output
        times_ns = origin.sample.captured_ns, origin.keyframe.captured_ns
        return replace(output, result=result, gaze_captured_ns=times_ns[0], keyframe_captured_ns=times_ns[1])

    def _describe(self, result: MaskResult | None, frame: Frame) -> MaskResult | None:
        """Add the name of the shown object, how well the word fits it, whether it is confirmed, and corrections."""
        assert self._now_ns is not None
        shown, confirmed = self._shown.mask, self._confirmer.update(result, frame.captured_ns, self._now_ns)
        corrected = self._corrector.update(result)
        if result is None or shown is None:
            return result
        label = self._namer.name_object(result.object, shown)
        word = self._word.score_candidate(shown.provenance.keyframe, shown.prompt_result.candidates, shown.index)
        return replace(result, label=label, confirmed=confirmed, word=word, corrected=corrected)

    def prepare(self, keyframe: Keyframe) -> None:
        """Accept a new keyframe between two frames, decode the current fixation on it, and bring the mask to now."""
        self._accept_keyframe(keyframe)
        if self._keyframe is not keyframe or self._now_ns is None or self._frame is None:
            return
        estimate, shown = self._estimate_gaze(self._now_ns), self._shown.mask
        if self._is_kept(estimate, shown, self._frame):
            self._redecode(shown, keyframe, self._frame)
            return
        if self._word_decoder.is_alone(estimate, self._frame, self._now_ns):
            decoded, _ = self._word_decoder.decode(shown, keyframe, self._now_ns)
        else:
            decoded = self._decode(self._frame, estimate, shown, most_boxes=None if self._frame_time else 1)
        self._carrier.carry(None, decoded)

    def refine(self) -> bool:
        """Prompt one point round the last decode, for the frames to come, when there is time; False without need."""
        is_boxed = self._prompter.has_box_left
        if (
            self._overrides.is_held
            or self._corrector.is_active
            or not (is_boxed or self._decoder.is_undecided)
            or not self._prompter.vote()
        ):
            return False
        if (is_boxed and not self._prompter.has_box_left) or self._prompter.has_voted:
            self._decoder.judge_again()  # once for all boxes: judging takes as long as decoding one
        return True

    @property
    def belief(self) -> Belief | None:
        """What may be meant by the shown mask, as it was selected; None where nothing is shown or it is not known."""
        return self._shown.mask.belief if self._shown.mask is not None else None

    # -- user commands ------------------------------------------------------------------------------------------------

    def step_level(self, step: int) -> None:
        """Show a smaller (-1) or larger (1) mask of the shown object, from the next frame on and while it is shown.

        Another object is chosen freely again. Does nothing while no object is shown.
        """
        shown = self._shown.mask
        if shown is None:
            return
        current, at = self._overrides.candidate or (shown.prompt_result, shown.index)
        answer = self._prompter.decode_point(current) if current.has_box else current
        found = find_next_level(answer.candidates, current.area(at), step)
        if found is not None:
            index, level = found
            self._shown.fixed_level, self._shown.is_level_chosen = level, True
            self._shown.dwell.set_level(level)
            self._choose_candidate(answer, index, None)

    def step_alternative(self, step: int) -> int:
        """Show the next (1) or previous (-1) mask that may be meant, most probable first, while its object is shown.

        Without gaze that is the next object that the word fits.
        Returns the object's id; raises `CommandRejected` when nothing is shown, or there is no other mask.
        """
        shown = self._shown.mask
        if shown is None:
            raise CommandRejected("nothing is on show")
        if shown.provenance.prompt == "word" and self._now_ns is not None:
            self._word_decoder.step_region(step, self._now_ns)
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
        self._shown.fixed_level = None
        self._shown.dwell.set_level(None)
        self._choose_candidate(answer, chosen.index, belief)
        return self._shown.dwell.shown_id

    def hold(self, on: bool, object_id: int | None = None) -> int:
        """Keep the shown object independently of the gaze, or follow the gaze again; returns its id, or the last one's.

        An object that is lost, by a cut or outside the picture, is released. Raises `CommandRejected` when nothing is
        shown, or another object than `object_id`.
        """
        shown = self._shown.check_shown(object_id) if on else self._shown.dwell.shown_id
        self._prompter.clear_mask_prompt()
        self._overrides = replace(self._overrides, is_held=on)
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
        where = frame_index, self._shown.mask, shown_id, self._keyframe
        corrector = self._corrector
        self._show_corrected(corrector.correct_by_box(box, *where) if box else corrector.correct(clicks, *where))
        return shown_id

    def undo_correction(self, *, is_all: bool = False) -> int:
        """Take back the last clicks on the shown object, or all of them, and return its id.

        Without any left, the gaze selects its mask again. Raises `CommandRejected` without a correction.
        """
        shown_id = self._shown.check_shown(None)
        self._show_corrected(self._corrector.undo(self._shown.mask, self._keyframe, is_all=is_all))
        return shown_id

    def _show_corrected(self, candidate: tuple[PromptResult, int]) -> None:
        self._shown.fixed_level = None
        self._shown.dwell.set_level(None)
        self._choose_candidate(*candidate, None)

    def confirm(
        self, by: ConfirmationMeans = "request", object_id: int | None = None, seen_ns: int | None = None
    ) -> int:
        """Confirm the shown object, and return its id; its masks are `confirmed` from the next frame on.

        It stays so until it is lost, another object or another of its masks is shown, or another confirmation follows.
        seen_ns: capture of the frame in which the wearer confirms; None: now. Raises `CommandRejected` when nothing
        is shown, or another object than `object_id`, or nothing was shown in that frame yet.
        """
        shown = self._shown.check_shown(object_id)
        now_ns = self._now_ns if self._frame_time and self._now_ns is not None else self._clock_ns()
        self._confirmer.confirm(by, now_ns, seen_ns)
        return shown

    def _choose_candidate(self, answer: PromptResult, index: int, belief: Belief | None) -> None:
        """Show another mask from the next frame on; a confirmation was of the present one."""
        self._confirmer.revoke()
        self._overrides = replace(self._overrides, candidate=(answer, index), belief=belief)

    def clear(self) -> None:
        """Show nothing until a new fixation begins, and drop the word; the present fixation does not count."""
        self.set_word(None)
        self._overrides = UserOverrides(cleared_ns=self._now_ns)
        self._corrector.reset()
        self._shown.clear()
        self._decoder.level = None

    def set_word(self, query: WordQuery | None, seconds: float | None = None) -> None:
        """Search for a word beside the gaze from the next frame on, or for none; seconds: for how long.

        query: as the recognizer of the keyframes encoded it.
        """
        self._word.set_query(query, seconds)
        for part in (self._prompter, self._word_decoder, self._decoder):
            part.forget_answers()
        self._shown.dwell.release_gaze()

    def add_external_objects(self, known: ExternalObjects) -> list[int | None]:
        """Remember objects that other programs found; returns their ids, None where the motion to now is unknown."""
        is_old = self._is_before_restart(known.frame.received_ns)
        chain = None if is_old else self._motion.chain(known.frame.index)
        if self._frame is None or self._now_ns is None or chain is None:
            return [None] * len(known.mask_points)
        moved = iter(map_together([points for points in known.mask_points if points is not None], chain.map_points))
        placed = [None if points is None else next(moved) for points in known.mask_points]
        inside = [points for points in placed if points is not None]
        ids = iter(self._shown.dwell.add_objects(inside, self._frame.size, self._now_ns))
        return [None if points is None else next(ids) for points in placed]

    # -- 1. motion and keyframes --------------------------------------------------------------------------------------

    def _has_restarted(self, frame: Frame) -> bool:
        """Return whether the device counts from the start again or sends another size, so that memory is useless."""
        return self._frame is not None and (frame.index <= self._frame.index or frame.size != self._frame.size)

    def _restart(self) -> None:
        for part in (
            self._motion, self._gaze, self._recognized, self._prompter, self._decoder, self._carrier,
            self._word_decoder, self._corrector,
        ):  # fmt: skip
            part.reset()
        self._shown.restart()
        self._confirmer.reset()
        self._frame = self._keyframe = None
        self._overrides = UserOverrides()

    def _is_before_restart(self, received_ns: int) -> bool:
        return self._restarted_ns is not None and received_ns < self._restarted_ns

    def _accept_keyframe(self, keyframe: Keyframe | None) -> None:
        if keyframe is not None and not self._is_before_restart(keyframe.received_ns):
            self._keyframe = keyframe
            self._recognized.find_recognition(keyframe)

    def _warp_shown(self, since: FlowChain | None) -> TrackedMask | None:
        """Carry the shown mask, or the candidate chosen in its place, to the newest frame."""
        chosen, belief = self._overrides.candidate, self._overrides.belief
        self._overrides = replace(self._overrides, candidate=None, belief=None)
        if self._shown.mask is None or since is None:
            return None
        warped = self._shown.mask.warp(since)
        chain = self._motion.chain(chosen[0].keyframe.index) if chosen is not None else None
        return warped if chosen is None or chain is None else warped.with_candidate(*chosen, chain, belief)

    # -- 2. gaze, 3. and 4. decoding ----------------------------------------------------------------------------------

    def _filter_gaze(self, samples: Sequence[GazeSample], frame: Frame) -> None:
        for sample in samples:
            x, y = sample.to_px(frame.size)
            self._gaze.update(sample, (x, y), frame.size, sample.px_per_degree)
            if sample.confidence >= self._settings.gaze.min_confidence and math.isfinite(x + y):
                self._prompter.add_sample(sample, x, y)

    def _estimate_gaze(self, now_ns: int) -> GazeEstimate | None:
        """Estimate the eye movement, unless it began before the user cleared the result."""
        estimate = self._gaze.estimate(now_ns)
        return None if estimate is None or self._overrides.is_cleared(estimate.onset_ns) else estimate

    def _is_kept(self, estimate: GazeEstimate | None, shown: TrackedMask | None, frame: Frame) -> bool:
        """Return whether the shown mask is followed in place of the gaze: the user holds it, or has corrected it."""
        return self._overrides.is_held or self._corrector.should_keep(estimate, shown, frame.size)

    def _redecode(self, shown: TrackedMask | None, keyframe: Keyframe | None, frame: Frame) -> TrackedMask | None:
        return self._decoder.redecode(shown, keyframe, self._corrector.list_consistent(shown, frame.size))

    def _decode(
        self, frame: Frame, estimate: GazeEstimate | None, warped: TrackedMask | None, *, most_boxes: int | None
    ) -> TrackedMask | None:
        if estimate is None:
            return None
        return self._decoder.decode(
            frame, estimate, warped, self._keyframe, fixed_level=self._shown.fixed_level,
            is_level_chosen=self._shown.is_level_chosen, interval_ns=self._refiner.interval_ns, most_boxes=most_boxes,
        )  # fmt: skip
