"""Represents a mask as a few points, cheap to carry along with the picture for any time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.types import Mask

Mapper = Callable[[NDArray[np.float64]], NDArray[np.float64]]

COLUMNS = 96
"""Masks are sampled on a grid of about so many columns; finer for small objects."""
MIN_POINTS, MIN_ACROSS, MAX_POINTS = 24, 12, 128
"""A thin object needs as many points across as a round one, because they decide its overlap."""
HALF_DIAGONAL = 0.71
"""Of a pixel: every point of the plane is within this distance of a pixel's centre."""
MIN_KNOWN_SHARE = 0.25
"""With a smaller share of its points in view, an object cannot be recognised."""


@dataclass(frozen=True, slots=True)
class MaskAgreement:
    """Agreement of points with a mask.

    inside: share of the points inside the mask. area_ratio: the mask's area over the points' area.
    """

    iou: float
    inside: float
    area_ratio: float


@dataclass(frozen=True, slots=True, eq=False)
class MaskPoints:
    """Points sampled from a mask.

    points_px: (N, 2) float64 in the newest frame. area_px: the mask's area. known_share: share of points still known.
    """

    points_px: NDArray[np.float64]
    area_px: float
    known_share: float = 1.0

    @classmethod
    def from_mask(cls, mask: Mask, frame_size: tuple[int, int], max_points: int = MAX_POINTS) -> MaskPoints | None:
        """Sample an (h, w) mask of any resolution over a frame of (width, height); None if it is empty."""
        stride = max(1, max(mask.shape) // COLUMNS)
        while True:
            rows, columns = np.nonzero(mask[::stride, ::stride])
            across = min(np.ptp(rows), np.ptp(columns)) + 1 if len(rows) else 0
            if stride == 1 or (len(rows) >= MIN_POINTS and across >= MIN_ACROSS):
                break
            stride //= 2
        if not len(rows):
            return None
        scale = _scale(mask, frame_size)
        chosen = np.linspace(0, len(rows) - 1, min(len(rows), max_points)).astype(int)
        points = np.stack([columns[chosen], rows[chosen]], axis=1) * stride + 0.5
        return cls(points * scale - 0.5, len(rows) * stride**2 * float(scale.prod()))

    def map(self, mapping: Mapper) -> MaskPoints | None:
        """Map the points to the newest frame's pixels; None when most of them have no finite result."""
        return self.with_points(np.asarray(mapping(self.points_px), np.float64))

    def with_points(self, points: NDArray[np.float64]) -> MaskPoints | None:
        """Replace the points, in their order, by new positions; NaN: unknown."""
        known = np.isfinite(points).all(axis=1)
        known_share = self.known_share * float(known.mean())
        if known_share < MIN_KNOWN_SHARE:
            return None
        before, after = _spread(self.points_px[known]), _spread(points[known])
        grown = (after / before) ** 2 if before > 0 and after > 0 else 1.0
        return MaskPoints(points[known], self.area_px * grown, known_share)

    def compare_to(self, mask: Mask, frame_size: tuple[int, int], shown: MaskPoints | None = None) -> MaskAgreement:
        """Compare the points to a mask of the newest frame; no overlap when too few of them are in view.

        shown: the mask's own points, if known already.
        """
        height, width = mask.shape
        at = np.floor((self.points_px + 0.5) / _scale(mask, frame_size))
        seen = ((at >= 0) & (at < (width, height))).all(axis=1)
        shown = shown or MaskPoints.from_mask(mask, frame_size)
        if shown is None or seen.mean() * self.known_share < MIN_KNOWN_SHARE:
            return MaskAgreement(0.0, 0.0, 0.0)
        columns, rows = at[seen].astype(int).T
        inside = float(mask[rows, columns].mean())
        area = self.area_px * float(seen.mean())
        shared = min(inside * area, shown.area_px)
        return MaskAgreement(shared / (area + shown.area_px - shared), inside, shown.area_px / area)

    def rasterize(self, frame_size: tuple[int, int]) -> Mask:
        """Draw a small approximate (h, w) mask over the frame: a square round each point, of its share of the area."""
        wide = min(COLUMNS, frame_size[0])
        small = np.zeros((max(1, round(wide * frame_size[1] / frame_size[0])), wide), np.uint8)
        scale = _scale(small > 0, frame_size)
        reach = math.sqrt(self.area_px / len(self.points_px)) / 2 / float(scale[0])
        for x, y in (self.points_px + 0.5) / scale - 0.5:
            corners = [(round(x - reach), round(y - reach)), (round(x + reach), round(y + reach))]
            cv2.rectangle(small, corners[0], corners[1], 1, -1)
        return small > 0


def map_together(objects: Sequence[MaskPoints], mapping: Mapper) -> list[MaskPoints | None]:
    """Map many objects' points with one call of the mapping."""
    if not objects:
        return []
    points = np.asarray(mapping(np.concatenate([each.points_px for each in objects])), np.float64)
    ends = np.cumsum([len(each.points_px) for each in objects])[:-1]
    return [each.with_points(part) for each, part in zip(objects, np.split(points, ends), strict=True)]


def compute_iou(one: Mask, other: Mask) -> float:
    """Compute the IoU of two masks of one shape; 0 when both are empty."""
    if one.shape != other.shape:
        raise ValueError(f"masks to compare must have one shape, got {one.shape} and {other.shape}")
    union = np.count_nonzero(one | other)
    return np.count_nonzero(one & other) / union if union else 0.0


def is_near(mask: Mask, frame_size: tuple[int, int], point_px: tuple[float, float], radius_px: float) -> bool:
    """Return whether any pixel of a mask of the newest frame lies within `radius_px` of a point."""
    scale_x, scale_y = _scale(mask, frame_size)
    x, y = (point_px[0] + 0.5) / scale_x - 0.5, (point_px[1] + 0.5) / scale_y - 0.5
    reach_x, reach_y = max(radius_px / scale_x, HALF_DIAGONAL), max(radius_px / scale_y, HALF_DIAGONAL)
    left, top = max(int(np.ceil(x - reach_x)), 0), max(int(np.ceil(y - reach_y)), 0)
    right, bottom = int(np.floor(x + reach_x)) + 1, int(np.floor(y + reach_y)) + 1
    if right <= left or bottom <= top:
        return False
    rows, columns = np.nonzero(mask[top:bottom, left:right])
    return bool(np.any(((columns + left - x) / reach_x) ** 2 + ((rows + top - y) / reach_y) ** 2 <= 1.0))


def _scale(mask: Mask, frame_size: tuple[int, int]) -> NDArray[np.float64]:
    """Compute the frame pixels per mask pixel, (x, y)."""
    return np.array([frame_size[0] / mask.shape[1], frame_size[1] / mask.shape[0]])


def _spread(points: NDArray[np.float64]) -> float:
    return float(points.std(axis=0).sum())
