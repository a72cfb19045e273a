"""Which live pictures of a board to keep: steady ones that show something new. Pure; fed one frame after the other."""

from __future__ import annotations

import math
from typing import Literal

from calibration.boards import BoardDetection
from calibration.coverage import FieldCoverage, cover, is_new, is_steady, lean
from calibration.errors import CalibrationError

Taken = Literal["no board", "moving", "seen already", "taken", "full"]
MOST_VIEWS = 40
_STEADY = 0.0025
"""Of the picture's diagonal, between two frames."""
_ANEW = 0.006
"""Of the diagonal; a board that leans at the same place moves its corners by little."""


class ViewCollector:
    """Keeps views until the coverage is complete, at most `most_views` of them, all of one size."""

    def __init__(self, size: tuple[int, int], *, most_views: int = MOST_VIEWS) -> None:
        self.size, self._most_views = size, most_views
        self.views: list[BoardDetection] = []
        self.coverage: FieldCoverage = cover([], size)
        self._before: BoardDetection | None = None

    @property
    def done(self) -> bool:
        """Whether nothing more is needed, or wanted."""
        return self.coverage.done or len(self.views) >= self._most_views

    def offer(self, detection: BoardDetection | None) -> Taken:
        """Look at the newest frame's detection and say what became of it. Raises where the picture's size changed."""
        before, self._before = self._before, detection
        if detection is None:
            return "no board"
        if detection.size != self.size:
            raise CalibrationError(
                f"the pictures changed from {self.size[0]} x {self.size[1]} to {detection.size[0]} x "
                f"{detection.size[1]}; keep one resolution"
            )
        if len(self.views) >= self._most_views:
            return "full"
        if not is_steady(detection, before, limit_px=_STEADY * math.hypot(*self.size)):
            return "moving"
        if not is_new(detection, self.views) and not self._leans_anew(detection):
            return "seen already"
        self.views.append(detection)
        self.coverage = cover(self.views, self.size)
        return "taken"

    def _leans_anew(self, detection: BoardDetection) -> bool:
        """Whether it shows a tilt that is still missing, though at a place that was shown before."""
        return is_new(detection, self.views, share=_ANEW) and lean(detection) in self.coverage.missing_tilts
