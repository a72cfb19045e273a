"""Carries a corrected mask to other frames by the tracker's motion, forwards or backwards in time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import cv2
import numpy as np

from engines import Mask
from realtime.tracking.mask_refinement import upsample_mask
from realtime.tracking.motion.layered_motion import MAX_ODDS, CarriedOdds, carry_odds
from realtime.tracking.motion.optical_flow import FlowHistory, MotionSettings
from realtime.tracking.motion.reference_mask import ReferenceMask
from realtime.types import Frame, FrameKey


def carry_mask(anchor: Frame, mask: Mask, frames: Iterable[Frame]) -> Iterator[tuple[FrameKey, Mask]]:
    """Carry an (H, W) bool mask of a frame over the frames beside it, nearest first, which may go back in time.

    Ends at a cut, at a frame of another size, and where nothing of the mask is left.
    """
    motion = FlowHistory(MotionSettings(ring=2))
    motion.push(replace(anchor, index=0))
    height, width = motion.grey.shape
    share = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    odds = np.asarray((2 * np.asarray(share) - 1) * MAX_ODDS, np.float32)
    carried = CarriedOdds(0, odds, ReferenceMask.from_frame(odds, motion.lab), np.eye(2, 3, dtype=np.float32))
    for index, frame in enumerate(frames, 1):
        if frame.size != anchor.size:
            return
        motion.push(replace(frame, index=index))
        pair = motion.pair(index - 1)
        if pair is None:
            return
        carried = carry_odds(carried, pair)
        found = upsample_mask(carried.odds, frame.image)
        if not found.any():
            return
        yield FrameKey.of(frame), found
