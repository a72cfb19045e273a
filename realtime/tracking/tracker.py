"""Tracks the fixated object: frames, gaze samples and keyframes in, its mask in the newest frame out.

    1. `motion`: optical flow from the frame before; remembered points and masks move along with the picture
    2. `gaze`: every sample passes the filter, which estimates the eye movement and its point in this frame
    3. `prompter`: the gaze at the newest keyframe's time prompts the decoder; after a saccade since then, the present
       point is carried back by the motion between
    4. `mask_decoding`: of the candidates, the one that agrees with the shown mask is carried to this frame
    5. `shown_mask`: dwell decides whether it is the same object, another one, or whether the last mask is kept
    6. `mask_preview`: while no keyframe shows the object, motion and colours of the newest frames do

One thread, no sockets, no clock of its own: the same inputs give the same results. Between two frames the user's
commands steer what is shown, see `user_control`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from engines import Decoder
from realtime.tracking.gaze.estimate import GazeEstimate
from realtime.tracking.gaze.gaze_filter import GazeFilter
from realtime.tracking.held_mask import redecode_held_mask
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
from realtime.tracking.prompter import MaskPrompter
from realtime.tracking.recognition_memory import RecognitionMemory
from realtime.tracking.settings import TrackerOutput, TrackerSettings
from realtime.tracking.shown_mask import ShownMask
from realtime.tracking.tracked_mask import TrackedMask
from realtime.tracking.tracker_context import TrackerContext
from realtime.tracking.user_control import UserControl
from realtime.tracking.word_decoding import WordMaskDecoder
from realtime.tracking.word_search import WordSearch
from realtime.types import Frame, GazeSample, MaskResult

__all__ = ["Tracker", "TrackerOutput", "TrackerSettings"]


class Tracker:
    """Tracks the fixated object from frame to frame. One thread.

    control: executes the user's commands, between two steps.
    """

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
        self._settings = use = settings or TrackerSettings()
        self._context = TrackerContext(clock_ns, frame_time=frame_time)
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
        self.control = UserControl(
            self._context, self._motion, self._prompter, self._word, self._decoder, self._word_decoder, self._shown,
            self._corrector, self._confirmer,
        )  # fmt: skip

    def should_encode(self, frame: Frame) -> bool:
        """Return whether the newest frame is worth encoding when the encoder is free; call it before its `step`.

        Its picture differs from the newest keyframe's, or that is so old that soon no chain will reach it. The encoder
        can then begin while the frame is tracked.
        """
        known = self._context.keyframe
        newest = known.index if known is not None else None
        if self._context.has_restarted(frame):
            self._selector.reset()
            newest = None
        changed = self._selector.should_encode(frame.index, self._motion.load(frame), newest)
        return changed or newest is None or frame.index - newest > self._settings.motion.ring // 2

    def step(self, frame: Frame, samples: Sequence[GazeSample], keyframe: Keyframe | None) -> TrackerOutput:
        """Process the newest frame, every gaze sample since the last one, and the newest keyframe if there is one."""
        context = self._context
        if context.has_restarted(frame):
            self._restart(frame)
        before, context.frame = context.frame, frame
        self._refiner.observe_frame(before, frame)
        self._motion.push(frame)
        if keyframe is not None:
            self._accept_keyframe(keyframe)
        since = self._motion.chain(before.index) if before is not None else None
        self._filter_gaze(samples, frame)
        if since is not None and before is not None:
            self._gaze.move(since.map_points, before.captured_ns, frame.captured_ns)
            self._shown.dwell.move(since.map_points)
            self._corrector.move(since.map_points)
        now_ns = context.advance(frame)
        if self._word.expire(now_ns):
            self.control.set_word(None)
        estimate = pointer = self._estimate_gaze(now_ns)
        warped = self._warp_shown(since)
        if self._is_kept(estimate, warped, frame):
            decoded = self._redecode(warped, frame)
        elif self._word_decoder.is_alone(estimate, frame, now_ns):
            estimate = None
            decoded, pointer = self._word_decoder.decode(warped, context.keyframe, now_ns)
        else:
            pointer = self._decoder.extend_reach(estimate, warped)
            decoded = self._decode(frame, estimate, warped, most_boxes=None if context.frame_time else 0)
        warped, decoded = self._carrier.carry(warped, decoded)
        result = self._shown.update(
            now_ns, frame, pointer, decoded, warped, level=self._decoder.level,
            is_broken=before is not None and since is None, is_held=self.control.is_held,
            is_meant=self._confirmer.confirmation is not None or self._decoder.is_named,
        )  # fmt: skip
        result = self._describe(result, frame, now_ns)
        if self._shown.mask is None:
            self.control.is_held = False
        origin = self._shown.provenance
        preview = None if self.control.is_held else self._previewer.preview(
            frame, now_ns, estimate, self._shown.mask, result, is_decoded=decoded is not None,
            interval_ns=self._refiner.interval_ns,
        )  # fmt: skip
        output = TrackerOutput(None, speed=self._motion.speed, word=self._word.describe(context.keyframe))
        if preview is not None and estimate is not None:
            times_ns = estimate.sample.captured_ns, frame.captured_ns
            return replace(output, result=preview, gaze_captured_ns=times_ns[0], keyframe_captured_ns=times_ns[1])
        if result is None or origin is None:
            return output
        times_ns = origin.sample.captured_ns, origin.keyframe.captured_ns
        return replace(output, result=result, gaze_captured_ns=times_ns[0], keyframe_captured_ns=times_ns[1])

    def _describe(self, result: MaskResult | None, frame: Frame, now_ns: int) -> MaskResult | None:
        """Add the name of the shown object, how well the word fits it, whether it is confirmed, and corrections."""
        shown, confirmed = self._shown.mask, self._confirmer.update(result, frame.captured_ns, now_ns)
        corrected = self._corrector.update(result)
        if result is None or shown is None:
            return result
        label = self._namer.name_object(result.object, shown)
        word = self._word.score_candidate(shown.provenance.keyframe, shown.prompt_result.candidates, shown.index)
        return replace(result, label=label, confirmed=confirmed, word=word, corrected=corrected)

    def prepare(self, keyframe: Keyframe) -> None:
        """Accept a new keyframe between two frames, decode the current fixation on it, and bring the mask to now."""
        is_accepted, frame, now_ns = self._accept_keyframe(keyframe), self._context.frame, self._context.now_ns
        if not is_accepted or frame is None or now_ns is None:
            return
        estimate, shown = self._estimate_gaze(now_ns), self._shown.mask
        if self._is_kept(estimate, shown, frame):
            self._redecode(shown, frame)
            return
        if self._word_decoder.is_alone(estimate, frame, now_ns):
            decoded, _ = self._word_decoder.decode(shown, keyframe, now_ns)
        else:
            decoded = self._decode(frame, estimate, shown, most_boxes=None if self._context.frame_time else 1)
        self._carrier.carry(None, decoded)

    def refine(self) -> bool:
        """Prompt one point round the last decode, for the frames to come, when there is time; False without need."""
        is_boxed = self._prompter.has_box_left
        if (
            self.control.is_held
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

    # -- 1. motion and keyframes --------------------------------------------------------------------------------------

    def _restart(self, frame: Frame) -> None:
        for part in (
            self._motion, self._gaze, self._recognized, self._prompter, self._decoder, self._carrier,
            self._word_decoder, self._corrector, self._confirmer, self.control,
        ):  # fmt: skip
            part.reset()
        self._shown.restart()
        self._context.restart(frame)

    def _accept_keyframe(self, keyframe: Keyframe) -> bool:
        is_accepted = self._context.accept_keyframe(keyframe)
        if is_accepted:
            self._recognized.find_recognition(keyframe)
        return is_accepted

    def _warp_shown(self, since: FlowChain | None) -> TrackedMask | None:
        """Carry the shown mask, or the one chosen in its place, to the newest frame."""
        shown = self._shown.mask
        return self.control.replace_mask(shown.warp(since) if shown is not None and since is not None else None)

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
        return None if estimate is None or self.control.is_cleared(estimate) else estimate

    def _is_kept(self, estimate: GazeEstimate | None, shown: TrackedMask | None, frame: Frame) -> bool:
        """Return whether the shown mask is followed in place of the gaze: the user holds it, or has corrected it."""
        return self.control.is_held or self._corrector.should_keep(estimate, shown, frame.size)

    def _redecode(self, shown: TrackedMask | None, frame: Frame) -> TrackedMask | None:
        clicks = self._corrector.list_consistent(shown, frame.size)
        return redecode_held_mask(shown, self._context.keyframe, self._motion, self._prompter, clicks)

    def _decode(
        self, frame: Frame, estimate: GazeEstimate | None, warped: TrackedMask | None, *, most_boxes: int | None
    ) -> TrackedMask | None:
        if estimate is None:
            return None
        return self._decoder.decode(
            frame, estimate, warped, self._context.keyframe, fixed_level=self._shown.fixed_level,
            is_level_chosen=self._shown.is_level_chosen, interval_ns=self._refiner.interval_ns, most_boxes=most_boxes,
        )  # fmt: skip
