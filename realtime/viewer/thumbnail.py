"""Draws thumbnails of objects: a part of the frame, the edge drawn, surroundings dimmed; keeps the best of each."""

from __future__ import annotations

import cv2
import numpy as np

from engines import Image
from realtime.media.jpeg import encode_jpeg
from realtime.media.overlay import COLOURS
from realtime.pipeline.observers import FrameResult
from realtime.types import Mask, State

SIZE = (192, 144)
QUALITY = 85
MIN_INTERVAL_NS = 1_000_000_000
"""Between two thumbnails of the same object; one takes some 2 ms."""
MIN_IMPROVEMENT = 0.03
"""Of the quality of a thumbnail that replaces another."""
STATE_QUALITY: dict[State, float] = {"locked": 1.0, "preview": 0.0, "held": -1.0}
"""Added to the confidence: a mask moved by flow alone fits less well."""
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


class BestThumbnails:
    """A collection of the best thumbnail of each object so far, added to by one thread and read by any."""

    def __init__(self) -> None:
        self._best: dict[int, tuple[float, int, int, bytes]] = {}
        """By object: quality, time of the frame, version, JPEG."""

    def clear(self) -> None:
        """Forget all objects."""
        self._best = {}

    def add_result(self, result: FrameResult) -> None:
        """Draw the shown object if that is better than its last thumbnail."""
        message, at_ns = result.result, result.frame.captured_ns
        if message is None or message.mask is None or message.is_guess:
            return
        quality = message.confidence + STATE_QUALITY[message.state]
        best, last_ns, version, _ = self._best.get(message.object, (-2.0, at_ns - MIN_INTERVAL_NS, 0, b""))
        if at_ns - last_ns < MIN_INTERVAL_NS or quality < best + MIN_IMPROVEMENT:
            return
        jpeg = encode_jpeg(draw_thumbnail(result.frame.image, message.mask, message.state), QUALITY)
        self._best[message.object] = quality, at_ns, version + 1, jpeg

    def version(self, object_id: int) -> int:
        """Return the number of thumbnails drawn of an object so far."""
        return self._best.get(object_id, (0.0, 0, 0, b""))[2]

    def jpeg(self, object_id: int) -> bytes | None:
        """Return an object's thumbnail; None before the first."""
        best = self._best.get(object_id)
        return best[3] if best is not None else None
