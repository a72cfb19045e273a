"""Draws a thumbnail of an object: its part of the frame, edge drawn, surroundings dimmed. Pure."""

from __future__ import annotations

import cv2
import numpy as np

from engines import Image
from realtime.media.overlay import COLOURS
from realtime.types import Mask, State

SIZE = (192, 144)
_MARGIN = 1.3
_DIM = 0.6


def draw_thumbnail(image: Image, mask: Mask, state: State, size: tuple[int, int] = SIZE) -> Image:
    """Draw a (height, width, 3) BGR thumbnail of `size` (width, height) around the (H, W) mask."""
    x0, y0, x1, y1 = crop_box(mask, size)
    interpolation = cv2.INTER_AREA if x1 - x0 > size[0] else cv2.INTER_LINEAR
    out = np.asarray(cv2.resize(image[y0:y1, x0:x1], size, interpolation=interpolation), np.uint8)
    inside = cv2.resize(mask[y0:y1, x0:x1].astype(np.float32), size, interpolation=interpolation) >= 0.5
    out[~inside] = (out[~inside] * _DIM).astype(np.uint8)
    contours, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(out, contours, -1, COLOURS[state], 2, cv2.LINE_AA)
    return out


def crop_box(mask: Mask, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Find x0, y0, x1, y1 px (the last two exclusive) around the mask, within the frame.

    The box has the aspect ratio of `size` (width, height). An empty mask gives the middle of the frame.
    """
    height, width = mask.shape
    x, y, w, h = cv2.boundingRect(mask.view(np.uint8))
    if not w or not h:
        x, y, w, h = 0, 0, width, height
    box_width = max(w * _MARGIN, h * _MARGIN * size[0] / size[1], size[0] / 4)
    box_width = min(box_width, width, height * size[0] / size[1])
    box_height = box_width * size[1] / size[0]
    left = min(max(0.0, x + w / 2 - box_width / 2), width - box_width)
    top = min(max(0.0, y + h / 2 - box_height / 2), height - box_height)
    x0, y0 = round(left), round(top)
    return x0, y0, min(width, x0 + max(1, round(box_width))), min(height, y0 + max(1, round(box_height)))
