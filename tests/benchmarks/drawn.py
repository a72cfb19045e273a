"""Masks to test on, (90, 160) bool."""

from __future__ import annotations

import cv2
import numpy as np

from engines import Mask

SHAPE = (90, 160)


def disc(x: float, y: float, radius: float) -> Mask:
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    return np.asarray((columns - x) ** 2 + (rows - y) ** 2 <= radius**2)


def turned(x: float, y: float, angle_deg: float, scale: float = 1.0) -> Mask:
    """A shape without symmetry, so that its turning shows."""
    out = np.zeros(SHAPE, np.uint8)
    corners = np.array([(-24, -10), (18, -14), (26, 2), (4, 6), (0, 20), (-14, 12)], float) * scale
    a = np.deg2rad(angle_deg)
    spun = corners @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) + (x, y)
    cv2.fillPoly(out, [np.round(spun).astype(np.int32)], 1)
    return np.asarray(out > 0)


def blob(rng: np.random.Generator) -> Mask:
    """Two or three overlapping discs."""
    out = np.zeros(SHAPE, bool)
    for _ in range(int(rng.integers(2, 4))):
        out |= disc(float(rng.uniform(20, 140)), float(rng.uniform(15, 75)), float(rng.uniform(8, 25)))
    return out


def random_masks(count: int, seed: int) -> list[Mask]:
    rng = np.random.default_rng(seed)
    return [blob(rng) for _ in range(count)]
