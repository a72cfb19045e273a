"""Simulates a wearer who fixates calibration targets, and the bias of an eye tracker. Pure.

The targets are markers in the scene picture, one after the other, as on a screen in front of a headset; a validation
uses the last four.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from calibration.gaze.choreography import build_screen_steps
from calibration.gaze.markers import draw_marker
from engines import Image
from realtime.errors import SourceError
from realtime.simulation.wandering_gaze import GazeAim

TARGET_S = 2.6
"""Time for which each target is shown: a reaction, and 40 frames."""
SIZE = (1280, 720)
FPS = 24.0
_SIDE = 0.13  # of a marker with its margin, as a share of the picture's height


class TargetClip:
    """A clip of a plain wall on which each target is shown in turn, and of the eyes that fixate it."""

    def __init__(self, count: Literal[5, 9], size: tuple[int, int] = SIZE) -> None:
        """Raises `SourceError` for a picture of (width, height) px that is too small for markers, or too large."""
        if min(size) < 240 or max(size) > 4096:
            raise SourceError(f"targets need a picture of 240 to 4096 px, got {size[0]}x{size[1]}")
        self.size, self.fps = size, FPS
        self._steps = build_screen_steps(count)

    def aims(self) -> Iterator[tuple[float, Image, GazeAim]]:
        """Yield (seconds, (H, W, 3) BGR, the aim of the eyes) in one pass through all targets."""
        each = round(TARGET_S * self.fps)
        for number, step in enumerate(self._steps):
            # The screen fills most of the picture.
            x, y = self.size[0] * (0.04 + 0.92 * step.place[0]), self.size[1] * (0.04 + 0.92 * step.place[1])
            image = self._draw(step.marker, x, y)
            for frame in range(each):
                yield (number * each + frame) / self.fps, image, GazeAim(x, y, frame == 0)

    def _draw(self, marker_id: int, x: float, y: float) -> Image:
        """Draw the wall with a marker whose centre is at (x, y) px."""
        wide, high = self.size
        shade = np.linspace(150, 110, high)[:, None] + np.linspace(-8, 8, wide)[None, :]
        grain = np.random.default_rng(0).normal(0, 3, (high, wide))
        out = np.clip(shade + grain, 0, 255).astype(np.uint8)[..., None].repeat(3, 2)
        side = round(_SIDE * high)
        marker = draw_marker(marker_id, side)
        # Between whole pixels, so that a detector cannot be right by rounding alone.
        shift = np.array([[1, 0, x - (side - 1) / 2], [0, 1, y - (side - 1) / 2]], np.float64)
        flags = {"flags": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_TRANSPARENT}
        return np.asarray(cv2.warpAffine(marker, shift, (wide, high), dst=out, **flags), np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedBias:
    """Holds a tracker's errors: a constant bias, and gain, shear and bend of `distortion_px` at the edges."""

    bias_px: tuple[float, float] = (0.0, 0.0)
    distortion_px: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse errors beyond 1000 px."""
        if not all(math.isfinite(v) and abs(v) <= 1000 for v in (*self.bias_px, self.distortion_px)):
            raise SourceError(f"gaze bias {self.bias_px} and distortion {self.distortion_px} px; expected up to 1000")

    def measure(self, x: float, y: float, size: tuple[int, int]) -> tuple[float, float]:
        """Return the measured position of eyes at (x, y) px of a picture of (width, height)."""
        x, y = x + self.bias_px[0], y + self.bias_px[1]
        if not self.distortion_px:
            return x, y
        u, v = 2 * x / size[0] - 1, 2 * y / size[1] - 1
        shares = np.random.default_rng([self.seed, 77]).uniform(-1, 1, (2, 5))
        bends_px = self.distortion_px * shares * (1, 1, 0.5, 0.5, 0.5)
        dx, dy = bends_px @ (u, v, u * u, u * v, v * v)
        return x + float(dx), y + float(dy)
