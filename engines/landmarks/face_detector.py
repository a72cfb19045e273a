"""Decodes the output of BlazeFace, MediaPipe's face detector for short range. Pure.

Bazarevsky et al., BlazeFace: sub-millisecond neural face detection on mobile GPUs, 2019. Its 896 anchors are centred on
the cells of two grids: two for each of 16 x 16, six for each of 8 x 8.
"""

from __future__ import annotations

import math

import numpy as np

from engines.base import Floats
from engines.landmarks.picture_region import PictureRegion

SIDE = 128
"""Side of the network's input, px."""
MIN_SCORE = 0.5
FACE_SCALE = 1.5
"""Side of the landmarks' region, as a multiple of the detected box."""
_MAX_LOGIT = 100.0


def build_anchors() -> Floats:
    """Build the (896, 2) anchor centres, 0 to 1."""
    grids = []
    for cells, anchors in ((16, 2), (8, 6)):
        centres = (np.arange(cells, dtype=np.float32) + 0.5) / cells
        grid = np.stack(np.meshgrid(centres, centres), -1).reshape(-1, 2)
        grids.append(np.repeat(grid, anchors, axis=0))
    return np.concatenate(grids)


ANCHORS = build_anchors()


def find_best_face(boxes: Floats, logits: Floats) -> tuple[PictureRegion, float] | None:
    """Return the most probable face, in px of the input, and its score; None below `MIN_SCORE`.

    boxes: (896, 16) centre, size and six points, px, relative to their anchors. logits: (896,).
    """
    best = int(logits.argmax())
    score = 1 / (1 + math.exp(-float(np.clip(logits[best], -_MAX_LOGIT, _MAX_LOGIT))))
    if not score >= MIN_SCORE:
        return None
    places = boxes[best].reshape(8, 2).astype(np.float64)
    places += ANCHORS[best] * SIDE * (np.arange(8) != 1)[:, None]  # the second pair is the size
    (x, y), size, (right_x, right_y), (left_x, left_y) = places[:4]
    angle = math.atan2(left_y - right_y, left_x - right_x)
    return PictureRegion(float(x), float(y), float(size.max()) * FACE_SCALE, angle), score
