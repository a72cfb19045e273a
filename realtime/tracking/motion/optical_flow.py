"""Measures dense optical flow in a bounded ring of frames, chained from the newest back to any older one.

Flow is dense inverse search (Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016) on grey of at
most `MotionSettings.side_px`.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from engines import Floats, Image
from realtime.tracking.motion.flow_chain import FlowChain, Grey, pixel_grid, sample_bilinear
from realtime.tracking.motion.layered_motion import FramePair
from realtime.tracking.motion.motion_fusion import make_flow_estimator
from realtime.tracking.setting_checks import check_settings
from realtime.types import Frame

MAX_RING = 300
MIN_SIDE_PX, USUAL_SIDE_PX, SLOW_SIDE_PX, LEAST_SIDE_PX = 64, 360, 320, 280
"""Least side of the working picture; its automatic side, and those of a live run on slow machines."""
SPEED_BLOCKS = (6, 4)
"""(columns, rows) of blocks whose motion is compared: an object that fills one counts as much as the whole picture."""
CHAINED_FRAMES = 4
"""A chain that none of so many frames used is composed anew when it is needed again, to the same bytes: each takes as
much memory as a frame of the ring, and every keyframe leaves one behind."""


@dataclass(frozen=True, slots=True)
class MotionSettings:
    """Settings of the optical flow.

    side_px: longest side of the working picture, at least 64; most of a frame's time grows with its square. Of six
        clips with an encoder of 3 frames, 320 and 280 px lose 1.5 points of J&F against 360, and 240 lose 1.7; a mask
        that comes after the next frame loses more. 0 is 360, or in a live run the longest of 360, 320 and 280 at which
        a frame took at most 22 ms in the run before: 320 where that is not known, and at most that where the encoder is
        measured to be slow, because the tracker then shares full cores with it.
    ring: number of frames that a chain can reach back, 2 to 300; each keeps 0.5 MB of flow at 320 px.
    still_levels: a picture is still when no block of 8 x 8 working pixels changed by this many grey levels on average;
        compressed video of a still scene stays below 1.
    doubt_trust: a step of lower similarity is checked by the flow in the other direction, and trusted no more than the
        share of forward-backward consistent pixels. Of 69 pairs of unrelated pictures the highest similarity was 0.43,
        of 323 real steps the lowest, blurred by a pan, 0.55; consistent were at most 5 % of the former's pixels, at
        least 20 % of the latter's.
    pan_share: share of the longest side; dense inverse search loses pans of over a tenth of it, so that beyond
        this share it is started from the pan as well.
    cut_trust: a step whose trust is below this is a cut: nothing is carried across it. Three times the
        consistency of unrelated pictures, three quarters of that of the blurriest pan.
    cut_histogram: (trust, distance) pairs; a step below the trust is a cut too if its grey histograms lie farther
        apart (distance of Bhattacharyya, 0..1; Zhang et al., "Automatic partitioning of full-motion video", 1993). A
        fast pan spoils the flow but keeps the histogram, a change of exposure changes the histogram but not the
        structure; only a cut does both. A plain wall or a covered lens has little structure to compare.
    """

    side_px: int = 0
    ring: int = 48
    still_levels: float = 1.5
    doubt_trust: float = 0.6
    pan_share: float = 0.06
    cut_trust: float = 0.15
    cut_histogram: tuple[tuple[float, float], ...] = ((0.5, 0.2), (0.9, 0.7))

    def __post_init__(self) -> None:
        """Check every setting."""
        if self.side_px and self.side_px < MIN_SIDE_PX:
            raise ValueError(f"side_px must be at least {MIN_SIDE_PX}, or 0 for automatic, got {self.side_px}")
        if not 2 <= self.ring <= MAX_RING:
            raise ValueError(f"ring must be at least 2, at most {MAX_RING}, got {self.ring}")
        check_settings(self, shares=("doubt_trust", "cut_trust"))


def _shrink_image(image: Image, size: Sequence[int]) -> Image:
    """Shrink a picture to (width, height): by averages of 2 x 2 pixels as often as possible, then bilinearly.

    Averaging by area in one go takes eight times as long.
    """
    while min(image.shape[1] / size[0], image.shape[0] / size[1]) >= 2 and not (
        image.shape[0] % 2 or image.shape[1] % 2
    ):
        image = np.asarray(cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _histogram_distance(a: Grey, b: Grey) -> float:
    """Compute the Bhattacharyya distance of two pictures' grey histograms, 0..1."""
    histograms = [cv2.calcHist([v], [0], None, [32], [0, 256]) / v.size for v in (a, b)]
    return float(cv2.compareHist(histograms[0], histograms[1], cv2.HISTCMP_BHATTACHARYYA))


