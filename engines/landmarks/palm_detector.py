"""Decodes the output of MediaPipe's palm detector. Pure.

Zhang et al., MediaPipe Hands: on-device real-time hand tracking, 2020. Its 2016 anchors are centred on the cells of two
grids: two for each of 24 x 24, six for each of 12 x 12.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from engines.base import Floats
from engines.landmarks.network import build_anchors, decode_box, to_probability
from engines.landmarks.picture_region import PictureRegion

SIDE = 192
"""Side of the network's input, px."""
MIN_SCORE = 0.5
MAX_OVERLAP = 0.3
"""Palms whose boxes have a higher IoU are one."""
HAND_SCALE, HAND_SHIFT = 2.6, -0.5
"""The hand's region: its side and its shift towards the fingers, as multiples of the palm's box; MediaPipe's values."""
ANCHORS = build_anchors(((24, 2), (12, 6)))


def find_palms(boxes: Floats, logits: Floats, count: int) -> list[PictureRegion]:
    """Return the regions of the hands of the most probable palms, at most `count`, in px of the input.

    boxes: (2016, 18) centre, size and seven points, px, relative to their anchors. logits: (2016,).
    """
    kept = [int(index) for index in np.flatnonzero(logits >= 0) if to_probability(logits[index]) >= MIN_SCORE]
    decoded = [decode_box(boxes[index], ANCHORS[index], SIDE) for index in kept]
    corners = [[*(places[0] - places[1] / 2), *places[1]] for places in decoded]
    best = cv2.dnn.NMSBoxes(corners, [float(logits[index]) for index in kept], 0.0, MAX_OVERLAP) if kept else ()
    regions = []
    for index in list(best)[:count]:
        (x, y), size, (wrist_x, wrist_y), _, (middle_x, middle_y) = decoded[index][:5]
        # Upright, the fingers point up: from the wrist to the middle finger's root.
        angle = math.atan2(middle_y - wrist_y, middle_x - wrist_x) + math.pi / 2
        side = float(size.max())
        regions.append(PictureRegion(float(x), float(y), side * HAND_SCALE, angle).shift(0.0, HAND_SHIFT / HAND_SCALE))
    return regions
