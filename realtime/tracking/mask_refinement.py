"""Brings carried masks to the frame's resolution, along the edges of the picture, and removes specks and pinholes.

Pixels: x right, y down, the centre of the top-left pixel is (0, 0).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from engines import Floats, Image, Mask
from realtime.tracking.motion.layered_motion import MAX_ODDS
from realtime.tracking.running_mean import running_mean
from realtime.tracking.setting_checks import check_settings
from realtime.tracking.tracked_mask import TrackedMask
from realtime.types import Frame

MARGIN = 6
"""Pixels of the working grid round the mask in which an edge of the picture may lie."""


@dataclass(frozen=True, slots=True)
class RefinementSettings:
    """Settings of the published mask.

    speck: share of the largest part below which a part or a hole is dropped.
    """

    speck: float = 0.02

    def __post_init__(self) -> None:
        """Check the share."""
        check_settings(self, shares=("speck",))


def upsample_mask(odds: Floats, image: Image) -> Mask:
    """Bring (h, w) log-odds over a frame to its resolution; returns (H, W) bool.

    image: (H, W, 3) uint8 BGR, the frame. Its edges attract the mask's by a guided filter (He & Sun, "Fast
    Guided Filter", arXiv 1505.00996: coefficients on the small grid, applied to the full picture).
    """
    out = np.zeros(image.shape[:2], np.bool_)
    x, y, w, h = cv2.boundingRect((odds > 0).astype(np.uint8))
    if not w or not h:
        return out
    left, top = max(0, x - MARGIN), max(0, y - MARGIN)
    right, bottom = min(odds.shape[1], x + w + MARGIN), min(odds.shape[0], y + h + MARGIN)
    sx, sy = image.shape[1] / odds.shape[1], image.shape[0] / odds.shape[0]
    rows = slice(math.floor(top * sy), min(image.shape[0], math.ceil(bottom * sy)))
    columns = slice(math.floor(left * sx), min(image.shape[1], math.ceil(right * sx)))
    near = np.clip(odds[top:bottom, left:right], -MAX_ODDS, MAX_ODDS)
    part = image[rows, columns]
    plain = cv2.resize(near, (part.shape[1], part.shape[0]), interpolation=cv2.INTER_LINEAR) > 0
    found = _filter_guided(near, part) > 0
    if 2 * np.count_nonzero(found) < np.count_nonzero(plain):  # an object of a few pixels, smaller than the filter
        found = plain
    out[rows, columns] = found
    return out


def _filter_guided(odds: Floats, full: Image, radius: int = 2, smooth: float = 1e-3) -> Floats:
    """Upsample `odds` along the edges of the full picture by a fast guided filter."""
    box = (2 * radius + 1, 2 * radius + 1)
    # Bilinear: averaging by area costs as much as all the rest.
    small = cv2.resize(full, (odds.shape[1], odds.shape[0]), interpolation=cv2.INTER_LINEAR)
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
        self.interval_ns = 0.0  # running mean

    def observe_frame(self, before: Frame | None, frame: Frame) -> None:
        """Measure the time between two frames."""
        if before is not None and frame.captured_ns > before.captured_ns:
            self.interval_ns = running_mean(self.interval_ns, frame.captured_ns - before.captured_ns)

    def refine(self, shown: TrackedMask, frame: Frame) -> Mask:
        """Refine a mask to (H, W) bool of the newest frame.

        When time is short, the edge is only smooth: the next frame in time is worth more than a sharp edge.
        """
        scale = shown.logits.shape[1] / frame.size[0], shown.logits.shape[0] / frame.size[1]
        x, y = ((place + 0.5) * part - 0.5 for place, part in zip(shown.provenance.point_px, scale, strict=True))
        whole = remove_small_regions(shown.mask, (x, y), self._settings.speck)
        odds = np.where(whole == shown.mask, shown.logits, np.where(whole, 1, -1)).astype(np.float32)
        is_late = self._clock_ns() - frame.received_ns > self._share * self.interval_ns
        if is_late and self._hurry:
            return np.asarray(cv2.resize(odds, frame.size, interpolation=cv2.INTER_LINEAR) > 0)
        return upsample_mask(odds, frame.image)
