"""Refines masks: aligns edges with the newest frame, removes specks and pinholes.

The edge of a mask carried over several frames is displaced; the newest frame shows the right one. Pixels well inside
and well outside give local colour models of object and background; pixels near the edge, and those where the carried
picture differs from the newest one, are classified by these models.

Pixels: x right, y down, the centre of the top-left pixel is (0, 0).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import Floats, Image, Mask
from realtime.tracking.motion.layered_motion import fit_colours, has_collapsed
from realtime.tracking.running_mean import running_mean
from realtime.tracking.tracked_mask import TrackedMask
from realtime.types import Frame


@dataclass(frozen=True, slots=True)
class RefinementSettings:
    """Settings of edge alignment. Lengths are pixels of a picture that is `side_px` on its longest side.

    side_px: the working scale, half of an 854 px frame.
    area: largest number of working pixels; an object that fills the frame is refined more coarsely.
    band: half the width of the uncertain band along the edge, fresh.
    band_per_frame: what every frame of age adds to `band`.
    doubt: extra width factor of the band where the carried picture does not resemble the newest one.
    window: radius of the local colour models.
    prior: log-odds in favour of the carried mask at the band's border.
    speck: share of the largest part below which a part or a hole is dropped.
    """

    side_px: int = 432
    area: int = 30_000
    band: float = 2.0
    band_per_frame: float = 1.0
    doubt: float = 4.0
    window: int = 16
    prior: float = 4.0
    speck: float = 0.02


def sharpen_edges(
    mask: Mask, image: Image, age: int, similarity: Floats | None = None, settings: RefinementSettings | None = None
) -> Mask:
    """Align the edge of a carried mask with the newest frame; returns (H, W) bool.

    mask: (h, w) bool over the newest frame, on any grid.
    image: (H, W, 3) uint8 BGR, the newest frame.
    age: number of frames that the mask was carried over.
    similarity: to the older frame, on any grid, -1 to 1 (`FlowChain.similarity`).

    Object and background are normal distributions of each CIELAB channel within a moving window (as the local colour
    models of Bai et al., "Video SnapCut", SIGGRAPH 2009); their log-likelihood ratio and the distance to the carried
    edge add up to log-odds, which a guided filter lays along the picture's edges (He & Sun, "Fast Guided Filter",
    arXiv 1505.00996: coefficients on the small grid, applied to the full picture).
    """
    use = settings or RefinementSettings()
    out = np.zeros(image.shape[:2], np.bool_)
    region = _find_region(mask, out.shape, use)
    if region is None:
        return out
    rows, columns, size = region
    # Bilinear: averaging by area costs as much as all the rest.
    small = np.asarray(cv2.resize(image[rows, columns], size, interpolation=cv2.INTER_LINEAR), np.uint8)
    inside = _resample(mask.astype(np.float32), out.shape, rows, columns, size) > 0.5
    doubt = np.zeros(inside.shape, np.float32)
    if similarity is not None:
        doubt = np.clip(1 - 2 * _resample(similarity, out.shape, rows, columns, size), 0, 1)
        doubt = np.asarray(cv2.blur(doubt, (5, 5)), np.float32)
    odds = _log_odds(small, inside, doubt, age, use)
    sharp = _filter_guided(odds, small, image[rows, columns]) > 0
    if has_collapsed(inside, cv2.resize(sharp.astype(np.uint8), size) > 0):
        sharp = cv2.resize(inside.astype(np.float32), sharp.shape[::-1], interpolation=cv2.INTER_LINEAR) > 0.5
    out[rows, columns] = sharp
    return out


def _find_region(
    mask: Mask, shape: tuple[int, ...], use: RefinementSettings
) -> tuple[slice, slice, tuple[int, int]] | None:
    """Find the working rows and columns of the frame and the working (width, height); None for an empty mask."""
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    if not w or not h:
        return None
    scale = min(1.0, use.side_px / max(shape))
    pad = int((use.window + use.band) * 2 / scale)
    sx, sy = shape[1] / mask.shape[1], shape[0] / mask.shape[0]
    rows = slice(max(0, int(y * sy) - pad), min(shape[0], math.ceil((y + h) * sy) + pad))
    columns = slice(max(0, int(x * sx) - pad), min(shape[1], math.ceil((x + w) * sx) + pad))
    height, width = rows.stop - rows.start, columns.stop - columns.start
    scale = min(scale, (use.area / (width * height)) ** 0.5)
    return rows, columns, (max(8, round(width * scale)), max(8, round(height * scale)))


def _resample(values: Floats, shape: tuple[int, ...], rows: slice, columns: slice, size: tuple[int, int]) -> Floats:
    """Resample (h, w) values over a frame of `shape` bilinearly to a region of it, at (width, height) `size`."""
    sx, sy = values.shape[1] / shape[1], values.shape[0] / shape[0]
    px, py = (columns.stop - columns.start) / size[0], (rows.stop - rows.start) / size[1]
    # values' pixel = ((part's + 0.5) * p + start) * s - 0.5
    affine = np.array(
        [[px * sx, 0, (0.5 * px + columns.start) * sx - 0.5], [0, py * sy, (0.5 * py + rows.start) * sy - 0.5]]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(values, affine, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _log_odds(small: Image, inside: NDArray[np.bool_], doubt: Floats, age: int, use: RefinementSettings) -> Floats:
    """Compute the log-odds of belonging to the object, on the small grid; far from the edge, of the carried mask."""
    seed = inside.astype(np.uint8)
    depth = cv2.distanceTransform(seed, cv2.DIST_L2, 3) - cv2.distanceTransform(1 - seed, cv2.DIST_L2, 3)
    width = (use.band + use.band_per_frame * age) * (1 + use.doubt * doubt)
    sure = np.clip(depth / width, -1, 1)
    trusted = 1 - doubt
    planes = [np.asarray(p, np.float32) for p in cv2.split(cv2.cvtColor(small, cv2.COLOR_BGR2LAB))]
    inner, volume, enough = fit_colours(planes, np.maximum(sure, 0) * trusted, use.window)
    outer, ground_volume, enough_ground = fit_colours(planes, np.maximum(-sure, 0) * trusted, use.window)
    likelihood = np.clip(0.5 * (outer - inner + np.log(ground_volume / volume)), -6, 6) * (enough & enough_ground)
    # A single pixel's colour is noise.
    odds = cv2.blur(likelihood.astype(np.float32), (5, 5)) + use.prior * sure
    return np.asarray(np.where(np.abs(depth) <= width, np.clip(odds, -8, 8), np.sign(depth) * 8), np.float32)


def _filter_guided(odds: Floats, small: Image, full: Image, radius: int = 2, smooth: float = 1e-3) -> Floats:
    """Upsample `odds` along the edges of the full picture by a fast guided filter."""
    box = (2 * radius + 1, 2 * radius + 1)
    guide = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32) / 255
    mean_guide, mean_odds = cv2.blur(guide, box), cv2.blur(odds, box)
    slope = (cv2.blur(guide * odds, box) - mean_guide * mean_odds) / (
        cv2.blur(guide * guide, box) - mean_guide * mean_guide + smooth
    )
    offset = mean_odds - slope * mean_guide
    size = (full.shape[1], full.shape[0])
    steep, lift = (cv2.resize(cv2.blur(v, box), size, interpolation=cv2.INTER_LINEAR) for v in (slope, offset))
    grey = cv2.cvtColor(full, cv2.COLOR_BGR2GRAY).astype(np.float32) / 255
    return np.asarray(steep * grey + lift, np.float32)


def remove_small_regions(mask: Mask, point_px: tuple[float, float] | None = None, speck: float = 0.02) -> Mask:
    """Remove specks and fill pinholes smaller than a share of the main region.

    point_px: the gaze; the region under it, or else the largest, is the main one. Other regions that are not
    specks are kept: a pole in front of a dog leaves two.
    """
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    if not w or not h:
        return mask
    # A margin of one pixel joins the outside into one region, so that it is no hole.
    part = cv2.copyMakeBorder(mask[y : y + h, x : x + w].astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(part, connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    main = int(np.argmax(areas))
    if point_px is not None:
        px, py = round(point_px[0]) - x + 1, round(point_px[1]) - y + 1
        if 0 <= px < part.shape[1] and 0 <= py < part.shape[0] and labels[py, px]:
            main = int(labels[py, px])
    least = speck * float(areas[main])
    if count > 2:
        keep = areas >= least
        keep[[0, main]] = False, True
        part = keep[labels].astype(np.uint8)
    holes, labels, stats, _ = cv2.connectedComponentsWithStats(1 - part, connectivity=4)
    if holes > 2:
        fill = stats[:, cv2.CC_STAT_AREA] < least
        fill[0] = fill[labels[0, 0]] = False
        part = part | fill[labels].astype(np.uint8)
    out = np.zeros_like(mask)
    out[y : y + h, x : x + w] = part[1:-1, 1:-1] > 0
    return out


class MaskRefiner:
    """Refines the shown mask within the time between two frames. One thread.

    interval_ns: mean time between two frames; 0 while unknown.
    """

    def __init__(
        self, clock_ns: Callable[[], int], settings: RefinementSettings, frame_share: float, *, hurry: bool
    ) -> None:
        """frame_share: part of the time between frames within which a mask must be ready. hurry: live input."""
        self._clock_ns, self._settings, self._share, self._hurry = clock_ns, settings, frame_share, hurry
        self.interval_ns = self._cost_ns = 0.0  # running means

    def observe_frame(self, before: Frame | None, frame: Frame) -> None:
        """Measure the time between two frames."""
        if before is not None and frame.captured_ns > before.captured_ns:
            self.interval_ns = running_mean(self.interval_ns, frame.captured_ns - before.captured_ns)

    def refine(self, shown: TrackedMask, frame: Frame) -> Mask:
        """Refine a mask to (H, W) bool of the newest frame.

        When time is short, only specks are removed: the next frame in time is worth more than a sharp edge.
        """
        provenance, begin_ns = shown.provenance, self._clock_ns()
        late = begin_ns - frame.received_ns + self._cost_ns > self._share * self.interval_ns
        if late and self._hurry:
            # Cheaper on the working grid. The cost decays, so that edges are aligned again when the load is over.
            self._cost_ns *= 0.98
            w, h = shown.logits.shape[1] / frame.size[0], shown.logits.shape[0] / frame.size[1]
            small = remove_small_regions(
                shown.mask, (provenance.point_px[0] * w, provenance.point_px[1] * h), self._settings.speck
            )
            return np.asarray(cv2.resize(small.astype(np.float32), frame.size, interpolation=cv2.INTER_LINEAR) > 0.5)
        mask = sharpen_edges(shown.mask, frame.image, 1, settings=self._settings)
        mask = remove_small_regions(mask, provenance.point_px, self._settings.speck)
        self._cost_ns += 0.2 * (self._clock_ns() - begin_ns - self._cost_ns)
        return mask
