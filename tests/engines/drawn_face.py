"""Draws a face that MediaPipe's networks take for one, with irises at known places."""

from __future__ import annotations

import cv2
import numpy as np

from engines import Image

SIZE = (640, 480)
EYES = ((282.0, 236.0), (358.0, 236.0))
"""Middles of the eyes, px: of the person's right one, which is on the left in the picture, and of the left one."""
_STEPS = 16
SKIN, SHADE, HAIR = (150, 175, 215), (140, 165, 206), (40, 60, 90)


def draw_face(dx: float = 0.0, dy: float = 0.0) -> Image:
    """Draw a face whose irises are (dx, dy) px from the middles of its eyes."""
    image = np.full((SIZE[1], SIZE[0], 3), (190, 180, 170), np.uint8)

    def fill(x: float, y: float, a: float, b: float, colour: tuple[int, int, int], angle: float = 0.0) -> None:
        centre, axes = (round(x * _STEPS), round(y * _STEPS)), (round(a * _STEPS), round(b * _STEPS))
        cv2.ellipse(image, centre, axes, angle, 0, 360, colour, -1, cv2.LINE_AA, 4)

    fill(320, 225, 112, 140, HAIR)
    fill(320, 250, 92, 122, SKIN)
    fill(320, 160, 90, 45, HAIR)
    for x in (225, 415):
        fill(x, 255, 14, 26, SHADE)
    for side, (x, y) in zip((-1, 1), EYES, strict=True):
        fill(x, y - 31, 24, 5, HAIR, -6 * side)
        fill(x, y - 1, 24, 14, (110, 135, 180))
        fill(x, y, 20, 9, (240, 240, 240))
        fill(x + dx, y + dy, 8, 8, (70, 60, 50))
        fill(x + dx, y + dy, 3.5, 3.5, (10, 10, 10))
        lid = round(x * _STEPS), round(y * _STEPS)
        cv2.ellipse(image, lid, (20 * _STEPS, 10 * _STEPS), 0, 180, 360, (30, 40, 60), 3, cv2.LINE_AA, 4)
    fill(320, 270, 9, 26, (165, 190, 228))
    fill(320, 290, 17, 9, SHADE)
    for x in (312, 328):
        fill(x, 294, 4, 3, (80, 100, 140))
    fill(320, 322, 34, 10, (90, 95, 180))
    cv2.line(image, (288, 322), (352, 322), (50, 55, 110), 2, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 1.6), np.uint8)