def _estimate_pan(now: Grey, then: Grey) -> tuple[float, float]:
    """Estimate the shift of most of the picture, older minus newest, by phase correlation at a quarter of the size."""
    size = (max(16, now.shape[1] // 4), max(16, now.shape[0] // 4))
    a, b = (cv2.resize(v, size, interpolation=cv2.INTER_AREA).astype(np.float32) for v in (now, then))
    (x, y), _ = cv2.phaseCorrelate(a, b, _window(size))
    return x * now.shape[1] / size[0], y * now.shape[0] / size[1]


@lru_cache(maxsize=4)
def _window(size: tuple[int, int]) -> Floats:
    """Make a Hanning window, so that the borders do not correlate with themselves."""
    return np.asarray(cv2.createHanningWindow(size, cv2.CV_32F), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _FlowStep:
    """A frame of the ring and its flow to the one before."""

    index: int
    size: tuple[int, int]
    grey: Grey
    lab: Image
    flow: Floats
    trust: float


class FlowHistory:
    """Holds the motion of the newest frames, bounded by the ring. One thread."""

    def __init__(self, settings: MotionSettings | None = None) -> None:
        self._settings = settings or MotionSettings()
        self._ring: OrderedDict[int, _FlowStep] = OrderedDict()
        self._chains: dict[int, FlowChain] = {}  # by `then`; to the newest frame at its last use, which is recent
        self._flow = make_flow_estimator()
        self._loaded: tuple[Frame, Grey, Image] | None = None

    @property
    def now(self) -> int | None:
        """Index of the newest frame."""
        return next(reversed(self._ring)) if self._ring else None

    @property
    def grey(self) -> Grey:
        """(h, w) uint8: the newest frame on the working grid. Push one first."""
        return next(reversed(self._ring.values())).grey

    @property
    def lab(self) -> Image:
        """(h, w, 3) uint8 CIELAB: the newest frame on the working grid. Push one first."""
        return next(reversed(self._ring.values())).lab

    @property
    def speed(self) -> float | None:
        """Mean motion of the fastest of `SPEED_BLOCKS` in the newest step, in shares of the longest side per frame.

        None for the first frame and across a cut.
        """
        if len(self._ring) < 2 or (newest := next(reversed(self._ring.values()))).trust < self._settings.cut_trust:
            return None
        lengths = cv2.magnitude(*cv2.split(np.ascontiguousarray(newest.flow[::4, ::4])))  # flow is smooth
        blocks = np.asarray(cv2.resize(lengths, SPEED_BLOCKS, interpolation=cv2.INTER_AREA))
        return float(blocks.max()) / int(max(newest.grey.shape))

    def load(self, frame: Frame) -> Grey:
        """Shrink the frame that is pushed next to the working grid; returns it in grey, (h, w) uint8."""
        self._loaded = frame, *self._shrink(frame)
        return self._loaded[1]

    def push(self, frame: Frame) -> float:
        """Add the newest frame; returns the trust of the step to it, 0..1 (1 for the first).

        A frame whose index is not above the newest's, or of another size, restarts the ring.
        """
        newest = self.now
        if newest is not None and (frame.index <= newest or self._ring[newest].size != frame.size):
            self.reset()
            newest = None
        loaded, self._loaded = self._loaded, None
        grey, lab = loaded[1:] if loaded is not None and loaded[0] is frame else self._shrink(frame)
        flow, trust = np.zeros((*grey.shape, 2), np.float32), 1.0
        if newest is not None and not self._is_still(grey, self._ring[newest].grey):
            flow, trust = self._measure_step(frame, grey, self._ring[newest])
        self._ring[frame.index] = _FlowStep(frame.index, frame.size, grey, lab, flow, trust)
        while len(self._ring) > self._settings.ring:
            self._ring.popitem(last=False)
        recent = list(self._ring)[-CHAINED_FRAMES:]
        self._chains = {
            then: chain for then, chain in self._chains.items() if then in self._ring and chain.now >= recent[0]
        }
        return trust

    def reset(self) -> None:
        """Forget everything, as after a change of source."""
        self._ring.clear()
        self._chains.clear()

    def chain(self, then: int) -> FlowChain | None:
        """Chain the flow from the newest frame to frame `then`; None when it left the ring or lies behind a cut."""
        newest = self.now
        if newest is None or then not in self._ring:
            return None
        # Cached, so that a keyframe's chain costs one composition a frame.
        known = self._chains.get(then)
        if known is None or known.now != newest:
            since, displacement, weakest = then, None, 1.0
            if known is not None:
                since, displacement, weakest = known.now, known.displacement, known.weakest
            for step in [s for i, s in self._ring.items() if i > since]:
                displacement = step.flow if displacement is None else self._compose(step.flow, displacement)
                weakest = min(weakest, step.trust)
            now = self._ring[newest]
            if displacement is None:
                displacement = np.zeros_like(now.flow)
            known = FlowChain(then, newest, now.size, displacement, weakest, (self._ring[then].grey, now.grey))
            self._chains[then] = known
        return known if known.weakest >= self._settings.cut_trust else None

    def back(self, frames: int) -> FlowChain | None:
        """Chain the flow to the frame `frames` before the newest; None when the ring does not reach it."""
        indices = list(self._ring)[-1 - frames :]
        return self.chain(indices[0]) if len(indices) > frames else None

    def pair(self, then: int) -> FramePair | None:
        """Pair the newest frame with an older one; None where `chain` is."""
        chain = self.chain(then)
        if chain is None:
            return None
        older, newest = self._ring[then], self._ring[chain.now]
        return FramePair(then, chain.now, (older.lab, newest.lab), (older.grey, newest.grey), chain.displacement)

    def flows_since(self, then: int) -> list[Floats]:
        """List the flow of every frame after `then` to the one before, oldest first."""
        return [step.flow for index, step in self._ring.items() if index > then]

    def trace_back(self, newer: int, olders: Sequence[int]) -> list[Floats | None]:
        """Compose the displacement from one frame to each of some older ones, on every fourth working pixel.

        (h / 4, w / 4, 2) in pixels of that grid; None outside the ring or across a cut.
        """
        found: dict[int, Floats] = {}
        if newer in self._ring:
            displacement = np.zeros_like(self._ring[newer].flow[::4, ::4])
            found[newer] = displacement
            at = pixel_grid(displacement.shape)
            steps = [step for index, step in self._ring.items() if min(olders, default=newer) < index <= newer]
            indices = [index for index in self._ring if index < newer]
            for step, older in zip(reversed(steps), reversed(indices), strict=False):
                if step.trust < self._settings.cut_trust:
                    break
                # From the newer frame on, so that every older one is a stop on the way.
                flow = np.ascontiguousarray(step.flow[::4, ::4]) / 4
                displacement = displacement + sample_bilinear(flow, at + displacement)
                found[older] = displacement
        return [found.get(older) for older in olders]

    def index_before(self, newer: int, frames: int) -> int | None:
        """Find the index of the frame so many frames before another; None when the ring does not reach it."""
        indices = [i for i in self._ring if i <= newer]
        return indices[-1 - frames] if len(indices) > frames and newer in self._ring else None

    @staticmethod
    def _compose(flow: Floats, older: Floats) -> Floats:
        """Compose newest -> before (`flow`) and before -> then (`older`)."""
        places = np.asarray(cv2.add(pixel_grid(flow.shape), flow), np.float32)
        return np.asarray(cv2.add(flow, sample_bilinear(older, places)), np.float32)

    def _shrink(self, frame: Frame) -> tuple[Grey, Image]:
        """Shrink a frame to the working grid; returns it in grey, and in CIELAB."""
        scale = min(1.0, (self._settings.side_px or USUAL_SIDE_PX) / max(frame.size))
        # DIS needs patches at two scales at least.
        size = tuple(max(32, round(v * scale)) for v in frame.size)
        small = _shrink_image(frame.image, size)
        return (
            np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8),
            np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2LAB), np.uint8),
        )

    def _measure_step(self, frame: Frame, grey: Grey, before: _FlowStep) -> tuple[Floats, float]:
        """Measure the flow from the newest frame to the one before, and the trust in it."""
        flow = self._measure_flow(grey, before.grey)
        trust = FlowChain(before.index, frame.index, frame.size, flow, 1.0, (before.grey, grey)).trust
        if trust < self._settings.doubt_trust:
            trust = min(trust, self._forward_backward_consistency(grey, before.grey, flow))
        doubts = [least for below, least in self._settings.cut_histogram if trust < below]
        if doubts and _histogram_distance(grey, before.grey) > min(doubts):
            trust = 0.0
        return flow, trust

    def _measure_flow(self, grey: Grey, before: Grey) -> Floats:
        """Measure the flow from `grey` to `before`; of a fast pan, the better of two starts at every pixel."""
        still = np.zeros((*grey.shape, 2), np.float32)
        flow = np.asarray(self._flow.calc(grey, before, still), np.float32)
        pan = _estimate_pan(grey, before)
        if math.hypot(*pan) < self._settings.pan_share * max(grey.shape):
            return flow
        # An object that the camera follows hardly moves while all else does: neither start fits both.
        start = np.full_like(still, np.array(pan, np.float32))
        panned = np.asarray(self._flow.calc(grey, before, start), np.float32)
        missed = [
            cv2.blur(cv2.absdiff(grey, sample_bilinear(before, pixel_grid(grey.shape) + way)), (15, 15))
            for way in (flow, panned)
        ]
        # Only if clearly better: at the edge of a followed object both are about equally wrong.
        return np.where((missed[1] < 0.8 * missed[0])[..., None], panned, flow)

    def _forward_backward_consistency(self, grey: Grey, before: Grey, flow: Floats) -> float:
        """Compute the share of pixels that return within 1.5 working pixels by `flow` and the flow back."""
        back = np.asarray(self._flow.calc(before, grey, np.zeros_like(flow)), np.float32)
        missed = flow + sample_bilinear(back, pixel_grid(flow.shape) + flow)
        return float((np.hypot(missed[..., 0], missed[..., 1]) < 1.5).mean())

    def _is_still(self, a: Grey, b: Grey) -> bool:
        change = cv2.absdiff(a, b)
        blocks = cv2.resize(change, None, fx=1 / 8, fy=1 / 8, interpolation=cv2.INTER_AREA)
        return bool(blocks.max() < self._settings.still_levels)
