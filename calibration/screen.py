"""Maps gaze to a monitor by AprilTags or ArUco markers around it or on it. Pure.

Screen coordinates are the user's own, such as the monitor's pixels or metres: x right, y down.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike

from calibration.camera import CameraModel
from calibration.errors import CalibrationError
from calibration.lens import Floats

MAX_MARKER_AGE_S = 0.3
MAX_ERROR_PX = 3.0
MIN_MARKERS = 3
_MOST_SIGHTS = 64
"""Half a second of the fastest cameras: gaze arrives up to some 100 ms after its picture."""


@dataclass(frozen=True, slots=True, eq=False)
class ScreenPlane:
    """A monitor that has markers around it.

    markers: (4, 2) corners of each, clockwise from its own top left, in screen coordinates, as is size.
    """

    size: tuple[float, float]
    markers: Mapping[int, Floats]

    def __post_init__(self) -> None:
        if len(self.markers) < MIN_MARKERS:
            raise CalibrationError(f"a screen needs {MIN_MARKERS} markers, better 4, got {len(self.markers)}")
        if any(np.shape(corners) != (4, 2) for corners in self.markers.values()):
            raise CalibrationError("each marker needs its 4 corners, (4, 2), clockwise from its own top left")

    @classmethod
    def with_corner_markers(
        cls,
        size: tuple[float, float],
        marker: float,
        *,
        gap: float = 0.0,
        ids: tuple[int, int, int, int] = (0, 1, 2, 3),
    ) -> ScreenPlane:
        """Create a screen with four upright corner markers, clockwise from the top left.

        size, marker, gap: in the same unit. gap: from the screen's corner outwards to the marker's nearest corner; a
        negative one of minus `marker` puts the markers onto the screen, into its corners.
        """
        wide, high = size
        outside, right, bottom = -gap - marker, wide + gap, high + gap
        places = ((outside, outside), (right, outside), (right, bottom), (outside, bottom))
        square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64) * marker
        return cls(size, {number: square + place for number, place in zip(ids, places, strict=True)})


@dataclass(frozen=True, slots=True)
class ScreenGaze:
    """Holds a gaze point in screen coordinates. age_s: age of the marker detection that it uses."""

    x: float
    y: float
    is_on_screen: bool
    age_s: float


class ScreenTracker:
    """Tracks the pose of one screen through a camera's frames. Times are seconds on one clock."""

    def __init__(self, camera: CameraModel, screen: ScreenPlane) -> None:
        self._camera, self._screen = camera, screen
        self._homographies: deque[tuple[float, Floats]] = deque(maxlen=_MOST_SIGHTS)
        self.reason = "no markers seen yet"
        """The reason why the newest frame did not determine the screen's pose, or ""."""
        self.error_px = math.nan
        """Largest reprojection error of a marker corner in the newest frame with enough markers, px."""

    def update_markers(self, markers_px: Mapping[int, ArrayLike], at_s: float) -> bool:
        """Update the homography from a frame's markers, (4, 2) px each; False where it is undetermined."""
        common = [number for number in self._screen.markers if number in markers_px]
        if len(common) < MIN_MARKERS:
            self.reason = f"{len(common)} of the screen's markers seen, {MIN_MARKERS} needed"
            return False
        pixels = np.concatenate([np.asarray(markers_px[number], np.float64).reshape(4, 2) for number in common])
        corners = np.concatenate([self._screen.markers[number] for number in common])
        homography = _find_homography(corners, self._camera.normalize_points(pixels))
        if homography is None:
            self.reason = "the markers' corners fix no plane"
            return False
        plane = cv2.perspectiveTransform(corners[None], homography)[0]
        reprojected = self._camera.project(np.column_stack([plane, np.ones(len(plane))]), margin_px=math.inf)
        self.error_px = float(np.nan_to_num(np.hypot(*(reprojected - pixels).T), nan=math.inf).max())
        if self.error_px > MAX_ERROR_PX:
            self.reason = (
                f"a marker is {self.error_px:.1f} px from where the others put it, {MAX_ERROR_PX:g} are allowed: "
                "another marker of the same number, a bent screen, or wrong measures"
            )
            return False
        if not self._homographies or at_s > self._homographies[-1][0]:
            self._homographies.append((at_s, np.asarray(np.linalg.inv(homography), np.float64)))
        self.reason = ""
        return True

    def locate_gaze(self, gaze_px: tuple[float, float], at_s: float) -> ScreenGaze | None:
        """Map a gaze point, px of the frame as captured, to screen coordinates; None where that is unknown.

        A detection of the markers holds until the next, for `MAX_MARKER_AGE_S` at most; before the first, and after
        that, the result is None. A late gaze sample uses the detection of its own time.
        """
        newest = next((newest for newest in reversed(self._homographies) if newest[0] <= at_s), None)
        if newest is None or at_s - newest[0] > MAX_MARKER_AGE_S:
            return None
        plane = self._camera.normalize_points([gaze_px])
        weights = np.append(plane[0], 1.0) @ newest[1].T
        if not np.isfinite(weights).all() or weights[2] <= 0:
            return None  # outside the picture, or beyond the horizon of the screen's plane
        x, y = float(weights[0] / weights[2]), float(weights[1] / weights[2])
        is_on_screen = 0 <= x <= self._screen.size[0] and 0 <= y <= self._screen.size[1]
        return ScreenGaze(x, y, is_on_screen, at_s - newest[0])


def _find_homography(corners: Floats, plane: Floats) -> Floats | None:
    """Fit the (3, 3) homography from screen coordinates to the plane z = 1; its last number is 1."""
    valid = np.isfinite(plane).all(1)
    if valid.sum() < 4 * MIN_MARKERS:
        return None
    found, _ = cv2.findHomography(corners[valid], plane[valid])
    if found is None or not np.isfinite(found).all() or abs(float(np.linalg.det(found))) < 1e-18:
        return None
    return np.asarray(found, np.float64)
