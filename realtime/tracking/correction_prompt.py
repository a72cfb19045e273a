"""Makes prompts of a user's clicks on a mask that is to be corrected. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from engines import Prompt
from realtime.types import Click, Mask


def make_correction_prompt(
    clicks: Sequence[Click], box: tuple[float, float, float, float] | None = None, before: Mask | None = None
) -> Prompt:
    """Make a prompt of clicks and a box; raises `PromptError` where it is empty.

    before: the mask to correct, whose middle is added where clicks say too little, see `find_support`.
    """
    support = find_support(clicks, before) if before is not None and box is None else None
    points = [*([support] if support is not None else []), *clicks]
    return Prompt(
        np.array([click[:2] for click in points], np.float32).reshape(-1, 2),
        np.array([click[2] for click in points], np.int8),
        None if box is None else np.array(box, np.float32),
    )


def find_support(clicks: Sequence[Click], before: Mask) -> Click | None:
    """Find the point of the mask before that a prompt needs beside its clicks; None where it needs none.

    A single click, or clicks on the background alone, say too little of the object: the most interior point of the mask
    before is added. Its logits are not: a mask that the decoder did not make itself tears the next one apart.
    """
    is_vague = len(clicks) == 1 or not any(label for *_, label in clicks)
    if not is_vague or not before.any():
        return None
    return (*find_interior_point(before, [(x, y) for x, y, label in clicks if not label]), 1)


def find_interior_point(mask: Mask, away_from: Sequence[tuple[float, float]] = ()) -> tuple[float, float]:
    """Find the x, y px of a mask that is farthest from its edge, and from other points."""
    inside = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    for x, y in away_from:
        inside[min(max(round(y), 0), mask.shape[0] - 1) + 1, min(max(round(x), 0), mask.shape[1] - 1) + 1] = 0
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)[1:-1, 1:-1]
    row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return float(column), float(row)
