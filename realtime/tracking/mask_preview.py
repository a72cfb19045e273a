"""Shows a mask made without a model while there is none of a keyframe, or while the carried one has lost the object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from engines import Floats
from realtime.tracking.dwell.mask_points import compute_iou
from realtime.tracking.dwell.settings import DwellSettings
from realtime.tracking.gaze.estimate import GazeEstimate
from realtime.tracking.mask_decoding import is_inside
from realtime.tracking.motion.optical_flow import FlowHistory
from realtime.tracking.motion_segmentation import Segmentation, SegmentationSettings, segment_at_point
from realtime.tracking.tracked_mask import TrackedMask
from realtime.types import Frame, FrameRef, GazeRef, KeyframeRef, MaskResult, State, TimingNs

NO_OBJECT = 0
"""Id of a mask that belongs to no known object."""
CHECK_EVERY = 3
"""Frames; a check costs as much as a preview."""


@dataclass(frozen=True, slots=True, eq=False)
class _Guess:
    """A preview that was shown.

    index: of the frame that its mask is of. mask: (h, w) on the working grid, 1 inside. is_moving: whether motion shows
    it. gazed_ns: when the gaze was on it last.
    """

    index: int
    mask: Floats
    is_moving: bool
    gazed_ns: int


class MaskPreviewer:
    """Replaces the result of a frame by a preview where that is the better guess. One thread."""

    def __init__(
        self, clock_ns: Callable[[], int], settings: SegmentationSettings, motion: FlowHistory, dwell: DwellSettings
    ) -> None:
        """dwell: how long the gaze must be on another object before that is shown, and off one before it is lost."""
        self._clock_ns, self._settings, self._motion = clock_ns, settings, motion
        self._switch_ns, self._lost_ns = round(dwell.switch_s * 1e9), round(dwell.lost_s * 1e9)
        self._guess: _Guess | None = None
        self._is_shown = self._is_contradicted = False  # in the last frame; at the last check
        self._held_since_ns: int | None = None

    def preview(
        self,
        frame: Frame,
        now_ns: int,
        estimate: GazeEstimate | None,
        shown: TrackedMask | None,
        result: MaskResult | None,
        *,
        is_decoded: bool,
        interval_ns: float,
    ) -> MaskResult | None:
        """Make the preview to show in place of `result`; None where that stays.

        shown: the mask behind `result`. is_decoded: whether a keyframe has a mask for the present gaze.
        interval_ns: between two frames, 0 while unknown.
        """
        state: State = "lost" if result is None else result.state
        if state != "held":
            self._held_since_ns = None
        elif self._held_since_ns is None:
            self._held_since_ns = now_ns
        was_shown, self._is_shown = self._is_shown, False
        if not self._settings.enabled or estimate is None:
            return None
        if not estimate.is_steady:
            return self._carry_guess(frame, estimate, now_ns) if was_shown and state == "lost" else None
        is_missing = self._is_missing(state, now_ns, is_decoded=is_decoded and not was_shown)
        if not is_inside(estimate.point_px, frame) or not (is_missing or self._should_check(frame, shown, state)):
            return None
        begin_ns = self._clock_ns()
        found = self._segment(frame, estimate, interval_ns)
        if shown is not None and not is_missing:
            overlap = compute_iou(found.mask, shown.mask)
            self._is_contradicted = found.is_moving and overlap < self._settings.least_agreement
            if not self._is_contradicted:
                return None
        self._is_shown = True
        self._guess = _Guess(frame.index, found.mask.astype(np.float32), found.is_moving, now_ns)
        return self._to_result(frame, estimate, self._guess, "preview", (begin_ns, self._clock_ns()))

    def _carry_guess(self, frame: Frame, estimate: GazeEstimate, now_ns: int) -> MaskResult | None:
        """Carry the last preview through a blink or a saccade, as masks of the model are; None where that is too long.

        Else the first mask after a cut would vanish with the next blink, and come back only after it.
        """
        guess = self._guess
        chain = self._motion.chain(guess.index) if guess is not None else None
        if guess is None or chain is None or now_ns - guess.gazed_ns > self._lost_ns:
            return None
        self._is_shown = True
        begin_ns = self._clock_ns()
        self._guess = replace(guess, index=frame.index, mask=chain.warp(guess.mask))
        return self._to_result(frame, estimate, self._guess, "held", (begin_ns, self._clock_ns()))

    def _is_missing(self, state: State, now_ns: int, *, is_decoded: bool) -> bool:
        """Return whether the fixated object has no mask of a keyframe, neither shown nor about to be."""
        if self._held_since_ns is not None:
            return not is_decoded and now_ns - self._held_since_ns >= self._switch_ns
        return not is_decoded and state == "lost"

    def _should_check(self, frame: Frame, shown: TrackedMask | None, state: State) -> bool:
        """Return whether the shown mask is so old that motion may have lost its object; in every third frame."""
        if shown is None or state not in ("preview", "locked"):
            return False
        age = frame.index - shown.provenance.keyframe.index
        return age >= self._settings.least_age and (self._is_contradicted or age % CHECK_EVERY == 0)

    def _segment(self, frame: Frame, estimate: GazeEstimate, interval_ns: float) -> Segmentation:
        """Segment the fixated object on the working grid."""
        h, w = self._motion.grey.shape
        scale = np.array([w / frame.size[0], h / frame.size[1]])
        x, y = (np.array(estimate.point_px) + 0.5) * scale - 0.5
        frames = max(1, round(self._settings.motion_s * 1e9 / interval_ns)) if interval_ns else 1
        chains = (self._motion.back(count) for count in range(frames, 0, -1))
        chain = next((chain for chain in chains if chain is not None), None)
        displacement = None if chain is None else chain.displacement
        radius = estimate.radius_px * float(scale[0])
        return segment_at_point(self._motion.lab, displacement, (float(x), float(y)), radius, self._settings)

    def _to_result(
        self, frame: Frame, estimate: GazeEstimate, guess: _Guess, state: State, made_ns: tuple[int, int]
    ) -> MaskResult:
        sample, use = estimate.sample, self._settings
        mask = cv2.resize(guess.mask, frame.size, interpolation=cv2.INTER_LINEAR) > 0.5
        return MaskResult(
            frame=FrameRef.of(frame),
            keyframe=KeyframeRef(frame.index, frame.timestamp),
            gaze=GazeRef(sample.timestamp, *estimate.point_px, sample.confidence, estimate.radius_px),
            carried_ms=0.0,
            object=NO_OBJECT,
            state=state,
            score=0.0,
            confidence=use.motion_confidence if guess.is_moving else use.colour_confidence,
            mask=np.asarray(mask),
            timing_ns=TimingNs(sample.received_ns, frame.received_ns, *made_ns),
            captured_ns=frame.captured_ns,
            method="motion" if guess.is_moving else "colour",
        )
