"""Draws a mask message on its frame: for the overlay topic, the window, the demo and clients. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from cv2.typing import MatLike

from engines import Image
from realtime.types import MaskResult, State

# Blue, green, red. Distinct also for red-green blindness: amber, cyan, lilac, grey (after Okabe & Ito, 2008).
COLOURS: dict[State, tuple[int, int, int]] = {
    "preview": (0, 159, 230),
    "locked": (255, 200, 60),
    "held": (200, 140, 200),
    "lost": (160, 160, 160),
}
_TINT = 0.42
_DASH = 6
"""Pixels of each dash, and of each gap, round a mask made without the model."""
_FONT_PX = 33
"""Size of the font at scale 1."""


def draw_overlay(image: Image, message: MaskResult | None, *, label: bool = True, name: str = "") -> Image:
    """Draw mask, gaze and state on a copy of an (H, W, 3) BGR frame.

    The message must be of this frame: its mask has the frame's size. Without one the frame is returned as it is. A
    confirmed mask has a white rim.
    name: the label of the object, "" without one.
    """
    if message is None:
        return image
    out = image.copy()
    colour = COLOURS[message.state]
    unit = max(1, round(min(image.shape[:2]) / 240))  # line width that reads the same on any size
    box = message.box
    if message.mask is not None and box is not None:
        x0, y0, x1, y1 = box
        part = message.mask[y0:y1, x0:x1].astype(np.uint8)
        area = out[y0:y1, x0:x1]
        tint = _TINT / 2 if message.is_guess else _TINT
        tinted = cv2.addWeighted(area, 1 - tint, np.full_like(area, colour), tint, 0)
        cv2.copyTo(tinted, part, area)
        outlines, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=(x0, y0))
        if message.is_guess:
            outlines = _cut_dashes(outlines, _DASH * unit)
        if message.confirmed is not None:
            cv2.polylines(out, outlines, True, (255, 255, 255), 3 * unit, cv2.LINE_AA)
        cv2.polylines(out, outlines, not message.is_guess, colour, unit, cv2.LINE_AA)
    gaze = round(message.gaze.x), round(message.gaze.y)
    for ink, width in (((0, 0, 0), 3 * unit), ((255, 255, 255), unit)):  # a black rim, to be visible on everything
        cv2.drawMarker(out, gaze, ink, cv2.MARKER_CROSS, 10 * unit, width, cv2.LINE_AA)
    if label:
        confirmed = f"confirmed by {message.confirmed.by}" if message.confirmed is not None else ""
        words = (str(message.object) if message.object else "", name, message.state, confirmed)
        put_text(out, "  ".join(word for word in words if word), (6 * unit, 16 * unit), colour, unit)
    return out


def draw_caption(image: Image, text: str) -> Image:
    """Draw a line of text at the bottom of a copy of an (H, W, 3) BGR frame."""
    out, unit = image.copy(), max(1, round(min(image.shape[:2]) / 240))
    put_text(out, text, (6 * unit, image.shape[0] - 8 * unit), (255, 255, 255), unit)
    return out


def _cut_dashes(outlines: Sequence[MatLike], length: int) -> list[MatLike]:
    """Cut closed outlines, one point a pixel, into open lines with gaps of the same length."""
    return [outline[begin : begin + length] for outline in outlines for begin in range(0, len(outline), 2 * length)]


def put_text(
    out: Image, text: str, place: tuple[int, int], colour: tuple[int, int, int], unit: int = 1, scale: float = 0.45,
    *, rim: bool = True,
) -> None:  # fmt: skip
    """Write text in the font of the charts, its baseline beginning at `place` px.

    unit multiplies its size and the width of its black rim. The first text takes half a second: it loads the font.
    """
    from realtime.media.chart import text_mask

    line = text_mask(text, _FONT_PX * scale * unit)
    x, y = max(0, place[0] - 2 - unit), max(0, place[1] - unit - round(0.75 * line.shape[0]))
    mask = cv2.copyMakeBorder(line, unit, unit, unit, unit, cv2.BORDER_CONSTANT)
    part = out[y : y + mask.shape[0], x : x + mask.shape[1]]
    mask = mask[: part.shape[0], : part.shape[1]]
    covers = [((0, 0, 0), cv2.dilate(mask, np.ones((2 * unit + 1,) * 2, np.uint8)))] if rim else []
    for ink, cover in [*covers, (colour, mask)]:
        share = cover[..., None] / np.float32(255)
        part[:] = np.round(part * (1 - share) + np.array(ink, np.float32) * share)


def measure_text(text: str, unit: int = 1, scale: float = 0.45) -> int:
    """Measure the width of a text as `put_text` writes it, px."""
    from realtime.media.chart import text_width

    return round(text_width(text, _FONT_PX * scale * unit))
