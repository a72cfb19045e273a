"""Keeps what was recognized in a keyframe, and moves it to later ones that were not searched."""

from __future__ import annotations

import numpy as np

from engines.recognition.base import Recognition
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.motion.optical_flow import FlowHistory
from realtime.tracking.prompt_box import PromptBox


class RecognitionMemory:
    """A `BoxSource` of recognized objects: those of the keyframe itself, or of the last one that was searched.

    What was recognized in an earlier keyframe is moved by the motion since. One thread.
    """

    def __init__(self, motion: FlowHistory) -> None:
        self._motion = motion
        self.reset()

    def reset(self) -> None:
        """Forget everything, as after a change of source."""
        self._searched: Keyframe | None = None
        self._newest: tuple[Keyframe, Recognition | None] | None = None

    def find_recognition(self, keyframe: Keyframe) -> Recognition | None:
        """Return what is recognized in a keyframe; None where nothing was searched or the motion since is unknown."""
        if self._newest is None or self._newest[0] is not keyframe:
            self._newest = keyframe, self._locate_recognition(keyframe)
        return self._newest[1]

    def _locate_recognition(self, keyframe: Keyframe) -> Recognition | None:
        if keyframe.recognition is not None:
            self._searched = keyframe
            return keyframe.recognition
        searched = self._searched
        if searched is None or searched.size != keyframe.size or searched.index > keyframe.index:
            return None
        displacement = self._motion.trace_back(keyframe.index, [searched.index])[0]
        if displacement is None or searched.recognition is None:
            return None
        return searched.recognition.move(displacement)

    def find_box(self, keyframe: Keyframe, point_px: tuple[float, float], radius_px: float) -> PromptBox | None:
        """Find the box round a gaze point; of several, a sure and small one before an unsure and large one."""
        found, recognition = None, self.find_recognition(keyframe)
        for each in recognition.objects if recognition is not None else ():
            box = PromptBox(each.box_px, "detector", each.score)
            if box.contains(point_px, radius_px) and (found is None or _rate(box) > _rate(found)):
                found = box
        return found


def _rate(box: PromptBox) -> float:
    x0, y0, x1, y1 = box.box_px
    return float(box.confidence / np.sqrt(max((x1 - x0) * (y1 - y0), 1.0)))
