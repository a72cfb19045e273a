"""Draws a hand that MediaPipe's networks take for one, with thumb and index finger at a known distance."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import Image

SIZE = (640, 480)
OPEN = np.array([
    (50, 95), (38, 88), (28, 77), (21, 67), (15, 59), (40, 58), (37, 42), (35.5, 32), (34.5, 23), (50, 56), (50, 38),
    (50, 27), (50, 17), (59, 58), (61.5, 42), (63, 32), (64, 23), (67, 63), (71.5, 52), (74, 44), (76, 37),
], np.float64)  # fmt: skip
"""The 21 points of an open hand, its palm to the camera, in hundredths of a square."""
CLOSED = OPEN.copy()
CLOSED[[3, 4, 6, 7, 8]] = (20, 67), (20.5, 57.5), (33, 46), (26, 47.5), (21.5, 54.5)
SKIN, SHADE, DARK = (140, 170, 215), (118, 148, 196), (80, 105, 150)


def place_hand(
    openness: float, centre: tuple[float, float] = (320.0, 250.0), side: float = 380.0
) -> NDArray[np.float64]:
    """Place the 21 points, px: with tips that touch at 0, of an open hand at 1. side: of the square around the hand."""
    return ((CLOSED + openness * (OPEN - CLOSED)) / 100 - 0.5) * side + centre


def draw_hand(
    openness: float,
    centre: tuple[float, float] = (320.0, 250.0),
    side: float = 380.0,
    image: Image | None = None,
) -> Image:
    """Draw a hand before a grey wall, or on a copy of an image."""
    out = np.full((SIZE[1], SIZE[0], 3), (120, 112, 104), np.uint8) if image is None else image.copy()
    points, unit = place_hand(openness, centre, side), side / 100
    palm = np.round(points[[0, 1, 2, 5, 9, 13, 17]] * 16).astype(np.int32)[:, None]

    def line(one: NDArray[np.float64], other: NDArray[np.float64], colour: tuple[int, int, int], width: float) -> None:
        ends = [tuple(int(value) for value in np.round(end * 16)) for end in (one, other)]
        cv2.line(out, *ends, colour, max(1, round(width * unit)), cv2.LINE_AA, 4)

    for colour, more in ((DARK, 1.6), (SKIN, 0.0)):
        line(points[0], points[0] + np.array([2, 40]) * unit, colour, 18 + more)
        hull = cv2.convexHull(palm)
        cv2.fillPoly(out, [hull], colour, cv2.LINE_AA, 4)
        cv2.polylines(out, [hull], True, colour, max(1, round((7 + more) * unit)), cv2.LINE_AA, 4)
        for root in (5, 9, 13, 17, 1):
            width = 10 if root == 1 else 8.2
            for k in range(3):
                line(points[root + k], points[root + k + 1], colour, width - 0.8 * (k + 1) + more)
    for joint in (6, 7, 10, 11, 14, 15, 18, 19):
        across = np.array([2.2, 0]) * unit
        line(points[joint] - across, points[joint] + across, SHADE, 0.7)
    for root, below, end, above in ((5, (-1, 6), 0, (-4, -6)), (5, (0, 8), 17, (0, 14)), (17, (0, 5), 9, (0, 5))):
        line(points[root] + np.array(below) * unit, points[end] + np.array(above) * unit, SHADE, 0.8)
    return np.asarray(cv2.GaussianBlur(out, (0, 0), 1.2), np.uint8)
