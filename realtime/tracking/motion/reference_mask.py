"""Remembers an object as its keyframe shows it: the mask, and which colours are the object's."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import Floats, Image

LEVELS = (8, 32, 32)
"""Bins of CIELAB's channels: lightness changes with the light."""
MAX_RATIO = 3.0
SURROUNDINGS = 61
"""Side of the box, px of the working grid, round each pixel of the object that belongs to its surroundings."""
STIFFNESS = 20.0
"""Squared pixels by which an affine map of a small object is held back from turning and stretching."""


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceMask:
    """A mask in its keyframe: (h, w) log-odds, and log-odds of belonging to the object for each CIELAB bin."""

    odds: Floats
    ratios: Floats = field(repr=False)

    @classmethod
    def from_frame(cls, odds: Floats, lab: Image) -> ReferenceMask:
        """Learn the colours of a mask against those of the whole picture and of its surroundings.

        odds: (h, w) log-odds. lab: (h, w, 3) CIELAB picture.
        """
        inside, bins = odds[::2, ::2] > 0, _find_bins(lab[::2, ::2])  # a quarter of the pixels is enough
        side = SURROUNDINGS // 2 | 1
        around = (cv2.blur(inside.astype(np.float32), (side, side)) > 1e-6) & ~inside
        object_share, rest, near = (_make_histogram(bins[where]) for where in (inside, ~inside, around))
        ratios = np.log((object_share + 1e-5) / (0.5 * (rest + near) + 1e-5))
        return cls(odds, np.asarray(np.clip(ratios, -MAX_RATIO, MAX_RATIO), np.float32))

    def compare_colours(self, lab: NDArray[np.uint8]) -> Floats:
        """Look up the (h, w) log-odds of a (h, w, 3) CIELAB picture's pixels by their colour alone."""
        return np.asarray(self.ratios[_find_bins(lab)])

    def warp(self, to_reference: Floats, region: tuple[slice, slice]) -> Floats:
        """Warp the log-odds to a region of another frame. to_reference: (2, 3) affine map of its positions here."""
        rows, columns = region
        shifted = to_reference.copy()
        shifted[:, 2] += to_reference[:, :2] @ np.array([columns.start, rows.start], np.float32)
        size = (columns.stop - columns.start, rows.stop - rows.start)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        border = float(self.odds.min())
        return np.asarray(cv2.warpAffine(self.odds, shifted, size, flags=flags, borderValue=border), np.float32)


def _find_bins(lab: NDArray[np.uint8]) -> NDArray[np.intp]:
    wide = lab.astype(np.intp)
    lightness, a, b = wide[..., 0] >> 5, wide[..., 1] >> 3, wide[..., 2] >> 3
    return np.asarray((lightness * LEVELS[1] + a) * LEVELS[2] + b, np.intp)


def _make_histogram(bins: NDArray[np.intp]) -> Floats:
    """Make a smoothed histogram, which sums to 1 (0 without pixels)."""
    counts = np.bincount(bins, minlength=int(np.prod(LEVELS))).astype(np.float32).reshape(LEVELS)
    smooth = np.asarray(np.stack([cv2.GaussianBlur(plane, (0, 0), 1.2) for plane in counts]), np.float32)
    spread = smooth.copy()
    spread[1:] += smooth[:-1] / 2
    spread[:-1] += smooth[1:] / 2
    return np.asarray(spread / max(float(spread.sum()), 1e-6), np.float32).ravel()


def fit_affine(at: Floats, flow: Floats, weight: Floats) -> Floats:
    """Fit a (2, 3) affine map of positions to (h, w, 2) positions `at + flow`, weighted; the identity without weight.

    Least squares, once reweighted by the distance to the first fit; stiff for small objects.
    """
    chosen = weight > 1e-3
    if np.count_nonzero(chosen) < 3:
        return np.eye(2, 3, dtype=np.float32)
    places, moved, share = at[chosen].astype(np.float64), flow[chosen].astype(np.float64), weight[chosen]
    robust = share.astype(np.float64)
    for _ in range(2):
        total = robust.sum()
        centre, mean = robust @ places / total, robust @ moved / total
        off = places - centre
        weighted = off * robust[:, None]
        slope = np.linalg.solve(weighted.T @ off + STIFFNESS * total * np.eye(2), weighted.T @ (moved - mean))
        missed = moved - mean - off @ slope
        robust = share / (1 + (missed**2).sum(1))
    linear = np.eye(2) + slope.T
    return np.asarray(np.column_stack([linear, mean + centre - linear @ centre]), np.float32)
