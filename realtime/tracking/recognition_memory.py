"""Keeps the recognized objects of a keyframe, and moves them to later ones that were not searched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engines import Floats
from engines.recognition.base import Box, RecognizedObject
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.motion.flow_chain import pixel_grid
from realtime.tracking.motion.optical_flow import FlowHistory
from realtime.tracking.prompt_box import PromptBox

MIN_CELLS = 4
"""Cells of the motion's grid that must lie in a box for its motion to be known."""


class RecognitionMemory:
    """A `BoxSource` of recognized objects: those of the keyframe itself, or of the last one that was searched.

    A box of an earlier keyframe is moved by the median motion within it. One thread.
    """

    def __init__(self, motion: FlowHistory) -> None:
        self._motion = motion
        self.reset()

    def reset(self) -> None:
        """Forget everything, as after a change of source."""
        self._searched: Keyframe | None = None
        self._newest: tuple[Keyframe, tuple[RecognizedObject, ...]] | None = None

    def find_objects(self, keyframe: Keyframe) -> tuple[RecognizedObject, ...]:
        """Return the objects of a keyframe, in its pixels; none where the motion since they were found is unknown."""
        if self._newest is None or self._newest[0] is not keyframe:
            self._newest = keyframe, self._locate_objects(keyframe)
        return self._newest[1]

    def _locate_objects(self, keyframe: Keyframe) -> tuple[RecognizedObject, ...]:
        if keyframe.objects is not None:
            self._searched = keyframe
            return keyframe.objects
        searched = self._searched
        if searched is None or searched.size != keyframe.size or searched.index > keyframe.index:
            return ()
        displacement = self._motion.trace_back(keyframe.index, [searched.index])[0]
        if displacement is None:
            return ()
        moved = ((each, move_box(each.box_px, displacement, keyframe.size)) for each in searched.objects or ())
        return tuple(replace(each, box_px=box) for each, box in moved if box is not None)

    def find_box(self, keyframe: Keyframe, point_px: tuple[float, float], radius_px: float) -> PromptBox | None:
        """Find the box round a gaze point; of several, a sure and small one before an unsure and large one."""
        found = None
        for each in self.find_objects(keyframe):
            box = PromptBox(each.box_px, "detector", each.score)
            if box.contains(point_px, radius_px) and (found is None or _rate(box) > _rate(found)):
                found = box
        return found


def _rate(box: PromptBox) -> float:
    x0, y0, x1, y1 = box.box_px
    return float(box.confidence / np.sqrt(max((x1 - x0) * (y1 - y0), 1.0)))


def move_box(box_px: Box, displacement: Floats, size: tuple[int, int]) -> Box | None:
    """Move a box of an older frame by the median motion of what is in it now; None where it is not in the picture.

    displacement: (h, w, 2) from the newer frame back to the older, in its own pixels. size: (width, height) of both.
    """
    height, width = displacement.shape[:2]
    scale = np.array([size[0] / width, size[1] / height], np.float32)
    then = (pixel_grid((height, width)) + displacement + 0.5) * scale - 0.5
    x0, y0, x1, y1 = box_px
    inside = ((then >= (x0, y0)) & (then <= (x1, y1))).all(2)
    if np.count_nonzero(inside) < MIN_CELLS:
        return None
    dx, dy = (np.median(displacement[inside], axis=0) * scale).tolist()
    return x0 - dx, y0 - dy, x1 - dx, y1 - dy
