"""Selects live board views to keep: steady ones that add coverage. Pure; takes frames in order."""

from __future__ import annotations

import math
from typing import Literal

from calibration.boards import BoardDetection
from calibration.coverage import FieldCoverage, estimate_tilt, is_new, is_steady, measure_coverage
from calibration.errors import CalibrationError

ViewDecision = Literal["no board", "moving", "seen already", "taken", "full"]
MAX_VIEWS = 40
_MAX_STEADY_SHARE = 0.0025
"""Share of the picture's diagonal, between two frames."""
_MIN_TILT_CHANGE_SHARE = 0.006
"""Share of the diagonal; a board that tilts in place moves its corners little."""


class ViewCollector:
    """Collects views of one size until the coverage is complete, at most `max_views`."""

    def __init__(self, size: tuple[int, int], *, max_views: int = MAX_VIEWS) -> None:
        self.size, self._max_views = size, max_views
        self.views: list[BoardDetection] = []
        self.coverage: FieldCoverage = measure_coverage([], size)
        self._previous: BoardDetection | None = None

    @property
    def is_complete(self) -> bool:
        """Whether coverage is complete or `max_views` is reached."""
        return self.coverage.is_complete or len(self.views) >= self._max_views

    def add_detection(self, detection: BoardDetection | None) -> ViewDecision:
        """Keep the newest frame's detection if it is useful; raises where the picture size changed."""
        previous, self._previous = self._previous, detection
        if detection is None:
            return "no board"
        if detection.size != self.size:
            raise CalibrationError(
                f"the pictures changed from {self.size[0]} x {self.size[1]} to {detection.size[0]} x "
                f"{detection.size[1]}; keep one resolution"
            )
        if len(self.views) >= self._max_views:
            return "full"
        if not is_steady(detection, previous, limit_px=_MAX_STEADY_SHARE * math.hypot(*self.size)):
            return "moving"
        if not is_new(detection, self.views) and not self._shows_missing_tilt(detection):
            return "seen already"
        self.views.append(detection)
        self.coverage = measure_coverage(self.views, self.size)
        return "taken"

    def _shows_missing_tilt(self, detection: BoardDetection) -> bool:
        """Whether it adds a missing tilt, though at a place that is already covered."""
        return (
            is_new(detection, self.views, share=_MIN_TILT_CHANGE_SHARE)
            and estimate_tilt(detection) in self.coverage.missing_tilts
        )
