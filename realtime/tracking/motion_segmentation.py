"""Segments the object at a point without a model: by its motion against the background's, else by its colours.

Used until a keyframe's mask arrives. Motion gives a region that is a few pixels too large, because dense flow is
smooth; the colours inside and outside of it place the edge. Where nothing moves by itself, a disc is the region.

Pixels: x right, y down, the centre of the top-left pixel is (0, 0); "working" is the grid on which motion is measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import Floats, Image, Mask
from realtime.tracking.motion.flow_chain import pixel_grid
from realtime.tracking.motion.layered_motion import signed_depth
from realtime.tracking.setting_checks import check_settings

MAX_ODDS = 6.0
"""Log-odds of one pixel's motion are limited, so that no outlier outweighs its neighbours."""
DEPTH_PX = 4.0
"""Working pixels: how far flow smears a moving object over the background."""
MARGIN_PX = 20
"""Working pixels round the region in which its outside is sampled, and beyond which it does not grow."""
BINS = (16, 32, 32)
"""Of the CIELAB colour histogram; lightness varies most within an object."""
MIN_FREQUENCY = 1e-5
"""Of a colour in a histogram: unseen colours decide nothing."""
MAX_COLOUR_ODDS = 4.0
PRIOR_PX = 15.0
"""Working pixels from the expected edge at which the region outweighs one unit of colour odds."""
SMOOTH = (5, 5)
"""Pixels over which colours are averaged: one pixel's colour is noise."""


@dataclass(frozen=True, slots=True)
class SegmentationSettings:
    """Settings of the segmentation without a model. Lengths are shares of the picture's longest side.

    enabled: whether such masks are shown while there is no other.
    motion_s: time over which motion is measured; objects move apart measurably, and flow still follows them.
    least_contrast: the point moves by itself if its motion differs from the background's by so many errors of flow.
    runaway_area: share of the picture above which a moving region is considered background.
    radius: of the disc that is assumed where nothing moves; it suits objects of 1 to 10 % of the picture.
    least_age: a keyframe's mask is kept until it is this many frames old; younger ones are better than a guess.
    least_agreement: then it is replaced while its IoU with the moving region at the gaze is below this: motion has
        carried it off the object.
    motion_confidence: published confidence of a moving region: about the measured share with an IoU of at least 0.5.
    colour_confidence: the same where only colours separate it.
    """

    enabled: bool = True
    motion_s: float = 0.125
    least_contrast: float = 2.0
    runaway_area: float = 0.4
    radius: float = 0.105
    least_age: int = 4
    least_agreement: float = 0.2
    motion_confidence: float = 0.6
    colour_confidence: float = 0.25

    def __post_init__(self) -> None:
        """Check every setting."""
        shares = ("runaway_area", "least_agreement", "motion_confidence", "colour_confidence")
        check_settings(self, shares=shares)


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """A mask on the working grid, and whether motion or only colour separates it from the background."""

    mask: Mask
    is_moving: bool


def segment_at_point(
    lab: Image, displacement: Floats | None, at: tuple[float, float], radius: float, settings: SegmentationSettings
) -> Segmentation:
    """Segment the object at a point; returns a mask with at least one pixel.

    lab: (h, w, 3) uint8 CIELAB, the newest picture on the working grid. displacement: (h, w, 2) of its pixels to an
    older picture; None if unknown. at, radius: the point and its error, working pixels.
    """
    h, w = lab.shape[:2]
    at = min(max(at[0], 0.0), w - 1.0), min(max(at[1], 0.0), h - 1.0)
    moving = _segment_by_motion(displacement, at, radius, settings) if displacement is not None else None
    region, depth = moving, DEPTH_PX
    if region is None:
        disc_radius = max(2.0, settings.radius * max(h, w))
        region, depth = _distance((h, w), at) <= disc_radius, disc_radius / 2
    refined = connected_region(_refine_by_colour(lab, region, depth), at)
    return Segmentation(region if refined is None else refined, moving is not None)


