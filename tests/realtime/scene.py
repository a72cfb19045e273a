"""Draws a scene with ground truth: a red disc that moves over a textured ground, and gaze that follows it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from engines import Image, Mask

SIZE = (320, 240)
RADIUS = 40


def centre(index: float, speed: float = 2.0) -> tuple[float, float]:
    """Compute the disc's centre in a frame, px: from left to right and back."""
    span = SIZE[0] - 2 * RADIUS - 40
    at = (index * speed) % (2 * span)
    return RADIUS + 20 + (at if at < span else 2 * span - at), SIZE[1] / 2


def picture(index: int, speed: float = 2.0) -> Image:
    """Draw (H, W, 3) BGR: a still grey-green texture, and the disc, textured too so that its motion can be measured."""
    image = _ground().copy()
    x, y = centre(index, speed)
    cv2.circle(image, (round(x), round(y)), RADIUS, (30, 30, 200), -1, cv2.LINE_AA)
    for angle in range(0, 360, 40):
        dx, dy = 0.6 * RADIUS * np.cos(np.radians(angle)), 0.6 * RADIUS * np.sin(np.radians(angle))
        cv2.circle(image, (round(x + dx), round(y + dy)), 4, (30, 30, 180), -1, cv2.LINE_AA)
    return image


def ringed(index: int, speed: float = 2.0) -> Image:
    """Draw the picture with a brighter disc of half the size inside the disc: a part and a whole."""
    image = picture(index, speed)
    x, y = centre(index, speed)
    return np.asarray(cv2.circle(image, (round(x), round(y)), RADIUS // 2, (60, 60, 255), -1), np.uint8)


@cache
def _ground() -> Image:
    rng = np.random.default_rng(7)
    ground = cv2.GaussianBlur(rng.integers(60, 120, (SIZE[1], SIZE[0]), np.uint8), (0, 0), 2)
    return np.ascontiguousarray(np.dstack([ground, ground + 20, ground]), np.uint8)


def truth(index: int, speed: float = 2.0) -> Mask:
    """Draw the disc's (H, W) bool mask."""
    mask = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    x, y = centre(index, speed)
    cv2.circle(mask, (round(x), round(y)), RADIUS, 1, -1)
    return mask > 0


def iou(a: Mask, b: Mask) -> float:
    """Compute the intersection over union."""
    return float((a & b).sum() / max(1, (a | b).sum()))


def write_clip(
    folder: Path, frames: int, fps: float = 24.0, speed: float = 2.0, draw: Callable[[int, float], Image] = picture
) -> tuple[Path, Path]:
    """Write a folder of pictures and the trace that follows the disc; returns both paths."""
    clip = folder / "clip"
    clip.mkdir(parents=True)
    for index in range(frames):
        cv2.imwrite(str(clip / f"{index:04d}.png"), draw(index, speed))
    rows = ["timestamp,x,y,confidence"]
    for sample in range(int(frames / fps * 100)):
        at_s = sample / 100
        x, y = centre(int(at_s * fps), speed)
        rows.append(f"{at_s:.3f},{x:.1f},{y:.1f},0.95")
    trace = folder / "trace.csv"
    trace.write_text("\n".join(rows) + "\n")
    return clip, trace
