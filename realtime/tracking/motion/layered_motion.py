"""Carries a mask over one step of motion: object and background move as two layers, and colour and motion decide.

Dense flow smears an object's edge: background that the object uncovers was nowhere in the older frame, and flow takes
it for the object. So the mask moves with the smooth motion of its own inside, extrapolated over its edge (the layers
of Wang & Adelson, "Representing moving images with layers", IEEE TIP 1994), and pixels near the edge are classified by
local colour models and by which of both layers' motions explains the picture better. The keyframe's own colours and
mask, moved as one rigid piece, recover what was hidden or lost for a moment.

Pixels are of the working grid of `FlowChain`: x right, y down, the centre of the top-left pixel is (0, 0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import Floats, Image
from realtime.tracking.motion.flow_chain import Grey, pixel_grid, sample_bilinear, structural_similarity
from realtime.tracking.motion.reference_mask import ReferenceMask, fit_affine
from realtime.tracking.setting_checks import check_settings

MAX_ODDS = 8.0
WINDOWS = ((9, 1.0), (25, 1e-2), (49, 1e-4))
"""(side in half pixels, weight) of boxes: motion is that of the nearest pixels, or else of farther ones."""
PAD = 32
"""Pixels round the mask that take part: a colour window and the widest band."""
EVIDENCE_AREA = 4500
"""Most pixels on which motion and colours are compared: half the resolution, or less of a large object."""
SMALL_AREA = 150
"""Pixels of a mask that is hardly wider than the band along its edge."""
EDGE_FLOW = 3.0
"""Pixels on either side of an edge whose flow may be of either layer."""
Region = tuple[slice, slice]


@dataclass(frozen=True, slots=True)
class LayerSettings:
    """Settings of the steps in which masks are carried. Lengths are pixels of the working grid.

    band: half the width of the band along the edge in which colour and motion decide.
    doubt: extra width factor of the band where the older frame, warped, does not resemble the newer one.
    window: radius of the local colour models.
    prior: log-odds in favour of the carried mask at the band's border.
    colour: largest log-odds by local colours.
    motion: log-odds for each level of the channels' summed difference by which one layer's motion fits better.
    max_motion: largest log-odds by motion.
    remembered_colour: weight of the log-odds by the keyframe's colours.
    remembered_shape: log-odds in favour of the keyframe's mask, moved by the object's affine motion.
    """

    band: float = 3.0
    doubt: float = 4.0
    window: int = 24
    prior: float = 4.0
    colour: float = 6.0
    motion: float = 0.2
    max_motion: float = 4.0
    remembered_colour: float = 1.0
    remembered_shape: float = 1.0

    def __post_init__(self) -> None:
        """Check every setting."""
        check_settings(self)


@dataclass(frozen=True, slots=True, eq=False)
class FramePair:
    """Two frames on the working grid and the flow from the newer one back to the older one.

    then, now: indices. labs: their (h, w, 3) CIELAB pictures, greys: their grey ones, older first.
    flow: (h, w, 2), older minus newer position.
    """

    then: int
    now: int
    labs: tuple[Image, Image]
    greys: tuple[Grey, Grey]
    flow: Floats


@dataclass(frozen=True, slots=True, eq=False)
class CarriedOdds:
    """A mask as (h, w) log-odds of frame `index`.

    reference: the mask in its keyframe. to_reference: (2, 3) affine map of positions of this frame to the keyframe's.
    velocity: (2,) mean flow of the object a frame; None before the first step.
    """

    index: int
    odds: Floats
    reference: ReferenceMask
    to_reference: Floats
    velocity: Floats | None = None


def carry_odds(carried: CarriedOdds, pair: FramePair, settings: LayerSettings | None = None) -> CarriedOdds:
    """Carry a mask of `pair.then` to `pair.now` and align its edge; an empty mask stays empty."""
    use, odds, frames = settings or LayerSettings(), carried.odds, pair.now - pair.then
    velocity = carried.velocity if carried.velocity is not None else _mean_flow(pair.flow, odds > 0, frames)
    out = np.full_like(odds, -MAX_ODDS)
    region = find_region(odds > 0, -velocity * frames)
    if region is None:
        return replace(carried, index=pair.now, odds=out, velocity=velocity)
    grid = pixel_grid(odds.shape)[region]
    step = _LayeredStep(pair, region, use, carried.reference)
    step.separate_layers(
        sample_bilinear(odds, grid + pair.flow[region]),
        sample_bilinear(odds, grid + np.asarray(velocity * frames, np.float32)),
    )
    to_reference = carried.to_reference[:, :2] @ step.affine
    to_reference[:, 2] += carried.to_reference[:, 2]
    moved = sample_bilinear(odds, grid + step.object_flow)
    if (moved > 0).any():
        aligned = step.align_edge(moved, to_reference)
        out[region] = moved if has_collapsed(moved > 0, aligned > 0) else aligned
    return CarriedOdds(pair.now, out, carried.reference, to_reference, step.velocity)


def find_region(mask: NDArray[np.bool_], shift: Floats | None = None) -> Region | None:
    """Find the rows and columns of a mask, shifted by (2,) px, and of its surroundings; None for an empty one."""
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    if not w or not h:
        return None
    dx, dy = (0, 0) if shift is None else np.rint(shift).astype(int)
    rows = slice(max(0, y + dy - PAD), min(mask.shape[0], y + dy + h + PAD))
    columns = slice(max(0, x + dx - PAD), min(mask.shape[1], x + dx + w + PAD))
    return (rows, columns) if rows.stop > rows.start and columns.stop > columns.start else None


def has_collapsed(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> bool:
    """Return whether aligning the edge of a mask took more than half of it, which a small mask's whole width is."""
    return bool(2 * np.count_nonzero(after) < np.count_nonzero(before) <= SMALL_AREA)


