"""Cuts rotated squares out of a picture for a network, and maps its points back. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.base import Floats, Image


@dataclass(frozen=True, slots=True)
class PictureRegion:
    """A square of a picture: its centre and side, px, and its rotation, radians clockwise.

    is_mirrored: the network sees it mirrored, as it knows one of the two eyes only.
    """

    x: float
    y: float
    side: float
    angle: float = 0.0
    is_mirrored: bool = False

    def crop(self, image: Image, size: int) -> Image:
        """Cut the square out as (size, size, 3); black beyond the picture."""
        return np.asarray(
            cv2.warpAffine(image, self._to_picture(size), (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP),
            np.uint8,
        )

    def to_picture(self, points: Floats, size: int) -> NDArray[np.float64]:
        """Map (N, 2) or (N, 3) points of the crop to the picture; a depth is scaled alike."""
        matrix = self._to_picture(size)
        across = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        return np.column_stack([across, points[:, 2:] * (self.side / size)]).astype(np.float64)

    def shift(self, right: float, down: float) -> PictureRegion:
        """Move along its own axes, by shares of its side."""
        cos, sin = math.cos(self.angle) * self.side, math.sin(self.angle) * self.side
        return replace(self, x=self.x + right * cos - down * sin, y=self.y + right * sin + down * cos)

    def place_region(self, region: PictureRegion, size: int) -> PictureRegion:
        """Map a region of the upright crop to the picture."""
        (x, y), scale = self.to_picture(np.array([[region.x, region.y]], np.float32), size)[0], self.side / size
        return replace(region, x=float(x), y=float(y), side=region.side * scale)

    def _to_picture(self, size: int) -> NDArray[np.float64]:
        """Build the (2, 3) affine map from the crop to the picture; both count from the first pixel's centre."""
        scale, cos, sin = self.side / size, math.cos(self.angle), math.sin(self.angle)
        mirror = -1.0 if self.is_mirrored else 1.0
        turn = scale * np.array([[cos * mirror, -sin], [sin * mirror, cos]])
        return np.column_stack([turn, np.array([self.x, self.y]) - turn @ np.full(2, (size - 1) / 2)])


def enclose_picture(image: Image) -> PictureRegion:
    """Return the square around a whole picture."""
    height, width = image.shape[:2]
    return PictureRegion((width - 1) / 2, (height - 1) / 2, float(max(width, height)))


def enclose_points(points: NDArray[np.float64], start: int, end: int, scale: float) -> PictureRegion:
    """Return the square around (N, 2+) points, whose x axis runs along the line between two of them.

    scale: its side, as a multiple of the longer side of the points' upright rectangle, as MediaPipe chooses it.
    """
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    dx, dy = points[end, :2] - points[start, :2]
    x, y = (low + high) / 2
    return PictureRegion(float(x), float(y), float((high - low).max()) * scale, math.atan2(dy, dx))
