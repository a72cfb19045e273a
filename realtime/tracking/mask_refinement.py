"""Clean masks: edges where the newest frame shows them, no specks, no pinholes.

A mask carried over several frames has its edge in the wrong place, the newest frame has it in the right one. What is
well inside and well outside says how thing and background look *here*; pixels near the edge, and those where the
carried picture does not resemble the newest one, are decided by which of the two they look like.

Pixels: x right, y down, the centre of the top-left pixel is (0, 0).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import Image, Mask
from realtime.tracking.motion import FlowChain
from realtime.tracking.running_mean import running_mean
from realtime.tracking.tracked_mask import TrackedMask
from realtime.types import Frame

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class RefinementSettings:
    """How edges are found. Lengths are pixels of a picture that is `side_px` on its longest side.

    side_px: the scale to work at, half of an 854 px frame.
    area: the most pixels to work on; a thing that fills the frame is done more coarsely, so that the cost is bounded.
    band, band_per_frame: half the width of the uncertain band along the edge, fresh and for every frame of age.
    doubt: how much wider the band is where the carried picture is nothing like the newest one.
    window: radius within which thing and background are taken to look the same.
    prior: log-odds at the band's border in favour of the carried mask.
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
    """Move the edge of a carried mask to where the newest frame has one; gives (H, W) bool.

    mask: (h, w) bool over the newest frame, on any grid.
    image: (H, W, 3) uint8 BGR, the newest frame.
    age: how many frames the mask was carried over.
    similarity: over the frame, on any grid, -1 to 1: how like the older frame it is (`FlowChain.similarity`).

    Thing and background are normal distributions of each CIELAB channel within a moving window (as the local colour
    models of Bai et al., "Video SnapCut", SIGGRAPH 2009); their log-likelihood ratio and the distance to the carried
    edge add up to log-odds, which a guided filter lays along the picture's edges (He & Sun, "Fast Guided Filter",
    arXiv 1505.00996: coefficients on the small grid, applied to the full picture).
    """
    use = settings or RefinementSettings()
    out = np.zeros(image.shape[:2], np.bool_)
    part = _part(mask, out.shape, use)
    if part is None:
        return out
    rows, columns, size = part
    # Bilinear: averaging by area costs as much as all the rest.
    small = np.asarray(cv2.resize(image[rows, columns], size, interpolation=cv2.INTER_LINEAR), np.uint8)
    inside = _over(mask.astype(np.float32), out.shape, rows, columns, size) > 0.5
    if similarity is None:
        doubt = np.zeros(inside.shape, np.float32)
    else:
        doubt = np.clip(1 - 2 * _over(similarity, out.shape, rows, columns, size), 0, 1)
        doubt = np.asarray(cv2.blur(doubt, (5, 5)), np.float32)
    odds = _log_odds(small, inside, doubt, age, use)
    out[rows, columns] = _guided(odds, small, image[rows, columns]) > 0
    return out


def _part(mask: Mask, shape: tuple[int, ...], use: RefinementSettings) -> tuple[slice, slice, tuple[int, int]] | None:
    """Rows and columns of the frame to work on, and the (width, height) to work at; None for an empty mask."""
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


