"""Motion between frames: dense flow in a bounded ring, chained from the newest frame back to any older one.

A map is kept the way it is used: for every pixel of the *newer* frame, where it was in the *older* one. A mask of the
older frame is then brought to now by sampling it there, without holes, and a gaze point is taken back by one look-up.

Flow is dense inverse search (Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016) on grey of at
most `MotionSettings.side_px`. Pixels: x right, y down, the centre of the top-left pixel is (0, 0); `_px` is the
frame's own, the working grid stays inside this module.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import Letterbox
from realtime.types import Frame, Mask

Floats = NDArray[np.float32]
Grey = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class MotionSettings:
    """How motion is measured.

    side_px: longest side of the working picture. Half of an 854 px frame: thirds lose 5 points of J&F of a mask
        carried six frames, the full size gains 2 and costs four times as much.
    ring: how many frames back a chain can reach.
    still_levels: a picture is still when no block of 8 x 8 working pixels changed by this many grey levels on average;
        compressed video of a still scene stays below 1.
    doubt_trust: a step that looks less alike than this is checked by flow the other way too, and trusted no more than
        the share of pixels that come home. Of 69 pairs of unrelated pictures the most alike reached 0.43, of 323 real
        steps the least alike, blurred by a pan, 0.55; home came at most 5 % of the former, at least 20 % of the latter.
    pan_share: share of the longest side; dense inverse search loses pans of over a tenth of it, so that from here on it
        is started from the pan as well.
    cut_trust: a step whose trust is below this is a cut: nothing is carried across it.
    cut_histogram: (trust, distance) pairs; a step below the trust is a cut too if its grey histograms lie farther
        apart (distance of Bhattacharyya, 0..1; Zhang et al., "Automatic partitioning of full-motion video", 1993). A
        fast pan spoils the flow but keeps the histogram, a change of exposure changes the histogram but not the
        structure; only a cut does both. Of a plain wall or a covered lens little structure is there to compare.
    """

    side_px: int = 432
    ring: int = 48
    still_levels: float = 1.5
    doubt_trust: float = 0.6
    pan_share: float = 0.06
    cut_trust: float = 0.1
    cut_histogram: tuple[tuple[float, float], ...] = ((0.5, 0.2), (0.9, 0.7))


@lru_cache(maxsize=4)
def _grid(shape: tuple[int, ...]) -> Floats:
    """(h, w, 2) float32, read-only: every pixel's own x, y."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    grid = np.dstack([x, y])
    grid.flags.writeable = False
    return grid


