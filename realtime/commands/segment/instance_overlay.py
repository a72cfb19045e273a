"""Draws each mask of a picture in a colour of its own. Pure."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np

from engines import Image, Prompt
from engines.automatic_masks import AutomaticMask

_TINT = 0.5
_GOLDEN = 0.618034
"""Hues in steps of the golden ratio never repeat, and neighbours in the list differ most."""


def draw_instances(image: Image, found: Sequence[AutomaticMask], prompt: Prompt | None = None) -> Image:
    """Return a copy of the (H, W, 3) BGR picture with all masks tinted and outlined, small ones on top.

    prompt: its positive points are drawn as crosses, its negative ones as rings, its box as a rectangle.
    """
    order = sorted(range(len(found)), key=lambda index: -found[index].area_px)
    tint = image.copy()
    for index in order:
        x, y, width, height = found[index].box_xywh
        tint[y : y + height, x : x + width][found[index].cropped_mask] = instance_color(index)
    out = np.asarray(cv2.addWeighted(image, 1 - _TINT, tint, _TINT, 0), np.uint8)
    unit = max(1, round(min(image.shape[:2]) / 320))  # line width that reads the same on any size
    for index in order:
        x, y, _, _ = found[index].box_xywh
        part = found[index].cropped_mask.astype(np.uint8)
        outlines, _ = cv2.findContours(part, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE, offset=(x, y))
        cv2.drawContours(out, outlines, -1, instance_color(index, light=True), unit, cv2.LINE_AA)
    if prompt is not None:
        _draw_prompt(out, prompt, unit)
    return out


def instance_color(index: int, *, light: bool = False) -> tuple[int, int, int]:
    """Return (blue, green, red) of the mask with this index; `light` for its outline."""
    hue = (0.08 + index * _GOLDEN) % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.45 if light else 0.85, 1.0)
    return round(blue * 255), round(green * 255), round(red * 255)


def _draw_prompt(out: Image, prompt: Prompt, unit: int) -> None:
    """Draw a prompt in white with a black rim, which is visible on any background."""
    size = 6 * unit
    for ink, width in (((0, 0, 0), 4 * unit), ((255, 255, 255), 2 * unit)):
        if prompt.box_px is not None:
            x0, y0, x1, y1 = (round(float(side)) for side in prompt.box_px)
            cv2.rectangle(out, (x0, y0), (x1, y1), ink, width // 2, cv2.LINE_AA)
        for (x, y), label in zip(np.round(prompt.points_px).astype(int).tolist(), prompt.labels, strict=True):
            if label:
                cv2.drawMarker(out, (x, y), ink, cv2.MARKER_CROSS, 2 * size, width, cv2.LINE_AA)
            else:
                cv2.circle(out, (x, y), size, ink, width, cv2.LINE_AA)
