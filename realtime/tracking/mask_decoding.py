"""Decodes the mask under the gaze on the newest keyframe, selects a candidate and carries it to the newest frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines import Floats
from realtime.tracking.dwell.mask_points import is_near
from realtime.tracking.gaze.estimate import GazeEstimate
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.mask_selection import SelectionSettings, select_mask
from realtime.tracking.motion.common_fate import measure_common_fate
from realtime.tracking.motion.optical_flow import FlowHistory
from realtime.tracking.prompter import MaskPrompter
from realtime.tracking.tracked_mask import MaskProvenance, TrackedMask
from realtime.tracking.user_overrides import redecode_held_mask
from realtime.types import Frame

FATE_NS = 40_000_000
"""Objects move apart measurably over this time, at any frame rate."""


class GazeMaskDecoder:
    """Turns a gaze estimate and a keyframe into a `TrackedMask` of the newest frame. One thread.

    level: granularity of the last selected candidate, 0 part to 2 whole; None before, or from a decoder without levels.
    """

    def __init__(self, prompter: MaskPrompter, motion: FlowHistory, settings: SelectionSettings) -> None:
        self._prompter, self._motion, self._settings = prompter, motion, settings
        self.level: int | None = None

    def decode(
        self,
        frame: Frame,
        estimate: GazeEstimate,
        warped: TrackedMask | None,
        keyframe: Keyframe | None,
        *,
        fixed_level: int | None,
        interval_ns: float,
    ) -> TrackedMask | None:
        """Decode the object under a fixation; None for other eye movements or without a usable keyframe.

        warped: the shown mask in the newest frame. fixed_level: granularity that the user chose for it.
        interval_ns: between two frames, 0 while unknown.
        """
        chain = self._motion.chain(keyframe.index) if keyframe is not None else None
        if keyframe is None or chain is None or not estimate.is_steady or not is_inside(estimate.point_px, frame):
            return None
        answer = self._prompter.decode_gaze(estimate, keyframe, chain)
        candidates = answer.candidates
        logits = chain.warp_logits(candidates.logits, candidates.letterbox)
        coarse = np.s_[..., ::2, ::2]  # a quarter of the pixels is enough to choose by
        # After a saccade to another object, agreement with the shown mask would only delay the switch.
        stayed = warped is not None and is_near(warped.mask, frame.size, estimate.point_px, estimate.radius_px)
        masks = logits[coarse] > 0
        selection = select_mask(
            masks, candidates.predicted_iou, chain.rasterize_disc(estimate.point_px, estimate.radius_px)[coarse],
            warped.mask[coarse] if warped is not None and stayed else None, masks[0].size, self._settings,
            fate=self._measure_fate(masks, interval_ns), voted=answer.support, level=fixed_level if stayed else None,
        )  # fmt: skip
        self.level = selection.level
        score = float(np.clip(candidates.predicted_iou[selection.index], 0, 1))
        x, y = chain.to_now(np.array([answer.keyframe_px], np.float32))[0]
        provenance = MaskProvenance(
            keyframe, answer.sample, (float(x), float(y)), estimate.radius_px, score, selection.confidence,
            answer.decode_ns,
        )  # fmt: skip
        return TrackedMask(logits[selection.index], provenance, answer, selection.index)

    def redecode(self, shown: TrackedMask | None, keyframe: Keyframe | None) -> TrackedMask | None:
        """Decode a held mask on a newer keyframe, see `redecode_held_mask`; None when there is nothing newer."""
        chain = self._motion.chain(keyframe.index) if keyframe is not None else None
        if shown is None or keyframe is None or chain is None:
            return None
        return redecode_held_mask(shown, keyframe, chain, self._prompter)

    def _measure_fate(self, masks: NDArray[np.bool_], interval_ns: float) -> Floats | None:
        """Measure the candidates' common fate on every other pixel, from the motion over `FATE_NS`."""
        steps = max(1, round(FATE_NS / interval_ns)) if interval_ns else 1
        chain = self._motion.back(steps)
        if chain is None or self._settings.fate == 0:
            return None
        return measure_common_fate(masks, np.asarray(chain.displacement[::2, ::2] / 2, np.float32))


def is_inside(point_px: tuple[float, float], frame: Frame) -> bool:
    """Return whether a point lies inside the frame."""
    return all(-0.5 <= place < side - 0.5 for place, side in zip(point_px, frame.size, strict=True))
