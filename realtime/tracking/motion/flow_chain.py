"""Maps points and masks between the newest frame and an older one, and measures the trust in the map.

Pixels: x right, y down, the centre of the top-left pixel is (0, 0); `_px` is the frame's own, "working" the smaller
grid on which motion is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import Floats, Letterbox
from realtime.tracking.lazy_value import LazyValue
from realtime.types import Mask

Grey = NDArray[np.uint8]


@lru_cache(maxsize=4)
def pixel_grid(shape: tuple[int, ...]) -> Floats:
    """Make a read-only (h, w, 2) float32 array of every pixel's own x, y."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    places = np.dstack([x, y])
    places.flags.writeable = False
    return places


def sample_bilinear(values: NDArray[Any], at: Floats) -> NDArray[Any]:
    """Sample `values` bilinearly at (h, w, 2) positions `at`; beyond the border, the nearest pixel."""
    # The stubs do not know that the second map may be empty.
    out = cv2.remap(values, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return np.asarray(out, values.dtype)


def structural_similarity(a: Grey, b: Grey, window: int = 5) -> Floats:
    """Compute the structural similarity of two grey pictures at every pixel, -1 to 1 (Wang et al., IEEE TIP 2004).

    `b` is first scaled to `a`'s mean and spread, so that a change of exposure or gain does not count.
    """
    (mean_a, spread_a), (mean_b, spread_b) = (_measure_levels(grey) for grey in (a, b))
    gain = min(max(spread_a / spread_b, 0.25), 4.0) if spread_b > 1 else 1.0
    x, y = a.astype(np.float32), b.astype(np.float32)
    y *= gain
    y += mean_a - gain * mean_b

    def mean(v: Floats) -> Floats:
        return np.asarray(cv2.blur(v, (window, window)), np.float32)

    mx, my = mean(x), mean(y)
    product, squares = mx * my, mx * mx + my * my
    covariance, variances = mean(x * y) - product, mean(x * x + y * y) - squares
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    out = ((2 * product + c1) * (2 * covariance + c2)) / ((squares + c1) * (variances + c2))
    return np.asarray(out, np.float32)


def _measure_levels(grey: Grey) -> tuple[float, float]:
    """Compute the mean and the standard deviation of a picture's grey levels."""
    mean, deviation = cv2.meanStdDev(grey)
    return mean.item(), deviation.item()


@dataclass(frozen=True, eq=False)
class FlowChain:
    """The map from the newest frame, index `now`, to an older one, index `then`.

    size: (width, height) of both frames, px.
    displacement: (h, w, 2) float32 on the working grid and in its pixels: older minus newest position.
    weakest: the lowest trust of the steps it was chained from, 0..1.
    """

    then: int
    now: int
    size: tuple[int, int]
    displacement: Floats = field(repr=False)
    weakest: float
    _greys: tuple[Grey, Grey] = field(repr=False)

    @property
    def _scale(self) -> Floats:
        """(2,) working pixels per frame pixel."""
        h, w = self.displacement.shape[:2]
        return np.array([w / self.size[0], h / self.size[1]], np.float32)

    @property
    def _places(self) -> Floats:
        """(h, w, 2) position in the older frame of every working pixel."""
        return np.asarray(cv2.add(pixel_grid(self.displacement.shape), self.displacement), np.float32)

    @LazyValue
    def similarity(self) -> Floats:
        """(h / 2, w / 2) structural similarity of the newest frame and the warped older one."""
        h, w = self.displacement.shape[:2]
        warped = sample_bilinear(self._greys[0], self._places)
        now, then = (
            np.asarray(cv2.resize(g, (w // 2, h // 2), interpolation=cv2.INTER_AREA), np.uint8)
            for g in (self._greys[1], warped)
        )
        return structural_similarity(now, then)

    @LazyValue
    def trust(self) -> float:
        """Trust in the whole map, 0..1: mean similarity, limited by its weakest step."""
        return min(self.weakest, max(0.0, float(self.similarity.mean())))

    def trust_in(self, mask: Mask) -> float:
        """Compute `trust` in a (H, W) mask of the newest frame; of the whole map when it is empty."""
        h, w = self.similarity.shape
        small = cv2.resize(mask.astype(np.uint8), (w, h), interpolation=cv2.INTER_AREA)
        inside = np.asarray(small) > 0
        if not inside.any():
            return self.trust
        return min(self.weakest, max(0.0, float(self.similarity[inside].mean())))

    def to_then(self, points_px: Floats) -> Floats:
        """Map (N, 2) points of the newest frame to the older frame, clamped to it."""
        return self._map(points_px, self._displace)

    def to_now(self, points_px: Floats) -> Floats:
        """Map (N, 2) points of the older frame to the newest frame, clamped to it.

        Inverts the map at these points only, by fixed-point iteration d <- -D(p + d) (Chen et al., "A simple
        fixed-point approach to invert a deformation field", Medical Physics 2008); it is exact where motion is smooth.
        """

        def invert(work: Floats) -> Floats:
            back = np.zeros_like(work)
            for _ in range(6):
                back = -self._displace(work + back)
            return back

        return self._map(points_px, invert)

    def map_points(self, points_px: NDArray[np.float64]) -> NDArray[np.float64]:
        """Apply `to_now` to (N, 2) float64 points."""
        return self.to_now(points_px.astype(np.float32)).astype(np.float64)

    def _displace(self, work: Floats) -> Floats:
        return np.asarray(sample_bilinear(self.displacement, work[None])[0], np.float32)

    def _map(self, points_px: Floats, displace: Callable[[Floats], Floats]) -> Floats:
        """Displace (N, 2) points by working pixels, and clamp them to the frame."""
        if not len(points_px):
            return np.zeros((0, 2), np.float32)
        work = ((points_px + 0.5) * self._scale - 0.5).astype(np.float32)
        out = (work + displace(work) + 0.5) / self._scale - 0.5
        return np.asarray(np.clip(out, 0, np.array(self.size, np.float32) - 1), np.float32)

    def warp_logits(self, logits: Floats, letterbox: Letterbox) -> Floats:
        """Warp (K, S, S) logits of the older frame to (K, h, w) on the working grid of the newest; K at most 4."""
        return self._sample_logits(logits, letterbox, self._places)

    def resample_logits(self, logits: Floats, letterbox: Letterbox) -> Floats:
        """Resample (K, S, S) logits of the older frame to (K, h, w) on its own working grid; K at most 4."""
        return self._sample_logits(logits, letterbox, pixel_grid(self.displacement.shape))

    def _sample_logits(self, logits: Floats, letterbox: Letterbox, places: Floats) -> Floats:
        step = np.array(letterbox.scale, np.float32) * (logits.shape[-1] / letterbox.side)
        scale = step / self._scale
        at = places * scale + np.asarray(0.5 * scale - 0.5, np.float32)
        out = sample_bilinear(np.ascontiguousarray(logits.transpose(1, 2, 0)), at)  # all of them in one pass
        return out[None] if out.ndim == 2 else out.transpose(2, 0, 1)

    def warp(self, small: Floats) -> Floats:
        """Warp (h, w) float32 from the working grid of the older frame to that of the newest."""
        return sample_bilinear(small, self._places)

    def rasterize_disc(self, point_px: tuple[float, float], radius_px: float) -> Floats:
        """Draw a disc round a point of the newest frame: (h, w) float32 on the working grid, 1 inside."""
        h, w = self.displacement.shape[:2]
        x, y = (np.array(point_px, np.float32) + 0.5) * self._scale - 0.5
        rows, columns = np.ogrid[:h, :w]
        r = max(1.0, radius_px * float(self._scale[0]))
        return np.asarray((columns - x) ** 2 + (rows - y) ** 2 <= r * r, np.float32)