def _over(values: Floats, shape: tuple[int, ...], rows: slice, columns: slice, size: tuple[int, int]) -> Floats:
    """(h, w) values over a frame of `shape` -> bilinearly, part of that frame at (width, height) `size`."""
    sx, sy = values.shape[1] / shape[1], values.shape[0] / shape[0]
    px, py = (columns.stop - columns.start) / size[0], (rows.stop - rows.start) / size[1]
    # values' pixel = ((part's + 0.5) * p + start) * s - 0.5
    affine = np.array(
        [[px * sx, 0, (0.5 * px + columns.start) * sx - 0.5], [0, py * sy, (0.5 * py + rows.start) * sy - 0.5]]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(values, affine, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _log_odds(small: Image, inside: NDArray[np.bool_], doubt: Floats, age: int, use: RefinementSettings) -> Floats:
    """Log-odds of belonging to the thing, on the small grid; far from the edge what the carried mask says."""
    seed = inside.astype(np.uint8)
    depth = cv2.distanceTransform(seed, cv2.DIST_L2, 3) - cv2.distanceTransform(1 - seed, cv2.DIST_L2, 3)
    width = (use.band + use.band_per_frame * age) * (1 + use.doubt * doubt)
    sure = np.clip(depth / width, -1, 1)
    trusted = 1 - doubt
    planes = [np.asarray(p, np.float32) for p in cv2.split(cv2.cvtColor(small, cv2.COLOR_BGR2LAB))]
    near, volume, enough = _fit(planes, np.maximum(sure, 0) * trusted, use.window)
    far, room, enough_ground = _fit(planes, np.maximum(-sure, 0) * trusted, use.window)
    looks = np.clip(0.5 * (far - near + np.log(room / volume)), -6, 6) * (enough & enough_ground)
    # A single pixel's colour is noise.
    odds = cv2.blur(looks.astype(np.float32), (5, 5)) + use.prior * sure
    return np.asarray(np.where(np.abs(depth) <= width, np.clip(odds, -8, 8), np.sign(depth) * 8), np.float32)


def _fit(planes: Sequence[Floats], weight: Floats, window: int) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """A normal distribution of each channel among every pixel's weighted neighbours, and the pixel's place in it.

    Gives the summed squared distances in standard deviations, the product of the variances, and where there are
    neighbours enough. Plane by plane, as numpy is slow on short last axes.
    """
    box = (2 * window + 1, 2 * window + 1)
    total = np.asarray(cv2.blur(weight, box), np.float32)
    norm = 1 / (total + 1e-4)
    away, volume = np.zeros_like(weight), np.ones_like(weight)
    for plane in planes:
        weighted = plane * weight
        mean = cv2.blur(weighted, box) * norm
        # 30 squared levels keep a flat colour from being surer than a camera's noise allows.
        spread = np.maximum(cv2.blur(weighted * plane, box) * norm - mean * mean, 0) + np.float32(30)
        off = plane - mean
        away += off * off / spread
        volume *= spread
    return away, volume, total > 0.01


def _guided(odds: Floats, small: Image, full: Image, radius: int = 2, smooth: float = 1e-3) -> Floats:
    """`odds` along the edges of the full picture."""
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
    """Drop specks and fill pinholes smaller than a share of the part that is looked at.

    point_px: the gaze; the part under it, or else the largest, is kept whatever its size. Other parts are kept when
    they are not specks: a pole in front of a dog leaves two.
    """
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    if not w or not h:
        return mask
    # One pixel of margin joins the outside into one part, so that it is no hole.
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
    """Knows how long between two frames there is, and what an edge costs. One thread."""

    def __init__(
        self, clock_ns: Callable[[], int], settings: RefinementSettings, frame_share: float, *, hurry: bool
    ) -> None:
        """frame_share: of the time between frames, within which a mask must be done. hurry: whether time presses."""
        self._clock_ns, self._settings, self._share, self._hurry = clock_ns, settings, frame_share, hurry
        self._interval_ns, self._cost_ns = 0.0, 0.0  # running means

    @property
    def interval_ns(self) -> float:
        """Between two frames; 0 while that is not known."""
        return self._interval_ns

    def observe_frame(self, before: Frame | None, frame: Frame) -> None:
        """Take note of when frames come."""
        if before is not None and frame.captured_ns > before.captured_ns:
            self._interval_ns = running_mean(self._interval_ns, frame.captured_ns - before.captured_ns)

    def refine(self, shown: TrackedMask, frame: Frame, chain: FlowChain | None) -> Mask:
        """(H, W) bool of the newest frame; `chain` goes from it to the mask's keyframe.

        A sharp edge on a frame that comes late is worth less than the next frame in time.
        """
        decode, begin_ns = shown.provenance, self._clock_ns()
        late = begin_ns - frame.received_ns + self._cost_ns > self._share * self._interval_ns
        if late and self._hurry:
            # Cheaper on the working grid. The estimate fades, so that it is tried again when the load has gone.
            self._cost_ns *= 0.98
            w, h = shown.logits.shape[1] / frame.size[0], shown.logits.shape[0] / frame.size[1]
            small = remove_small_regions(
                shown.mask, (decode.point_px[0] * w, decode.point_px[1] * h), self._settings.speck
            )
            return np.asarray(cv2.resize(small.astype(np.float32), frame.size, interpolation=cv2.INTER_LINEAR) > 0.5)
        similarity = chain.similarity if chain is not None else None
        mask = sharpen_edges(shown.mask, frame.image, frame.index - decode.keyframe.index, similarity, self._settings)
        mask = remove_small_regions(mask, decode.point_px, self._settings.speck)
        self._cost_ns += 0.2 * (self._clock_ns() - begin_ns - self._cost_ns)
        return mask
