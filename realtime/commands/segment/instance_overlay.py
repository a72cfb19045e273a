"""Draws each mask of a picture in a colour of its own. Pure."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np

from engines import Floats, Image, Prompt
from engines.automatic_masks import AutomaticMask
from realtime.media.overlay import measure_text, put_text

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


def draw_names(out: Image, named: Sequence[tuple[AutomaticMask, str]]) -> None:
    """Write the masks' names into the picture, in their colours, the first ones first.

    A name stands at the top of its mask, above or below it; it is left out where others have all these places.
    """
    unit = max(1, round(min(out.shape[:2]) / 320))
    taken: list[tuple[int, int, int, int]] = []
    line = 15 * unit
    for index, (mask, name) in enumerate(named):
        x, y, wide, high = mask.box_xywh
        width = measure_text(name, unit) + 4 * unit
        left = max(0, min(x + (wide - width) // 2, out.shape[1] - width))
        for top in (y, y - line, y + line, y + high):
            place = left, max(0, min(top, out.shape[0] - line)), width, line
            if not any(_do_meet(place, other) for other in taken):
                taken.append(place)
                put_text(out, name, (left + 2 + unit, place[1] + 11 * unit), instance_color(index, light=True), unit)
                break


def _do_meet(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    """Check whether two x, y, width, height overlap."""
    return all(one[at] < other[at] + other[at + 2] and other[at] < one[at] + one[at + 2] for at in (0, 1))


def draw_strength(edges: Floats) -> Image:
    """Return (H, W) edges of 0 to 1 as grey values 0 to 255."""
    return np.round(edges * 255).astype(np.uint8)


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