def _sample(values: NDArray[Any], at: Floats) -> NDArray[Any]:
    """`values` bilinearly at the (h, w, 2) places `at`; beyond the border the nearest is taken."""
    # The stubs do not know that the second map may be empty.
    out = cv2.remap(values, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return np.asarray(out, values.dtype)


def similarity(a: Grey, b: Grey, window: int = 5) -> Floats:
    """Structural similarity of two grey pictures at every pixel, -1 to 1 (Wang et al., IEEE TIP 2004).

    `b` is first given `a`'s mean and spread, so that a change of exposure or gain is no dissimilarity.
    """
    x, y = a.astype(np.float32), b.astype(np.float32)
    spread = float(y.std())
    gain = min(max(float(x.std()) / spread, 0.25), 4.0) if spread > 1 else 1.0
    y = (y - float(y.mean())) * gain + float(x.mean())

    def mean(v: Floats) -> Floats:
        return np.asarray(cv2.blur(v, (window, window)), np.float32)

    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    out = ((2 * mx * my + c1) * (2 * cov + c2)) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    return np.asarray(out, np.float32)


def _apart(a: Grey, b: Grey) -> float:
    """Bhattacharyya distance of two pictures' grey histograms, 0..1."""
    histograms = [cv2.calcHist([v], [0], None, [32], [0, 256]) / v.size for v in (a, b)]
    return float(cv2.compareHist(histograms[0], histograms[1], cv2.HISTCMP_BHATTACHARYYA))


def _pan(now: Grey, then: Grey) -> tuple[float, float]:
    """Where most of the picture was, less where it is, by phase correlation at a quarter of the size."""
    size = (max(16, now.shape[1] // 4), max(16, now.shape[0] // 4))
    a, b = (cv2.resize(v, size, interpolation=cv2.INTER_AREA).astype(np.float32) for v in (now, then))
    (x, y), _ = cv2.phaseCorrelate(a, b, _window(size))
    return x * now.shape[1] / size[0], y * now.shape[0] / size[1]


@lru_cache(maxsize=4)
def _window(size: tuple[int, int]) -> Floats:
    """Hanning window, so that the borders do not correlate with themselves."""
    return np.asarray(cv2.createHanningWindow(size, cv2.CV_32F), np.float32)


@dataclass(frozen=True, eq=False)
class Chain:
    """The map from the newest frame, index `now`, to an older one, index `then`.

    size: (width, height) of both frames, px.
    displacement: (h, w, 2) float32 on the working grid and in its pixels: where a pixel was, less where it is.
    weakest: the lowest trust of the steps it was chained from, 0..1.
    """

    then: int
    now: int
    size: tuple[int, int]
    displacement: Floats = field(repr=False)
    weakest: float
    _greys: tuple[Grey, Grey] = field(repr=False)

    @property
    def age(self) -> int:
        """How many frames' indices lie between."""
        return self.now - self.then

    @property
    def _scale(self) -> Floats:
        """(2,) working pixels per frame pixel."""
        h, w = self.displacement.shape[:2]
        return np.array([w / self.size[0], h / self.size[1]], np.float32)

    @cached_property
    def _back(self) -> Floats:
        """The inverse displacement, older to newer, on the working grid.

        Fixed-point iteration d <- -D(p + d) (Chen et al., "A simple fixed-point approach to invert a deformation
        field", Medical Physics 2008); it is exact where the motion is smooth, and four rounds leave < 0.1 px there.
        """
        grid = _grid(self.displacement.shape)
        back = -self.displacement
        for _ in range(4):
            back = -_sample(self.displacement, grid + back)
        return back

    @cached_property
    def similarity(self) -> Floats:
        """(h / 2, w / 2) over the newest frame: how like it the older one looks where the map points."""
        h, w = self.displacement.shape[:2]
        warped = _sample(self._greys[0], _grid((h, w)) + self.displacement)
        now, then = (
            np.asarray(cv2.resize(g, (w // 2, h // 2), interpolation=cv2.INTER_AREA), np.uint8)
            for g in (self._greys[1], warped)
        )
        return similarity(now, then)

    @cached_property
    def trust(self) -> float:
        """How far to believe the whole map, 0..1: mean similarity, and no more than its weakest step."""
        return min(self.weakest, max(0.0, float(self.similarity.mean())))

    def trust_at(self, point_px: tuple[float, float], radius_px: float) -> float:
        """`trust` of a disc round a place in the newest frame."""
        h, w = self.similarity.shape
        disc = np.zeros((h, w), np.uint8)
        scale = np.array([w / self.size[0], h / self.size[1]])
        x, y = (np.array(point_px) + 0.5) * scale - 0.5
        r = max(2, round(radius_px * float(scale[0])))
        cv2.circle(disc, (round(float(x)), round(float(y))), r, 1, -1)
        return self._trust_where(disc)

    def trust_in(self, mask: Mask) -> float:
        """`trust` of a (H, W) mask in the newest frame; of the whole map when it is empty."""
        h, w = self.similarity.shape
        small = cv2.resize(mask.astype(np.uint8), (w, h), interpolation=cv2.INTER_AREA)
        return self._trust_where(np.asarray(small, np.uint8))

    def _trust_where(self, where: Grey) -> float:
        inside = where > 0
        if not inside.any():
            return self.trust
        return min(self.weakest, max(0.0, float(self.similarity[inside].mean())))

    def to_then(self, points_px: Floats) -> Floats:
        """(N, 2) places in the newest frame -> where they were; clamped to the older frame."""
        if not len(points_px):
            return np.zeros((0, 2), np.float32)
        work = ((points_px + 0.5) * self._scale - 0.5).astype(np.float32)
        return self._framed(work + _sample(self.displacement, work[None])[0])

    def to_now(self, points_px: Floats) -> Floats:
        """(N, 2) places in the older frame -> where they are; clamped to the newest frame.

        Inverts the map at these places alone, by the same iteration as `_back` does everywhere.
        """
        if not len(points_px):
            return np.zeros((0, 2), np.float32)
        work = ((points_px + 0.5) * self._scale - 0.5).astype(np.float32)
        back = np.zeros_like(work)
        for _ in range(6):
            back = -_sample(self.displacement, (work + back)[None])[0]
        return self._framed(work + back)

    def _framed(self, work: Floats) -> Floats:
        """Working pixels -> frame pixels within the frame."""
        out = (work + 0.5) / self._scale - 0.5
        return np.asarray(np.clip(out, 0, np.array(self.size, np.float32) - 1), np.float32)

    def carry(self, mask: Mask) -> Mask:
        """(H, W) bool in the older frame -> (H, W) bool in the newest, at full resolution."""
        h, w = self.displacement.shape[:2]
        at = (_grid((h, w)) + self.displacement + 0.5) / self._scale - 0.5
        full = np.asarray(cv2.resize(at, self.size, interpolation=cv2.INTER_LINEAR), np.float32)
        return np.asarray(_sample(mask.astype(np.float32), full) > 0.5, np.bool_)

    def sampled(self, logits: Floats, letterbox: Letterbox) -> Floats:
        """(K, S, S) logits of the older frame -> (K, h, w) float32 on the working grid of the newest, K at most 4."""
        h, w = self.displacement.shape[:2]
        step = np.array(letterbox.scale, np.float32) * (logits.shape[-1] / letterbox.side)
        at = (_grid((h, w)) + self.displacement + 0.5) * (step / self._scale) - 0.5
        out = _sample(np.ascontiguousarray(logits.transpose(1, 2, 0)), at)  # all of them in one pass
        return out[None] if out.ndim == 2 else out.transpose(2, 0, 1)

    def moved(self, small: Floats) -> Floats:
        """(h, w) float32 on the working grid of the older frame -> the same on that of the newest."""
        return _sample(small, _grid(self.displacement.shape) + self.displacement)

    def disc(self, point_px: tuple[float, float], radius_px: float) -> Floats:
        """(h, w) float32 on the working grid: 1 within `radius_px` of a place in the newest frame, at least there."""
        h, w = self.displacement.shape[:2]
        x, y = (np.array(point_px, np.float32) + 0.5) * self._scale - 0.5
        rows, columns = np.ogrid[:h, :w]
        r = max(1.0, radius_px * float(self._scale[0]))
        return np.asarray((columns - x) ** 2 + (rows - y) ** 2 <= r * r, np.float32)

    def carry_logits(self, logits: Floats, letterbox: Letterbox) -> Floats:
        """(S, S) logits of the older frame -> (H, W) float32 in the newest frame; above 0 is inside.

        Sampled on the working grid and enlarged from there: a logit covers several pixels, so that nothing is lost.
        """
        h, w = self.displacement.shape[:2]
        step = np.array(letterbox.scale, np.float32) * (logits.shape[1] / letterbox.side)
        at = (_grid((h, w)) + self.displacement + 0.5) * (step / self._scale) - 0.5
        return np.asarray(cv2.resize(_sample(logits, at), self.size, interpolation=cv2.INTER_LINEAR), np.float32)

    def back_to_logits(self, now: Floats | Mask, letterbox: Letterbox, side: int = 256) -> Floats:
        """(H, W) mask or map in the newest frame -> (side, side) float32 over the older frame's letterboxed square.

        Padding is 0, so that a mask stays a mask. Used to compare with candidates and as a dense prompt.
        """
        h, w = self.displacement.shape[:2]
        small = cv2.resize(now.astype(np.float32), (w, h), interpolation=cv2.INTER_AREA)
        there = _sample(np.asarray(small, np.float32), _grid((h, w)) + self._back)
        out = np.zeros((side, side), np.float32)
        cw, ch = (max(1, round(c * side / letterbox.side)) for c in letterbox.content_size)
        out[:ch, :cw] = cv2.resize(there, (cw, ch), interpolation=cv2.INTER_AREA)
        return out


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """One frame of the ring and its flow to the one before."""

    index: int
    size: tuple[int, int]
    grey: Grey
    flow: Floats
    trust: float


class Motion:
    """The newest frames' motion. One thread; nothing in it grows without bound."""

    def __init__(self, settings: MotionSettings | None = None) -> None:
        self._settings = settings or MotionSettings()
        self._ring: OrderedDict[int, _Step] = OrderedDict()
        self._chains: dict[int, tuple[int, Floats, float]] = {}  # then -> (now, displacement, weakest)
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        # One level finer than the preset; its variational refinement costs more than it gains for carried masks.
        self._flow.setFinestScale(1)

    @property
    def now(self) -> int | None:
        """Index of the newest frame."""
        return next(reversed(self._ring)) if self._ring else None

    def push(self, frame: Frame) -> float:
        """Take the newest frame; returns the trust of the step to it, 0..1 (1 for the first).

        A frame whose index is not above the newest's, or of another size, starts the ring afresh.
        """
        newest = self.now
        if newest is not None and (frame.index <= newest or self._ring[newest].size != frame.size):
            self.reset()
            newest = None
        grey = self._grey(frame)
        if newest is None:
            step = _Step(frame.index, frame.size, grey, np.zeros((*grey.shape, 2), np.float32), 1.0)
        else:
            step = self._step(frame, grey, self._ring[newest])
        self._ring[frame.index] = step
        while len(self._ring) > self._settings.ring:
            gone, _ = self._ring.popitem(last=False)
            self._chains.pop(gone, None)
        return step.trust

    def reset(self) -> None:
        """Forget everything, as after a change of source."""
        self._ring.clear()
        self._chains.clear()

    def chain(self, then: int) -> Chain | None:
        """The map from the newest frame to frame `then`; None when that is not in the ring or lies behind a cut."""
        newest = self.now
        if newest is None or then not in self._ring:
            return None
        since, displacement, weakest = self._chains.get(then) or (then, None, 1.0)
        for step in [s for i, s in self._ring.items() if i > since]:
            displacement = step.flow if displacement is None else self._extended(step.flow, displacement)
            weakest = min(weakest, step.trust)
        now = self._ring[newest]
        if displacement is None:
            displacement = np.zeros_like(now.flow)
        # Kept, so that a keyframe asked for every frame costs one composition a frame.
        self._chains[then] = (newest, displacement, weakest)
        if weakest < self._settings.cut_trust:
            return None
        return Chain(then, newest, now.size, displacement, weakest, (self._ring[then].grey, now.grey))

    @staticmethod
    def _extended(flow: Floats, older: Floats) -> Floats:
        """Newest -> before by `flow`, and before -> then by `older`."""
        return np.asarray(flow + _sample(older, _grid(flow.shape) + flow), np.float32)

    def _grey(self, frame: Frame) -> Grey:
        scale = min(1.0, self._settings.side_px / max(frame.size))
        # DIS needs patches at two scales at the least.
        size = tuple(max(32, round(v * scale)) for v in frame.size)
        # Grey first: averaging over areas is the dear part, and one channel of it is a third.
        grey = cv2.cvtColor(frame.image, cv2.COLOR_BGR2GRAY)
        return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)

    def _step(self, frame: Frame, grey: Grey, before: _Step) -> _Step:
        if self._still(grey, before.grey):
            return _Step(frame.index, frame.size, grey, np.zeros_like(before.flow), 1.0)
        flow = self._measured(grey, before.grey)
        trust = Chain(before.index, frame.index, frame.size, flow, 1.0, (before.grey, grey)).trust
        if trust < self._settings.doubt_trust:
            trust = min(trust, self._home(grey, before.grey, flow))
        apart = _apart(grey, before.grey)
        if any(trust < below and apart > least for below, least in self._settings.cut_histogram):
            trust = 0.0
        return _Step(frame.index, frame.size, grey, flow, trust)

    def _measured(self, grey: Grey, before: Grey) -> Floats:
        """Flow from `grey` to `before`; of a fast pan the better, pixel by pixel, of two that start differently."""
        still = np.zeros((*grey.shape, 2), np.float32)
        flow = np.asarray(self._flow.calc(grey, before, still), np.float32)
        pan = _pan(grey, before)
        if math.hypot(*pan) < self._settings.pan_share * max(grey.shape):
            return flow
        # What the camera follows hardly moves while all else does: neither start is right for both.
        start = np.full_like(still, np.array(pan, np.float32))
        panned = np.asarray(self._flow.calc(grey, before, start), np.float32)
        missed = [
            cv2.blur(cv2.absdiff(grey, _sample(before, _grid(grey.shape) + way)), (15, 15)) for way in (flow, panned)
        ]
        # Clearly better, as at the edge of what is followed both are about as wrong.
        return np.where((missed[1] < 0.8 * missed[0])[..., None], panned, flow)

    def _home(self, grey: Grey, before: Grey, flow: Floats) -> float:
        """Share of pixels that come home within 1.5 working pixels, there by `flow` and back by flow the other way."""
        back = np.asarray(self._flow.calc(before, grey, np.zeros_like(flow)), np.float32)
        missed = flow + _sample(back, _grid(flow.shape) + flow)
        return float((np.hypot(missed[..., 0], missed[..., 1]) < 1.5).mean())

    def _still(self, a: Grey, b: Grey) -> bool:
        change = cv2.absdiff(a, b)
        blocks = cv2.resize(change, None, fx=1 / 8, fy=1 / 8, interpolation=cv2.INTER_AREA)
        return bool(blocks.max() < self._settings.still_levels)
