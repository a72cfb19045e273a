"""Decodes the output of BlazeFace, MediaPipe's face detector for short range. Pure.

Bazarevsky et al., BlazeFace: sub-millisecond neural face detection on mobile GPUs, 2019. Its 896 anchors are centred on
the cells of two grids: two for each of 16 x 16, six for each of 8 x 8.
"""

from __future__ import annotations

import math

from engines.base import Floats
from engines.landmarks.network import build_anchors, decode_box, to_probability
from engines.landmarks.picture_region import PictureRegion

SIDE = 128
"""Side of the network's input, px."""
MIN_SCORE = 0.5
FACE_SCALE = 1.5
"""Side of the landmarks' region, as a multiple of the detected box."""
ANCHORS = build_anchors(((16, 2), (8, 6)))


def find_best_face(boxes: Floats, logits: Floats) -> tuple[PictureRegion, float] | None:
    """Return the most probable face, in px of the input, and its score; None below `MIN_SCORE`.

    boxes: (896, 16) centre, size and six points, px, relative to their anchors. logits: (896,).
    """
    best = int(logits.argmax())
    score = to_probability(logits[best])
    if not score >= MIN_SCORE:
        return None
    (x, y), size, (right_x, right_y), (left_x, left_y) = decode_box(boxes[best], ANCHORS[best], SIDE)[:4]
    angle = math.atan2(left_y - right_y, left_x - right_x)
    return PictureRegion(float(x), float(y), float(size.max()) * FACE_SCALE, angle), score
