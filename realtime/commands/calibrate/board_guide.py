"""Draws the guidance image of a camera calibration: missing coverage and the next instruction. Pure."""

from __future__ import annotations

import cv2
import numpy as np

from calibration.boards import BoardDetection
from calibration.collecting import ViewDecision
from calibration.coverage import COLUMNS, MIN_CORNERS_PER_CELL, ROWS, FieldCoverage
from engines import Image

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
    """Return a copy of the (H, W, 3) BGR image with missing coverage tinted and an instruction."""
    out = image.copy()
    high, wide = image.shape[:2]
    unit = max(1, round(min(high, wide) / 240))
    _tint_missing(out, coverage)
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


def _tint_missing(out: Image, coverage: FieldCoverage) -> None:
    high, wide = out.shape[:2]
    for row in range(ROWS):
        for column in range(COLUMNS):
            lack = 1 - min(1.0, coverage.counts[row, column] / MIN_CORNERS_PER_CELL)
            if not lack:
                continue
            part = out[
                high * row // ROWS : high * (row + 1) // ROWS, wide * column // COLUMNS : wide * (column + 1) // COLUMNS
            ]
            cv2.addWeighted(part, 1 - 0.35 * lack, np.full_like(part, _MISSING), 0.35 * lack, 0, dst=part)


def _draw_text(out: Image, text: str, y: int, unit: int) -> None:
    (wide, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.42 * unit, unit)
    scale = 0.42 * unit * min(1.0, (out.shape[1] - 12 * unit) / max(1, wide))
    for colour, width in (((0, 0, 0), 3 * unit), (_INK, unit)):
        cv2.putText(out, text, (6 * unit, y), cv2.FONT_HERSHEY_SIMPLEX, scale, colour, width, cv2.LINE_AA)
