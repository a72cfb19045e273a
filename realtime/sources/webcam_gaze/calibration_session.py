"""Calibrates the eyes at targets that a page shows, and measures the error at other ones. Pure; time is an argument."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.errors import CalibrationError
from calibration.gaze.choreography import ChoreographyStep, GazeChoreography, Role, build_screen_steps
from calibration.gaze.eye_features import EyeFeatures
from calibration.gaze.screen_calibration import EyePairs, ScreenCalibration, calibrate_screen
from realtime.sources.webcam_gaze.screen_layout import ScreenLayout

SAMPLES_PER_TARGET = 20
TICK_S = 0.2
"""The target is on the screen between two pictures too, however far apart they are."""
MAX_ERROR_DEG = 6.0
NO_FACE = "no face in the webcam's picture: come into its middle, and look for light from the front"
CLOSED = "open your eyes"


@dataclass(frozen=True, slots=True)
class ShownTarget:
    """Holds what a page is to show: the target, in shares of the page, and how far the calibration is."""

    x: float
    y: float
    role: Role
    progress: float
    done: int
    total: int
    hint: str


class CalibrationSession:
    """Collects features at nine targets, and at four others for the error."""

    def __init__(self) -> None:
        self._choreography = GazeChoreography(build_screen_steps(9), samples=SAMPLES_PER_TARGET)
        self._features: dict[float, EyeFeatures] = {}
        self._shown: tuple[ChoreographyStep, float] | None = None  # the target of the last picture, and its time

    def add(self, time_s: float, features: EyeFeatures | None, layout: ScreenLayout, *, closed: bool) -> None:
        """Add the measurement of one picture, taken while the target of `target` was shown."""
        step = self._choreography.advise(time_s).step
        if step is None:
            return
        place = layout.place_on_screen(*step.place)
        if self._shown is not None and self._shown[0] is step:
            for tick_s in np.arange(self._shown[1] + TICK_S, time_s, TICK_S).tolist():
                self._choreography.add_markers(tick_s, {step.marker: place}, layout.size)
        self._shown = step, time_s
        is_usable = features is not None and not closed
        if features is not None:
            self._features[time_s] = features
            self._choreography.add_gaze(time_s, *features.screen_mm, 1.0 if is_usable else 0.0)
        self._choreography.add_markers(time_s, {step.marker: place}, layout.size)

    def target(self, time_s: float, *, has_face: bool, closed: bool) -> ShownTarget | None:
        """Return what to show; None when all targets are done."""
        advice = self._choreography.advise(time_s)
        if advice.step is None:
            return None
        hint = NO_FACE if not has_face else CLOSED if closed else "look at the dot until its ring is full"
        return ShownTarget(*advice.step.place, advice.step.role, advice.progress, advice.done, advice.total, hint)

    def finish(self, size: tuple[int, int], px_mm: float) -> ScreenCalibration:
        """Fit the calibration for a screen of (width, height) px; raises `CalibrationError` with the reason."""
        fit, checks = (self._list_pairs(role) for role in ("fit", "check"))
        calibration = calibrate_screen(fit, checks, size, px_mm)
        if calibration.gaze.radius_deg > MAX_ERROR_DEG:
            raise CalibrationError(
                f"the error is {calibration.gaze.radius_deg:.0f} degrees, and more than {MAX_ERROR_DEG:g} is of no "
                "use; let light fall on your face, sit still, and look at each dot until the next one comes"
            )
        return calibration

    def _list_pairs(self, role: Role) -> list[EyePairs]:
        return [
            EyePairs(
                pairs.name, pairs.time_s, [self._features[time_s] for time_s in pairs.time_s.tolist()],
                (float(pairs.target_px[0, 0]), float(pairs.target_px[0, 1])), pairs.lost, pairs.total,
            )
            for pairs in self._choreography.get_pairs(role)
        ]  # fmt: skip
