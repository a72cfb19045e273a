"""Draws the guidance image of a camera calibration: missing coverage and the next instruction. Pure."""

from __future__ import annotations

import cv2
import numpy as np

from calibration.boards import BoardDetection
from calibration.collecting import ViewDecision
from calibration.coverage import MIN_CORNERS_PER_CELL, FieldCoverage
from engines import Image
from realtime.media.overlay import measure_text, put_text

# Blue, green, red; amber and cyan can be distinguished with any colour vision.
_MISSING, _FOUND, _INK = (0, 159, 230), (255, 200, 60), (255, 255, 255)
_STATES: dict[ViewDecision, str] = {
    "no board": "show the board",
    "moving": "hold still",
    "seen already": "",
    "taken": "taken",
    "full": "enough",
}


def draw_guidance(
    image: Image, coverage: FieldCoverage, detection: BoardDetection | None, decision: ViewDecision
) -> Image:
    """Tint missing coverage in a copy of an (H, W, 3) BGR image, and write instructions."""
    out = _tint_missing(image, coverage)
    high, wide = image.shape[:2]
    unit = max(1, round(min(high, wide) / 240))
    if detection is not None:
        for x, y in detection.points_px:
            cv2.circle(out, (round(x), round(y)), 2 * unit, _FOUND, -1, cv2.LINE_AA)
    if decision == "taken":
        cv2.rectangle(out, (0, 0), (wide - 1, high - 1), _FOUND, 6 * unit)
    state = _STATES[decision] or "good"
    _draw_text(out, f"{coverage.views} views, {100 * coverage.share:.0f} %   {state}", 18 * unit, unit)
    _draw_text(out, coverage.next_instruction or "done: press q", high - 12 * unit, unit)
    cv2.rectangle(out, (0, high - 4 * unit), (round(wide * coverage.share), high), _FOUND, -1)
    return out


def _tint_missing(image: Image, coverage: FieldCoverage) -> Image:
    """Return a copy in which each cell is tinted by its share of missing corners."""
    lack = 0.35 * (1 - np.minimum(1.0, coverage.counts / MIN_CORNERS_PER_CELL))
    share = cv2.resize(lack.astype(np.float32), image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.blendLinear(image, np.full_like(image, _MISSING), 1 - share, share), np.uint8)


def _draw_text(out: Image, text: str, y: int, unit: int) -> None:
    wide = measure_text(text, unit, 0.42)
    put_text(out, text, (6 * unit, y), _INK, unit, 0.42 * min(1.0, (out.shape[1] - 12 * unit) / max(1, wide)))