def signed_depth(inside: NDArray[np.bool_]) -> Floats:
    """Compute the distance to a mask's edge, positive inside, px; without an edge, more than any distance within."""
    seed, farthest = inside.astype(np.uint8), float(sum(inside.shape))
    inner, outer = (cv2.distanceTransform(v, cv2.DIST_L2, 3) for v in (seed, 1 - seed))
    return np.asarray(np.clip(inner - outer, -farthest, farthest), np.float32)


class _LayeredStep:
    """A step in the region of a mask, its evidence on a grid of half the resolution or less.

    Of `separate_layers`: object_flow, (h, w, 2) on the region's grid; velocity, its (2,) mean a frame; affine, the
    (2, 3) map of newer positions to older ones that fits it best.
    """

    def __init__(self, pair: FramePair, region: Region, use: LayerSettings, reference: ReferenceMask) -> None:
        self._use, self._pair, self._region, self._reference = use, pair, region, reference
        self._size = (region[1].stop - region[1].start, region[0].stop - region[0].start)
        scale = min(0.5, (EVIDENCE_AREA / (self._size[0] * self._size[1])) ** 0.5)
        self._scale, self._half = scale, tuple(max(4, round(side * scale)) for side in self._size)
        self._flow = self._shrink(pair.flow[region])
        self._at = self._shrink(pixel_grid(pair.flow.shape)[region])
        self._lab = self._shrink(pair.labs[1][region])
        self._doubt = self._measure_doubt()

    def separate_layers(self, naive: Floats, predicted: Floats) -> None:
        """Find the motion of both layers.

        naive, predicted: the older log-odds by the flow, and by the object's motion before.
        """
        depths = [signed_depth(self._shrink(odds) > 0) for odds in (naive, predicted)]
        inner, outer = np.minimum(*depths), np.maximum(*depths)
        if np.count_nonzero(inner > 0) < 0.2 * np.count_nonzero(depths[0] > 0):
            inner = depths[0]  # the prediction missed
        trusted, reach = 1 - 0.9 * self._doubt, EDGE_FLOW * self._scale
        inside = np.asarray(np.clip(inner / reach, 0, 1) * trusted + 1e-4 * (inner > 0), np.float32)
        outside = np.asarray(np.clip(-outer / reach, 0, 1) * trusted, np.float32)
        self._object, self._ground = (smooth_flow(self._flow, weight) for weight in (inside, outside))
        self.object_flow = self._grow(self._object)
        self.velocity = _mean_flow(self._flow, inner > 0, self._pair.now - self._pair.then)
        some = np.s_[::2, ::2]  # enough for six numbers
        self.affine = fit_affine(self._at[some], self._flow[some], inside[some])

    def align_edge(self, moved: Floats, to_reference: Floats) -> Floats:
        """Classify the pixels near the edge of log-odds on the region's grid; returns log-odds."""
        use = self._use
        depth = signed_depth(moved > 0)
        width = use.band * (1 + use.doubt * self._grow(self._doubt))
        sure = np.clip(depth / width, -1, 1)
        evidence = self._compare_colours(self._shrink(sure)) + self._compare_motions()
        evidence += use.remembered_colour * self._reference.compare_colours(self._lab)
        odds = self._grow(np.asarray(cv2.blur(evidence, (3, 3)), np.float32)) + use.prior * sure
        far = np.abs(depth) > width
        if use.remembered_shape:
            shape = self._reference.warp(to_reference, self._region)
            odds += use.remembered_shape * np.clip(shape, -1, 1)
            far &= (shape <= 0) | (depth > 0)  # what was lost may return
        return np.asarray(np.where(far, np.sign(depth) * MAX_ODDS, np.clip(odds, -MAX_ODDS, MAX_ODDS)), np.float32)

    def _shrink(self, values: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(cv2.resize(values, self._half, interpolation=cv2.INTER_AREA))

    def _grow(self, values: Floats) -> Floats:
        return np.asarray(cv2.resize(values, self._size, interpolation=cv2.INTER_LINEAR), np.float32)

    def _measure_doubt(self) -> Floats:
        then, now = self._pair.greys
        warped = sample_bilinear(then, self._at + self._flow)
        similarity = structural_similarity(self._shrink(now[self._region]), warped)
        return np.asarray(cv2.blur(np.clip(1 - 2 * similarity, 0, 1), (3, 3)), np.float32)

    def _compare_motions(self) -> Floats:
        missed = [
            _sum_channels(cv2.absdiff(sample_bilinear(self._pair.labs[0], self._at + flow), self._lab))
            for flow in (self._ground, self._object)
        ]
        better = cv2.blur(missed[0] - missed[1], (3, 3)) * np.float32(self._use.motion)
        return np.asarray(np.clip(better, -self._use.max_motion, self._use.max_motion), np.float32)

    def _compare_colours(self, sure: Floats) -> Floats:
        trusted, planes = 1 - self._doubt, cv2.split(self._lab.astype(np.float32))
        radius = round(self._use.window * self._scale)
        inner, volume, enough = fit_colours(planes, np.maximum(sure, 0) * trusted, radius)
        outer, ground_volume, enough_ground = fit_colours(planes, np.maximum(-sure, 0) * trusted, radius)
        ratio = 0.5 * (outer - inner + np.log(ground_volume / volume))
        return np.asarray(np.clip(ratio, -self._use.colour, self._use.colour) * (enough & enough_ground), np.float32)


def _mean_flow(flow: Floats, mask: NDArray[np.bool_], frames: int) -> Floats:
    """Compute the (2,) mean flow a frame in a mask; 0 of an empty one."""
    return np.asarray(np.array(cv2.mean(flow, mask.astype(np.uint8))[:2]) / frames, np.float32)


def _sum_channels(picture: NDArray[Any]) -> Floats:
    return np.asarray(cv2.transform(picture.astype(np.float32), np.ones((1, 3), np.float32)), np.float32)


def smooth_flow(flow: Floats, weight: Floats) -> Floats:
    """Average (h, w, 2) flow by weight in growing windows, so that it reaches everywhere."""
    planes = [flow[..., k] * weight for k in range(2)]
    total = np.full_like(weight, 1e-7)
    scale = 1e-7 / max(float(weight.sum()), 1e-6)
    sums = [np.full_like(weight, scale * float(plane.sum())) for plane in planes]
    for side, share in WINDOWS:
        total += share * cv2.blur(weight, (side, side))
        for k in range(2):
            sums[k] += share * cv2.blur(planes[k], (side, side))
    return np.dstack([each / total for each in sums])


def fit_colours(
    planes: Sequence[NDArray[Any]], weight: Floats, window: int
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Fit a normal distribution of each channel to every pixel's weighted neighbours.

    Returns the pixel's summed squared distances in standard deviations, the product of the variances, and where there
    are enough neighbours. Plane by plane, because numpy is slow on short last axes.
    """
    box = (2 * window + 1, 2 * window + 1)
    total = np.asarray(cv2.blur(weight, box), np.float32)
    norm = 1 / (total + 1e-4)
    away, volume = np.zeros_like(weight), np.ones_like(weight)
    for plane in planes:
        weighted = plane * weight
        mean = cv2.blur(weighted, box) * norm
        # A variance of 30 squared levels bounds the certainty of a flat colour by a camera's noise.
        spread = np.maximum(cv2.blur(weighted * plane, box) * norm - mean * mean, 0) + np.float32(30)
        off = plane - mean
        away += off * off / spread
        volume *= spread
    return away, volume, total > 0.01
