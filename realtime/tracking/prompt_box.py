"""Defines boxes to prompt beside the gaze's point, and finds that of a mask in an older frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from realtime.tracking.keyframe import Keyframe
from realtime.tracking.motion.flow_chain import FlowChain
from realtime.types import Mask


@dataclass(frozen=True, slots=True)
class PromptBox:
    """A box in a keyframe round the object that is probably fixated.

    box_px: x0, y0, x1, y1. origin: what found it, such as "detector". confidence: 0..1 that it is the object's box.
    """

    box_px: tuple[float, float, float, float]
    origin: str
    confidence: float

    def contains(self, point_px: tuple[float, float], margin_px: float) -> bool:
        """Return whether a point lies in the box, or at most a margin beside it."""
        x0, y0, x1, y1 = self.box_px
        x, y = point_px
        return x0 - margin_px <= x <= x1 + margin_px and y0 - margin_px <= y <= y1 + margin_px


class BoxSource(Protocol):
    """A source of boxes, such as a tracker of boxes or a detector of objects; called on the tracker's thread."""

    def find_box(self, keyframe: Keyframe, point_px: tuple[float, float], radius_px: float) -> PromptBox | None:
        """Find the box of the object at a gaze point of a keyframe, at once; None without one.

        The same frames must give the same boxes, or a recording does not replay exactly.
        """


def find_mask_box(mask: Mask, chain: FlowChain) -> PromptBox | None:
    """Find the box in an older frame of a mask of the newest one; None for an empty mask.

    mask: (h, w) on the working grid. chain: to the older frame.
    """
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return None
    scale = np.array([chain.size[0] / mask.shape[1], chain.size[1] / mask.shape[0]], np.float32)
    then = chain.to_then(((np.concatenate(contours)[:, 0] + 0.5) * scale - 0.5).astype(np.float32))
    (x0, y0), (x1, y1) = (then.min(0) - scale / 2).tolist(), (then.max(0) + scale / 2).tolist()
    return PromptBox((x0, y0, x1, y1), "memory", 1.0)
