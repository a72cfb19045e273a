"""A small picture of a thing: the part of a frame that it is in, its edge drawn, what is round it dimmed. Pure."""

from __future__ import annotations

import cv2
import numpy as np

from engines import Image
from realtime.media.overlay import COLOURS
from realtime.types import Mask, State

SIZE = (192, 144)
_ROOM = 1.3
_DIM = 0.6


def thumbnail(image: Image, mask: Mask, state: State, size: tuple[int, int] = SIZE) -> Image:
    """(height, width, 3) BGR of `size` (width, height): what is round the (H, W) mask, as far as the frame goes."""
    x0, y0, x1, y1 = part(mask, size)
    smooth = cv2.INTER_AREA if x1 - x0 > size[0] else cv2.INTER_LINEAR
    out = np.asarray(cv2.resize(image[y0:y1, x0:x1], size, interpolation=smooth), np.uint8)
    inside = cv2.resize(mask[y0:y1, x0:x1].astype(np.float32), size, interpolation=smooth) >= 0.5
    out[~inside] = (out[~inside] * _DIM).astype(np.uint8)
    lines, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(out, lines, -1, COLOURS[state], 2, cv2.LINE_AA)
    return out


def part(mask: Mask, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 px, the last two exclusive: of the shape of `size`, round the mask, within the frame."""
    height, width = mask.shape
    x, y, w, h = cv2.boundingRect(mask.view(np.uint8))
    if not w or not h:
        x, y, w, h = 0, 0, width, height
    wide = max(w * _ROOM, h * _ROOM * size[0] / size[1], size[0] / 4)
    wide = min(wide, width, height * size[0] / size[1])
    high = wide * size[1] / size[0]
    left = min(max(0.0, x + w / 2 - wide / 2), width - wide)
    top = min(max(0.0, y + h / 2 - high / 2), height - high)
    x0, y0 = round(left), round(top)
    return x0, y0, min(width, x0 + max(1, round(wide))), min(height, y0 + max(1, round(high)))
