"""From frames, gaze and keyframes to the mask of what is looked at, in the newest frame. Read this after `pipeline`.

    1. motion between the last frame and this one; what is remembered moves along with the picture
    2. every gaze sample goes through the filter: what do the eyes rest on, where in this frame?
    3. where they rested when the newest keyframe was captured prompts the decoder; after a saccade since, that is
       where the present point lay then, by the motion between
    4. of the candidates, the one that agrees with what was on show is carried to this frame
    5. dwell decides whether it is the same thing, another one, or whether the last mask goes on

One object, one thread, no sockets, no clock of its own: what it is given decides what it says. What a hand asks for
between two frames (`want`, `hold`, `clear`) changes which of this counts, see `steering`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engines import Decoder, Floats
from realtime.errors import CommandRejected
from realtime.tracking.dwell import DwellInput, DwellStateMachine, is_near, map_together
from realtime.tracking.gaze import GazeEstimate, GazeFilter
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.keyframe_selection import KeyframeSelector
from realtime.tracking.mask_refinement import MaskRefiner
from realtime.tracking.mask_selection import select_mask
from realtime.tracking.motion import FlowChain, FlowHistory, measure_common_fate
from realtime.tracking.prompter import MaskPrompter
from realtime.tracking.settings import TrackerOutput, TrackerSettings
from realtime.tracking.tracked_mask import MaskProvenance, TrackedMask
from realtime.tracking.user_overrides import ExternalObjects, UserOverrides, find_next_level, redecode_held_mask
from realtime.types import Frame, GazeSample, MaskResult

__all__ = ["Tracker", "TrackerOutput", "TrackerSettings"]

FATE_NS = 40_000_000
"""Over this long things move apart by what flow can tell, at any frame rate."""


class Tracker:
    """Follows what is looked at from frame to frame."""

    def __init__(
        self,
        decoder: Decoder,
        clock_ns: Callable[[], int],
        settings: TrackerSettings | None = None,
        *,
        frame_time: bool = False,
    ) -> None:
        """Begin with nothing known.

        clock_ns: the host's clock. frame_time: a frame's own time is now, as for a clip that is played at any speed.
        """
        self._clock_ns, self._frame_time = clock_ns, frame_time
        self._settings = settings or TrackerSettings()
        self._motion = FlowHistory(self._settings.motion)
        self._selector = KeyframeSelector(self._settings.keyframes)
        self._gaze = GazeFilter(self._settings.gaze)
        self._prompter = MaskPrompter(decoder, clock_ns, self._settings.prompter)
        self._dwell = DwellStateMachine(self._settings.dwell)
        self._refiner = MaskRefiner(clock_ns, self._settings.clean, self._settings.frame_share, hurry=not frame_time)
        self._overrides = UserOverrides()
        self._frame: Frame | None = None
        self._keyframe: Keyframe | None = None
        self._shown: TrackedMask | None = None
        self._now_ns = 0
        self._since_ns = 0  # when the source last began anew
        self._last_provenance: MaskProvenance | None = (
            None  # of the last message, also when that shows nothing any more
        )
        self._level: int | None = None  # of the last decode's choice: 0 part to 2 whole
        self._wanted: int | None = None  # that the wearer has stepped to

    def step(self, frame: Frame, samples: Sequence[GazeSample], keyframe: Keyframe | None) -> TrackerOutput:
        """Take the newest frame, every gaze sample since the last one and the newest keyframe if there is a new one."""
        if self._restarted(frame):
            self._restart()
            self._since_ns = frame.received_ns
        before, self._frame = self._frame, frame
        self._refiner.observe_frame(before, frame)
        self._motion.push(frame)
        self._take_keyframe(keyframe)
        since = self._motion.chain(before.index) if before is not None else None
        self._take_gaze(samples, frame, before, since)
        self._now_ns = frame.captured_ns if self._frame_time else self._clock_ns()
        look = self._estimate_gaze()
        carried = self._carry(since)
        if self._overrides.is_held:
            decoded = self._kept(carried)
        else:
            decoded = self._decode(frame, look, carried) if look is not None else None
        result = self._decide(frame, look, decoded, carried, broken=before is not None and since is None)
        wants = self._wants_keyframe(frame)
        if result is None or self._last_provenance is None:
            return TrackerOutput(None, wants)
        return TrackerOutput(
            result, wants, self._last_provenance.sample.captured_ns, self._last_provenance.keyframe.captured_ns
        )

    def prepare(self, keyframe: Keyframe) -> None:
        """Take a new keyframe between two frames, and ask about what the eyes rest on before the next one comes."""
        self._take_keyframe(keyframe)
        if self._keyframe is not keyframe:
            return
        if self._overrides.is_held:
            self._kept(self._shown)
            return
        look = self._estimate_gaze()
        chain = self._motion.chain(keyframe.index)
        if look is not None and look.is_steady and chain is not None:
            self._prompter.decode_gaze(look, keyframe, chain)

    def _take_keyframe(self, keyframe: Keyframe | None) -> None:
        if keyframe is not None and keyframe.received_ns >= self._since_ns:  # not one of before a restart
            self._keyframe = keyframe

    def refine(self) -> bool:
        """Have the last answer voted on, for the frames to come, where there is time; False when there was no need."""
        return not self._overrides.is_held and self._prompter.vote()

    # -- what a hand asks for -----------------------------------------------------------------------------------------

    def step_level(self, step: int) -> None:
        """Show something smaller (-1) or larger (1) than what is on show, from the next frame on and while it is.

        Another thing that is looked at is chosen freely again. Nothing happens while nothing is on show.
        """
        if self._shown is None:
            return
        now, at = self._overrides.candidate or (self._shown.prompt_result, self._shown.index)
        answer = self._prompter.decode_point(now) if now.has_box else now
        found = find_next_level(answer.candidates, now.area(at), step)
        if found is not None:
            index, self._wanted = found
            self._dwell.set_level(self._wanted)
            self._overrides = replace(self._overrides, candidate=(answer, index))

    def hold(self, on: bool, object_id: int | None = None) -> int:
        """Keep what is on show whatever the eyes do, or follow them again; gives the id of what was shown last.

        What is lost, because a cut took it or it left the picture, is let go. Raises `CommandRejected` where there is nothing
        to keep, or something else than `object_id`.
        """
        shown = self._dwell.shown_id
        if on and (self._shown is None or object_id not in (None, shown)):
            there = "nothing is" if self._shown is None else f"{shown} is"
            raise CommandRejected(
                f"object {object_id} is not on show, {there}" if object_id is not None else "nothing is on show"
            )
        self._prompter.clear_mask_prompt()
        self._overrides = replace(self._overrides, is_held=on)
        return shown

    def clear(self) -> None:
        """Show nothing until the eyes rest anew: what they rest on now does not count."""
        self._overrides = UserOverrides(cleared_ns=self._now_ns)
        self._dwell.clear()
        self._shown = self._level = self._wanted = None

    def add_external_objects(self, known: ExternalObjects) -> list[int | None]:
        """Remember things that others found; gives their ids, None for what could not be carried to this frame."""
        chain = self._motion.chain(known.frame.index) if known.frame.received_ns >= self._since_ns else None
        if self._frame is None or chain is None:
            return [None] * len(known.mask_points)
        moved = iter(map_together([trace for trace in known.mask_points if trace is not None], chain.map_points))
        now = [None if trace is None else next(moved) for trace in known.mask_points]
        there = [trace for trace in now if trace is not None]
        ids = iter(self._dwell.add_objects(there, self._frame.size, self._now_ns))
        return [None if trace is None else next(ids) for trace in now]

    # -- 1. motion ----------------------------------------------------------------------------------------------------

    def _restarted(self, frame: Frame) -> bool:
        """Whether the device counts from the start again, or sends another size: what was remembered is of no use."""
        return self._frame is not None and (frame.index <= self._frame.index or frame.size != self._frame.size)

    def _restart(self) -> None:
        self._motion.reset()
        self._selector.reset()
        self._gaze.reset()
        self._dwell = DwellStateMachine(
            self._settings.dwell, last_id=self._dwell.last_id
        )  # another thing must not get an old id
        self._prompter.reset()
        self._frame = self._keyframe = self._shown = self._last_provenance = None
        self._level = self._wanted = None
        self._overrides = UserOverrides()

    def _wants_keyframe(self, frame: Frame) -> bool:
        """Whether the picture has changed, or the keyframe lies so far back that soon no chain will reach it."""
        newest = self._keyframe.index if self._keyframe is not None else None
        changed = self._selector.should_encode(frame.index, self._motion.grey, newest)
        return changed or newest is None or frame.index - newest > self._settings.motion.ring // 2

    def _take_gaze(
        self, samples: Sequence[GazeSample], frame: Frame, before: Frame | None, since: FlowChain | None
    ) -> None:
        for sample in samples:
            x, y = sample.to_px(frame.size)
            self._gaze.update(sample, (x, y), frame.size, sample.px_per_degree)
            if sample.confidence >= self._settings.gaze.min_confidence and math.isfinite(x + y):
                self._prompter.add_sample(sample, x, y)
        if since is None or before is None:
            return
        step = since

        def to_now(points: NDArray[np.float64]) -> NDArray[np.float64]:
            return step.to_now(points.astype(np.float32)).astype(np.float64)

        self._gaze.move(to_now, before.captured_ns, frame.captured_ns)
        self._dwell.move(to_now)

    def _estimate_gaze(self) -> GazeEstimate | None:
        """What the eyes do, unless they did it before all was cleared."""
        look = self._gaze.estimate(self._now_ns)
        return None if look is None or self._overrides.is_cleared(look.onset_ns) else look

    def _carry(self, since: FlowChain | None) -> TrackedMask | None:
        """What was on show, or what was chosen instead, in the newest frame."""
        chosen, self._overrides = self._overrides.candidate, replace(self._overrides, candidate=None)
        if self._shown is None or since is None:
            return None
        carried = self._shown.warp(since)
        chain = self._motion.chain(chosen[0].keyframe.index) if chosen is not None else None
        return carried if chosen is None or chain is None else carried.with_candidate(*chosen, chain)

    # -- 2. to 4. decode ----------------------------------------------------------------------------------------------

    def _decode(self, frame: Frame, look: GazeEstimate, carried: TrackedMask | None) -> TrackedMask | None:
        """What the eyes rest on, carried to the newest frame; None when they do not rest, or nothing is encoded yet."""
        keyframe = self._keyframe
        chain = self._motion.chain(keyframe.index) if keyframe is not None else None
        if keyframe is None or chain is None or not look.is_steady or not _inside(look.point_px, frame):
            return None
        answer = self._prompter.decode_gaze(look, keyframe, chain)
        candidates = answer.candidates
        logits = chain.warp_logits(candidates.logits, candidates.letterbox)
        few = np.s_[..., ::2, ::2]  # enough to choose by
        # After a saccade to something else, agreement with what was on show would only hold the eyes back.
        stayed = carried is not None and is_near(carried.mask, frame.size, look.point_px, look.radius_px)
        masks = logits[few] > 0
        choice = select_mask(
            masks, candidates.predicted_iou, chain.rasterize_disc(look.point_px, look.radius_px)[few],
            carried.mask[few] if carried is not None and stayed else None, masks[0].size, self._settings.choice,
            fate=self._common_fate(masks), voted=answer.support, level=self._wanted if stayed else None,
        )  # fmt: skip
        self._level = choice.level
        score = float(np.clip(candidates.predicted_iou[choice.index], 0, 1))
        x, y = chain.to_now(np.array([answer.keyframe_px], np.float32))[0]
        decode = MaskProvenance(
            keyframe, answer.sample, (float(x), float(y)), look.radius_px, score, choice.confidence, answer.decode_ns
        )
        return TrackedMask(logits[choice.index], decode, answer, choice.index)

    def _kept(self, shown: TrackedMask | None) -> TrackedMask | None:
        """What is kept, as a newer keyframe has it; None where there is nothing new."""
        chain = self._motion.chain(self._keyframe.index) if self._keyframe is not None else None
        if shown is None or self._keyframe is None or chain is None:
            return None
        return redecode_held_mask(shown, self._keyframe, chain, self._prompter)

    def _common_fate(self, masks: NDArray[np.bool_]) -> Floats | None:
        """Common fate of candidates on every other pixel of the working grid, by what moved over `FATE_NS`."""
        interval_ns = self._refiner.interval_ns
        steps = max(1, round(FATE_NS / interval_ns)) if interval_ns else 1
        chain = self._motion.back(steps)
        if chain is None or self._settings.choice.fate == 0:
            return None
        return measure_common_fate(masks, np.asarray(chain.displacement[::2, ::2] / 2, np.float32))

    # -- 5. decide ----------------------------------------------------------------------------------------------------

    def _decide(
        self,
        frame: Frame,
        look: GazeEstimate | None,
        decoded: TrackedMask | None,
        carried: TrackedMask | None,
        *,
        broken: bool,
    ) -> MaskResult | None:
        verdict = self._dwell.update(
            DwellInput(
                self._now_ns, look, decoded.mask if decoded else None, carried.mask if carried else None,
                frame.size, level=self._level, is_broken=broken, is_held=self._overrides.is_held,
            )
        )  # fmt: skip
        self._wanted = verdict.fixed_level
        shown = {"decoded": decoded, "carried": carried, "nothing": None}[verdict.source]
        self._shown = shown
        if shown is not None:
            self._last_provenance = shown.provenance
            # A mask is no better than the motion that brought it here.
            chain = self._motion.chain(shown.provenance.keyframe.index)
            mask = self._refiner.refine(shown, frame, chain)
            confidence = shown.provenance.confidence * (chain.trust_in(shown.mask) if chain is not None else 0.0)
            return shown.provenance.to_result(frame, verdict.object, verdict.state, mask, confidence, self._clock_ns())
        self._overrides = replace(self._overrides, is_held=False)
        if self._last_provenance is None:
            self._last_provenance = decoded.provenance if decoded is not None else None
        if self._last_provenance is None:
            return None
        return self._last_provenance.to_result(frame, verdict.object, "lost", None, 0.0, self._clock_ns())


def _inside(point_px: tuple[float, float], frame: Frame) -> bool:
    return all(-0.5 <= place < side - 0.5 for place, side in zip(point_px, frame.size, strict=True))