def fit_background(displacement: Floats) -> Floats:
    """Fit an affine motion to most of a (h, w, 2) displacement by RANSAC, and return it at every pixel."""
    h, w = displacement.shape[:2]
    grid = pixel_grid((h, w))
    step = max(1, min(h, w) // 25)
    points = grid[step // 2 :: step, step // 2 :: step].reshape(-1, 2)
    moved = points + displacement[step // 2 :: step, step // 2 :: step].reshape(-1, 2)
    # Its random generator has a fixed seed.
    affine, _ = cv2.estimateAffine2D(points, moved, ransacReprojThreshold=0.5, maxIters=200, refineIters=3)
    if affine is None:
        return np.broadcast_to(np.median(displacement, (0, 1)), displacement.shape).astype(np.float32)
    return np.asarray(cv2.transform(grid, affine.astype(np.float32)) - grid, np.float32)


def compute_motion_odds(displacement: Floats, at: tuple[float, float], radius: float) -> tuple[Floats, float]:
    """Compute (h, w) log-odds of moving as the point does against as the background, and the contrast of both there.

    contrast: difference of the two motions at the point, in standard errors of flow.
    """
    near = _distance(displacement.shape[:2], at) <= max(radius, 1.0)
    own = np.median(displacement[near], 0)
    background = fit_background(displacement)
    error = 0.25 + 0.1 * float(np.hypot(*own))  # px; of dense inverse search
    apart = [np.square(displacement - motion).sum(2) for motion in (background, own.astype(np.float32))]
    odds = np.clip((apart[0] - apart[1]) / (2 * error * error), -MAX_ODDS, MAX_ODDS)
    there = background[round(at[1]), round(at[0])]
    return np.asarray(odds, np.float32), float(np.hypot(*(own - there))) / error


def connected_region(mask: Mask, at: tuple[float, float], reach: int = 6) -> Mask | None:
    """Return the connected region at a point, or the largest one within `reach` pixels; None without one."""
    _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    x, y = round(at[0]), round(at[1])
    label = labels[y, x]
    if not label:
        near = labels[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        if not near.any():
            return None
        label = np.bincount(near[near > 0]).argmax()
    return np.asarray(labels == label)


def _segment_by_motion(
    displacement: Floats, at: tuple[float, float], radius: float, settings: SegmentationSettings
) -> Mask | None:
    """Segment the region that moves as the point does; None where that does not stand out."""
    h, w = displacement.shape[:2]
    # Half the grid costs a quarter, and flow is smooth.
    half = np.asarray(displacement[::2, ::2] / 2, np.float32)
    there = min(at[0] / 2, half.shape[1] - 1.0), min(at[1] / 2, half.shape[0] - 1.0)
    odds, contrast = compute_motion_odds(half, there, radius / 2)
    if contrast < settings.least_contrast:
        return None
    smooth = cv2.resize(cv2.blur(odds, (3, 3)), (w, h), interpolation=cv2.INTER_LINEAR)
    region = connected_region(np.asarray(smooth > 0), at)
    if region is None or np.count_nonzero(region) > settings.runaway_area * h * w:
        return None
    return region


def _refine_by_colour(lab: Image, region: Mask, depth: float) -> Mask:
    """Move a region's edge to where the colours of its inside end; it lies up to `depth` too far outside."""
    x, y, w, h = cv2.boundingRect(region.astype(np.uint8))
    rows = slice(max(0, y - MARGIN_PX), y + h + MARGIN_PX)
    columns = slice(max(0, x - MARGIN_PX), x + w + MARGIN_PX)
    distance = signed_depth(region[rows, columns])
    depth = min(depth, float(distance.max()) / 2)
    colours = _quantize(lab[rows, columns])
    own, other = (_histogram(colours[part]) for part in (distance > depth, distance < -DEPTH_PX / 2))
    odds = np.log((own + MIN_FREQUENCY) / (other + MIN_FREQUENCY))[colours]
    odds = cv2.blur(np.clip(odds, -MAX_COLOUR_ODDS, MAX_COLOUR_ODDS).astype(np.float32), SMOOTH)
    odds += np.clip((distance - depth) / PRIOR_PX, -1, 1)
    out = np.zeros_like(region)
    out[rows, columns] = (odds > 0) & (distance > -DEPTH_PX)
    return out


def _quantize(lab: Image) -> NDArray[np.int32]:
    """Number every pixel's histogram bin."""
    lightness, a, b = (plane.astype(np.int32) for plane in cv2.split(lab))
    return (lightness * BINS[0] // 256 * BINS[1] + a * BINS[1] // 256) * BINS[2] + b * BINS[2] // 256


def _histogram(colours: NDArray[np.int32]) -> Floats:
    """Count the bins' frequencies, smoothed over neighbouring colours; all 0 for no pixel."""
    counts = np.bincount(colours, minlength=BINS[0] * BINS[1] * BINS[2]).reshape(BINS).astype(np.float32)
    for axis in range(3):
        counts = np.asarray((np.roll(counts, 1, axis) + 2 * counts + np.roll(counts, -1, axis)) / 4, np.float32)
    return np.asarray(counts.ravel() / max(1, len(colours)), np.float32)


def _distance(shape: tuple[int, ...], at: tuple[float, float]) -> Floats:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.asarray(np.hypot(columns - at[0], rows - at[1]), np.float32)
