"""Draws calibration markers and finds them in the scene picture. Pure.

ArUco markers of 5 x 5 cells (Garrido-Jurado et al., Pattern Recognition 2014) are detected rotated and tilted, too, and
their numbers identify the target.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.markers import detect_markers, get_marker_dictionary

Image = NDArray[np.uint8]

DICTIONARY = "5X5_50"
QUIET = 0.2
"""White margin round a marker, as a share of its side; detection needs it."""
_LONG_SIDE_PX = 1280


def draw_marker(number: int, side_px: int) -> Image:
    """Draw (side, side, 3) BGR: a marker in its white margin, with a fixation dot."""
    inner = max(7, round(side_px / (1 + 2 * QUIET)))
    inner -= (side_px - inner) % 2  # the same margin on either side
    code = np.asarray(cv2.aruco.generateImageMarker(get_marker_dictionary(DICTIONARY), number, inner), np.uint8)
    out = np.full((side_px, side_px, 3), 255, np.uint8)
    start = (side_px - inner) // 2
    out[start : start + inner, start : start + inner] = code[..., None]
    middle = side_px // 2, side_px // 2
    cv2.circle(out, middle, max(2, side_px // 26), (255, 255, 255), -1, cv2.LINE_AA)
    cv2.circle(out, middle, max(1, side_px // 40), (0, 0, 220), -1, cv2.LINE_AA)
    return out


def find_marker_centres(image: Image) -> dict[int, tuple[float, float]]:
    """Find every marker's centre, px, in a BGR picture, by number."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    shrink = min(1.0, _LONG_SIDE_PX / max(grey.shape))
    if shrink < 1:
        grey = cv2.resize(grey, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    found = detect_markers(np.asarray(grey, np.uint8), DICTIONARY)
    return {number: _centre(corners, shrink) for number, corners in found.items()}


def _centre(four: np.ndarray[tuple[int, ...], np.dtype[np.float64]], shrink: float) -> tuple[float, float]:
    """Intersect the diagonals: the marker's middle under perspective, too."""
    a, b, c, d = four
    along, across, between = c - a, d - b, b - a
    area = along[0] * across[1] - along[1] * across[0]
    share = (between[0] * across[1] - between[1] * across[0]) / area if abs(area) > 1e-9 else 0.5
    x, y = a + share * along
    return float((x + 0.5) / shrink - 0.5), float((y + 0.5) / shrink - 0.5)
