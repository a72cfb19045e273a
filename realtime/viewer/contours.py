"""Finds mask contours for a page, and draws glowing edges on black for a see-through display. Pure."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import Image
from realtime.media.overlay import COLOURS
from realtime.types import Mask, MaskResult

Contour = NDArray[np.uint16]
_GLOW_STROKES = ((9, 0.25), (5, 0.5))
"""(width in units of the line, brightness) of the strokes below the edge itself."""


def find_contours(mask: Mask | None) -> list[Contour]:
    """Find the closed contours of an (H, W) bool mask, each (N, 2) x, y px: outer edges and holes; none of None.

    They run through the centres of the mask's own border pixels. Filled by the even-odd rule and drawn along with a
    line one pixel wide, they give the mask again, but for the corners of pixels.
    """
    if mask is None:
        return []
    x, y, w, h = cv2.boundingRect(mask.view(np.uint8))
    if not w or not h:
        return []
    part = np.ascontiguousarray(mask[y : y + h, x : x + w]).view(np.uint8)
    found, _ = cv2.findContours(part, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=(x, y))
    return [np.asarray(points[:, 0, :], np.uint16) for points in found]


def draw_edges(message: MaskResult | None, size: tuple[int, int], homography: NDArray[np.float64]) -> Image:
    """Draw the glowing mask edge on black, which such a display leaves transparent.

    Returns (height, width, 3) BGR. size: (width, height) of the display. homography: (3, 3), from the frame's pixels to
    the display's. A contour that it maps beyond the display's horizon is left out.
    """
    out = np.zeros((size[1], size[0], 3), np.uint8)
    if message is None:
        return out
    unit = max(1, round(min(size) / 240))
    lines = [line for points in find_contours(message.mask) for line in map_contour(points, homography, size)]
    blue, green, red = COLOURS[message.state]
    for width, brightness in (*_GLOW_STROKES, (2, 1.0)):
        colour = (round(blue * brightness), round(green * brightness), round(red * brightness))
        if width == 2 and message.confirmed is not None:
            cv2.polylines(out, lines, True, (255, 255, 255), 3 * unit, cv2.LINE_AA)
        cv2.polylines(out, lines, True, colour, max(1, round(width * unit / 2)), cv2.LINE_AA)
    return out


def map_contour(points: Contour, homography: NDArray[np.float64], size: tuple[int, int]) -> list[NDArray[np.int32]]:
    """Map a contour to the display as one (N, 1, 2) int32 array; empty where part of it lies behind the viewer."""
    homogeneous = np.column_stack([points.astype(np.float64), np.ones(len(points))]) @ homography.T
    sign = np.sign(homography[2, 2]) or 1.0
    if (homogeneous[:, 2] * sign <= 1e-9).any():
        return []
    flat = homogeneous[:, :2] / homogeneous[:, 2:]
    far = 4 * max(size)  # beyond the visible part of any line, and within the range of OpenCV's integers
    return [np.clip(np.round(flat), -far, far).astype(np.int32)[:, None, :]]
