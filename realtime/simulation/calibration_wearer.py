"""A virtual wearer for the simulator: looks at calibration targets, through a tracker that is off. Pure.

The targets are markers in the scene picture, one after the other, as a wearer of a headset has them in front of a
screen; the last four are those that a validation uses.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.gaze.choreography import build_screen_steps
from calibration.gaze.markers import draw_marker
from engines import Image
from realtime.errors import SourceError
from realtime.simulation.wandering_gaze import GazeAim

TARGET_S = 2.6
"""How long each target is shown: a reaction, and 40 frames."""
SIZE = (1280, 720)
FPS = 24.0
_SIDE = 0.13  # of a marker with its margin, as a share of the picture's height


class TargetClip:
    """A plain wall on which each target is shown in turn; gives what a `Clip` gives, and where the eyes rest."""

    def __init__(self, count: Literal[5, 9], size: tuple[int, int] = SIZE) -> None:
        """`SourceError` for a picture of (width, height) px that is too small for markers."""
        if min(size) < 240 or max(size) > 4096:
            raise SourceError(f"targets need a picture of 240 to 4096 px, got {size[0]}x{size[1]}")
        self.size, self.fps = size, FPS
        self._steps = build_screen_steps(count)

    def frames(self) -> Iterator[tuple[float, Image]]:
        """(seconds, (H, W, 3) BGR), one pass through all targets."""
        for _, at_s, image in self._all():
            yield at_s, image

    def aims(self) -> Iterator[tuple[float, Image, GazeAim]]:
        """(seconds, picture, where the eyes are in it)."""
        shown: int | None = None
        for number, at_s, image in self._all():
            x, y = self._place(number)
            yield at_s, image, GazeAim(x, y, number != shown)
            shown = number

    def _all(self) -> Iterator[tuple[int, float, Image]]:
        each = round(TARGET_S * self.fps)
        for number in range(len(self._steps)):
            image = self._picture(number)
            for frame in range(each):
                yield number, (number * each + frame) / self.fps, image

    def _place(self, number: int) -> tuple[float, float]:
        """The target's middle in the picture, px; the screen fills most of it."""
        x, y = self._steps[number].place
        return self.size[0] * (0.04 + 0.92 * x), self.size[1] * (0.04 + 0.92 * y)

    def _picture(self, number: int) -> Image:
        wide, high = self.size
        shade = np.linspace(150, 110, high)[:, None] + np.linspace(-8, 8, wide)[None, :]
        grain = np.random.default_rng(0).normal(0, 3, (high, wide))
        out = np.clip(shade + grain, 0, 255).astype(np.uint8)[..., None].repeat(3, 2)
        side = round(_SIDE * high)
        marker = draw_marker(self._steps[number].marker, side)
        x, y = self._place(number)
        # Between whole pixels, so that nothing that reads it can be right by rounding alone.
        shift = np.array([[1, 0, x - (side - 1) / 2], [0, 1, y - (side - 1) / 2]], np.float64)
        return np.asarray(
            cv2.warpAffine(
                marker, shift, (wide, high), dst=out, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT
            ),
            np.uint8,
        )


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedBias:
    """How a tracker is off: a constant bias, and gain, shear and bend that come to `distortion_px` at the edges."""

    bias_px: tuple[float, float] = (0.0, 0.0)
    distortion_px: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what is no error of a tracker."""
        if not all(math.isfinite(v) and abs(v) <= 1000 for v in (*self.bias_px, self.distortion_px)):
            raise SourceError(f"gaze bias {self.bias_px} and distortion {self.distortion_px} px; expected up to 1000")

    def measure(self, x: float, y: float, size: tuple[int, int]) -> tuple[float, float]:
        """What the tracker says of eyes at (x, y) px of a picture of (width, height)."""
        x, y = x + self.bias_px[0], y + self.bias_px[1]
        if not self.distortion_px:
            return x, y
        u, v = 2 * x / size[0] - 1, 2 * y / size[1] - 1
        dx, dy = self._bends() @ (u, v, u * u, u * v, v * v)
        return x + float(dx), y + float(dy)

    def _bends(self) -> NDArray[np.float64]:
        """(2, 5) px at the edges, of u, v, u^2, uv, v^2."""
        shares = np.random.default_rng([self.seed, 77]).uniform(-1, 1, (2, 5))
        return np.asarray(self.distortion_px * shares * (1, 1, 0.5, 0.5, 0.5), np.float64)
