"""Estimates from the landmarks of a face where its eyes look, before any calibration. Pure.

The landmarks are MediaPipe's: 468 points of the face with a depth, and points of iris and lids. A head pose is fitted
to rigid points of MediaPipe's canonical face model (orthogonal Procrustes analysis with scale, Umeyama, PAMI 1991).
It gives the scale, and the centres of the eyeballs behind the middle of each eye's corners; from there the iris centre
shows the direction of the eye, so that the estimate allows for motion of the head. Frame of reference: the camera's,
mm, x right and y down in its picture, z forward.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.lens import Floats

IRIS_MM = 11.7
"""Diameter of the visible iris, which differs little among people (11.7 +- 0.5 mm)."""
EYEBALL_DEPTH_MM = 5.0
"""Distance of the eyeball's centre behind the middle of the eye's corners."""
IRIS_RADIUS_MM = 10.5
"""Distance of the iris from the eyeball's centre."""
MAX_SINE = 0.9
"""Largest sine of an eye's angle; an iris that is farther out was found wrongly."""
CLOSED_SHARE = 0.6
"""Share of the usual opening of the lids below which an eye is closed."""
OPENING_SAMPLES = 150
"""Number of openings, some five seconds, of which the upper quartile is the usual one."""

_CANONICAL = {
    33: (-44.459, 26.640, 31.734), 133: (-18.564, 25.852, 37.579),
    362: (18.564, 25.852, 37.579), 263: (44.459, 26.640, 31.734),
    1: (0.0, -11.269, 74.756), 4: (0.0, -4.632, 75.866), 5: (0.0, 3.657, 72.429), 6: (0.0, 24.733, 57.886),
    168: (0.0, 32.710, 52.360), 8: (0.0, 40.190, 52.848), 9: (0.0, 48.860, 53.853), 10: (0.0, 82.618, 44.815),
    127: (-77.431, 23.650, -20.052), 356: (77.431, 23.650, -20.052),
    234: (-76.642, 6.731, -24.359), 454: (76.642, 6.731, -24.359),
}  # fmt: skip
"""Rigid points of MediaPipe's canonical face model (Apache-2.0), mm, y up and z towards the viewer, by their number."""
_POINTS = list(_CANONICAL)
_MODEL = np.array(list(_CANONICAL.values())) * (1, -1, -1)
_MODEL -= _MODEL.mean(0)
_LOWER_LID, _UPPER_LID = (3, 4, 5), (11, 12, 13)
"""Points of the middle of each lid in the contour of an eye."""


@dataclass(frozen=True, slots=True)
class EyeFeatures:
    """Holds the measurements of one picture of a face.

    screen_mm: where the eyes meet the camera's plane, x right for the person, y down, of a face of the canonical size.
    distance_mm: of that face from the camera.
    iris_ratio: diameter of the irises, as a multiple of that which a face of the canonical size would have.
    opening: the lids' distance, as a share of the eye's width (the eye aspect ratio of Soukupová and Čech, CVWW 2016).
    """

    screen_mm: tuple[float, float]
    distance_mm: float
    iris_ratio: float
    opening: float

    @property
    def person_distance_mm(self) -> float:
        """Distance of the person's eyes from the camera, by the irises, which differ less among people than faces."""
        return self.distance_mm / self.iris_ratio


def measure_eyes(
    points: Floats, irises: Floats, eyes: Floats, picture_size: tuple[int, int], fov_deg: float
) -> EyeFeatures | None:
    """Measure the eyes in a picture of (width, height) px; None for landmarks that are no face.

    points: (468, 3) px. irises: (2, 5, 2) px, centre and edge. eyes: (2, 16, 2) px. fov_deg: the camera's horizontal
    field of view.
    """
    pose = fit_head(points)
    if pose is None:
        return None
    rotation, scale = pose
    focal_px = picture_size[0] / 2 / math.tan(math.radians(fov_deg) / 2)
    # The corners of the iris network's contour, as they tremble with the iris, both being found in the same crop: on
    # rendered faces the error is half of that with the corners of the face network.
    middles = (eyes[:, 0] + eyes[:, 8]) / 2
    centres = middles + rotation[:2, 2] * EYEBALL_DEPTH_MM * scale
    sines = np.mean((irises[:, 0] - centres) / (scale * IRIS_RADIUS_MM), axis=0)
    reach = float(np.hypot(*sines))
    if not reach < MAX_SINE:
        return None
    distance_mm = focal_px / scale
    # The sines are relative to the ray from the camera to the eye, on which eyes that look into the camera look. So
    # the place of the face in the picture cancels out: an eye d from the axis looks d back to reach the camera.
    x, y = distance_mm * sines / math.sqrt(1 - reach**2)
    diameter_px = float(np.mean([np.linalg.norm(iris[a] - iris[b]) for iris in irises for a, b in ((1, 3), (2, 4))]))
    return EyeFeatures((-float(x), float(y)), distance_mm, diameter_px / IRIS_MM / scale, measure_opening(eyes))


def fit_head(points: Floats) -> tuple[NDArray[np.float64], float] | None:
    """Fit the canonical face to (468, 3) landmarks: rotation (3, 3), and px per mm; None if impossible.

    The depth is that of the landmarks, so that neither focal length nor iterations are needed.
    """
    found = np.asarray(points, np.float64)[_POINTS]
    if not np.isfinite(found).all():
        return None
    seen = found - found.mean(0)
    u, singular, vt = np.linalg.svd(seen.T @ _MODEL)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    scale = float((singular * signs).sum() / (_MODEL**2).sum())
    return (u * signs @ vt, scale) if scale > 1e-6 else None


def measure_opening(eyes: Floats) -> float:
    """Measure the mean opening of the lids of (2, 16, 2) contours, as a share of the eyes' widths."""
    gaps = np.linalg.norm(eyes[:, _UPPER_LID].mean(1) - eyes[:, _LOWER_LID].mean(1), axis=1)
    widths = np.linalg.norm(eyes[:, 8] - eyes[:, 0], axis=1)
    return float(np.mean(gaps / np.maximum(widths, 1e-6)))


class BlinkDetector:
    """Detects closed eyes by comparing the lids' opening with its usual value."""

    def __init__(self) -> None:
        self._openings: deque[float] = deque(maxlen=OPENING_SAMPLES)

    def is_closed(self, opening: float) -> bool:
        """Add an opening and return whether the eyes are closed."""
        self._openings.append(opening)
        return opening < CLOSED_SHARE * float(np.percentile(self._openings, 75))
