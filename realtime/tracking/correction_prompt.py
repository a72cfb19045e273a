"""Makes prompts of a user's clicks on a mask that is to be corrected. Pure.

A correction continues the decoder's own conversation, as SAM was trained (Kirillov et al., "Segment Anything", appendix
A): every click is added to the prompt that made the mask, with the logits of that mask. Clicks alone lose what
the mask knew, and the second one, which answers to the first one's mask, then destroys it.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from engines import Floats, Prompt
from realtime.types import Click, Mask

Box = tuple[float, float, float, float]


def make_correction_prompt(
    clicks: Sequence[Click],
    box: Box | None = None,
    support: tuple[float, float] | None = None,
    mask_logits: Floats | None = None,
) -> Prompt:
    """Make a prompt of clicks and a box; raises `PromptError` where it is empty.

    support: x, y px of the point that prompted the mask to correct. mask_logits: of that mask, if the decoder made it.
    """
    points = [*([] if support is None else [(*support, 1)]), *clicks]
    return Prompt(
        np.array([point[:2] for point in points], np.float32).reshape(-1, 2),
        np.array([point[2] for point in points], np.int8),
        None if box is None else np.array(box, np.float32),
        mask_logits,
    )


def find_interior_point(mask: Mask, away_from: Sequence[tuple[float, float]] = ()) -> tuple[float, float]:
    """Find the x, y px of a mask that is farthest from its edge, and from other points."""
    inside = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    for x, y in away_from:
        inside[min(max(round(y), 0), mask.shape[0] - 1) + 1, min(max(round(x), 0), mask.shape[1] - 1) + 1] = 0
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)[1:-1, 1:-1]
    row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return float(column), float(row)
