"""Classifies eye movements from every sample: fixation, pursuit, saccade or blink, one sample after a landing.

A sample farther from the current position than speed, smallest saccade and measured noise allow begins a saccade; the
first two samples close together end it and begin a new fixation, so that samples of two objects are never averaged. A
single sample that returns was a spike. A fixation's point is the geometric median of a short window; during a steady
drift (a pursuit, or a turning head in an uncalibrated picture) the point is One Euro smoothed. What the eye tracker
itself reports, as a `GazeSample.event`, is applied before its sample.

Pure: no clock, no thread, no lock; for one thread, or under the caller's lock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from realtime.tracking.gaze.binocular import BinocularPairing
from realtime.tracking.gaze.estimate import EyeMovement, GazeEstimate
from realtime.tracking.gaze.fixation import FixationPoint, FixationSegment
from realtime.tracking.gaze.fixation_tracker import FixationTracker
from realtime.tracking.gaze.reported_events import EventApplier
from realtime.tracking.gaze.saccade import SaccadeDetector
from realtime.tracking.gaze.sample_gate import SampleGate
from realtime.tracking.gaze.settings import GazeSettings
from realtime.types import GazeSample

Mapper = Callable[[NDArray[np.float64]], NDArray[np.float64]]

ALTERNATION_DEG, MAX_STEP_DEG = 0.3, 6.0
MIN_DEG_PX, MAX_DEG_PX = 0.5, 1000.0
"""A camera with fewer or more pixels per degree is miscalibrated and ignored."""


class GazeFilter:
    """Estimates the eye movement: `update` with every sample, `move` with the picture, then `estimate`.

    counts: numbers of used samples, of dropped ones by reason, and of events.
    """

    def __init__(self, settings: GazeSettings | None = None) -> None:
        self._settings = settings or GazeSettings()
        self.counts: Counter[str] = Counter()
        self._gate = SampleGate(self._settings, self.counts)
        self._eyes = BinocularPairing()
        self._fixations = FixationTracker(self._settings, self.counts)
        self._saccade = SaccadeDetector(self._settings)
        self._events = EventApplier(self._settings, self._gate, self._fixations, self._saccade, self.counts)
        self._frame_size: tuple[int, int] | None = None
        self._deg_px = 1.0
        self.reset()

    def reset(self) -> None:
        """Forget all gaze, but keep the counters."""
        self._gate.reset()
        self._eyes.reset()
        self._fixations.reset()
        self._saccade.reset()
        self._estimate: tuple[EyeMovement, tuple[float, float], float] | None = None

    @property
    def noise_px(self) -> float:
        """Measured noise of the gaze, px, standard deviation per axis."""
        return self._saccade.noise.deviation_deg * self._deg_px

    def update(
        self,
        sample: GazeSample,
        xy_px: tuple[float, float],
        frame_size: tuple[int, int],
        px_per_degree: float | None = None,
    ) -> None:
        """Process one sample; never raises.

        xy_px: the sample in pixels of a frame of `frame_size` (width, height), after calibration.
        px_per_degree: from a calibrated camera; None uses the settings' share of the width.
        A change of `frame_size` resets the filter.
        """
        if self._frame_size not in (None, frame_size):
            self.counts["resized"] += 1
            self.reset()
        self._frame_size = frame_size
        self._update_scale(frame_size, px_per_degree)
        if sample.event is not None:
            self._estimate = None
            self._events.apply(sample.event)
        self.counts["samples"] += 1
        x, y = float(xy_px[0]), float(xy_px[1])
        valid = self._gate.is_valid(sample, x, y, frame_size)
        verdict = self._gate.admit(sample.captured_ns, sample.received_ns, valid)
        if verdict == "reset":
            self.reset()
            verdict = self._gate.admit(sample.captured_ns, sample.received_ns, valid)
        if self._gate.withdraw_after_ns is not None:
            self._withdraw(self._gate.withdraw_after_ns)
            self._gate.withdraw_after_ns = None
        if verdict == "late":
            self._process_late(FixationPoint(sample.captured_ns, x, y, sample))
        elif verdict == "use":
            self.counts["used"] += 1
            self._process(sample, x, y)

    def _update_scale(self, frame_size: tuple[int, int], px_per_degree: float | None) -> None:
        """Update the pixels per degree; a fisheye's depend on the gaze direction."""
        deg_px = max(frame_size[0], 1) * self._settings.frame_width_per_degree
        if px_per_degree is not None and MIN_DEG_PX <= px_per_degree <= MAX_DEG_PX:
            deg_px = px_per_degree
        self._deg_px = self._saccade.deg_px = deg_px
        self._fixations.rescale(deg_px)

    def _process(self, sample: GazeSample, x: float, y: float) -> None:
        """Process a sample in order: pair the eyes, then continue the fixation, the saccade or land."""
        if self._gate.away_s:
            self._eyes.last = []
        if self._gate.away_s > self._settings.lost_s:
            self._fixations.reset()
        x, y = self._eyes.update(x, y, ALTERNATION_DEG * self._deg_px, MAX_STEP_DEG * self._deg_px)
        self.counts["alternating"] += self._eyes.alternating
        point = FixationPoint(sample.captured_ns, x, y, sample)
        segment, saccade = self._fixations.segment, self._saccade
        self._estimate = None
        if segment is None:
            self._begin_fixation([point])
        elif len(saccade.pending) <= 1 and not saccade.has_left and saccade.is_near(segment, point):
            self.counts["spikes"] += len(saccade.pending)
            self._continue_fixation(segment, [point])
        else:
            self._continue_saccade(segment, point)

    def _begin_fixation(self, points: list[FixationPoint]) -> None:
        self._fixations.begin(points)
        self._saccade.pending, self._saccade.has_left = [], False

    def _continue_fixation(self, segment: FixationSegment, points: list[FixationPoint]) -> None:
        for point in points:
            self._saccade.learn_noise(segment, point)
            self._fixations.add(segment, point)
        self._saccade.pending = []

    def _continue_saccade(self, segment: FixationSegment, point: FixationPoint) -> None:
        """Continue a saccade until two samples are close together, or for its longest duration."""
        self._saccade.add(point)
        landed = self._saccade.find_landing()
        if landed:
            self.counts["saccades"] += 1
            if not self._saccade.has_left and self._saccade.has_returned(segment, landed):
                self._continue_fixation(segment, landed)
            else:
                self._begin_fixation(landed)
        elif forced := self._saccade.force_landing():
            self.counts["forced_landings"] += 1
            self._begin_fixation(forced)

    def _process_late(self, point: FixationPoint) -> None:
        """Add a late sample to the fixation it belongs to; it changes no state."""
        segment = self._fixations.segment
        if segment is None or point.t_ns < segment.onset_ns or self._saccade.pending:
            self.counts["late_dropped"] += 1
        elif any(_is_same(p.sample, point.sample) for p in segment.points):
            self.counts["doubled"] += 1
        elif point.t_ns > segment.newest.t_ns or not self._saccade.is_near(segment, point):
            self.counts["late_dropped"] += 1
        else:
            self.counts["late_used"] += 1
            self._estimate = None
            self._fixations.add(segment, point)

    def _withdraw(self, after_ns: int) -> None:
        """Withdraw samples before a gap, which half-closed lids may have distorted, and fixations made of them."""
        self._estimate = None
        self._saccade.pending = [p for p in self._saccade.pending if p.t_ns <= after_ns]
        self._fixations.withdraw(after_ns)

    def move(self, mapping: Mapper, from_ns: int | None = None, to_ns: int | None = None) -> None:
        """Carry all remembered points from the last frame's pixels to the newest frame's.

        mapping: (N, 2) float64 px to the same; a point without a finite result stays.
        from_ns, to_ns: when the two frames were captured, if the samples are in the pixels of their own time: each
            is then moved by the remaining share of the interval. Without them every sample is in the last frame's
            pixels.
        """
        segment, pending = self._fixations.segment, self._saccade.pending
        if segment is None:
            return
        points = [*pending, *(point for each in self._fixations.segments for point in each.points)]
        now_ns, loose = segment.newest.t_ns, [self._fixations.smooth_px, *self._eyes.last]
        places = np.array([*((p.x, p.y) for p in points), *loose])
        times_ns = np.array([*(p.t_ns for p in points), *(now_ns for _ in loose)], np.float64)
        share = np.ones(len(places))
        if from_ns is not None and to_ns is not None and to_ns > from_ns:
            share = np.clip((to_ns - times_ns) / (to_ns - from_ns), 0.0, 1.0)
        moved = places + share[:, None] * (np.asarray(mapping(places), np.float64) - places)
        moved = np.where(np.isfinite(moved).all(axis=1)[:, None], moved, places)
        for point, (x, y) in zip(points, moved.tolist(), strict=False):
            point.x, point.y = x, y
        (x, y), *eyes = moved[len(points) :].tolist()
        self._fixations.shift(x, y)
        self._eyes.last = [(x, y) for x, y in eyes]
        self._estimate = None

    def estimate(self, now_ns: int) -> GazeEstimate | None:
        """Estimate the eye movement at `now_ns` (host monotonic); None before the first valid sample."""
        segment = self._fixations.segment
        if segment is None:
            return None
        unseen_s = self._gate.unseen_s(now_ns)
        if unseen_s > self._settings.lost_s:
            return self._estimate_segment("none", segment)
        if self._gate.in_gap or unseen_s > max(self._settings.silence_s, self._gate.gap_s):
            return self._estimate_segment("blink", segment)
        pending = self._saccade.pending
        unconfirmed: EyeMovement | None = "saccade" if self._saccade.has_left else None
        if not pending:
            return self._estimate_segment(unconfirmed, segment)
        first, newest = pending[0], pending[-1]
        if len(pending) > 1:
            return self._estimate_sample("saccade", first.t_ns, newest)
        if now_ns - first.sample.received_ns > self._settings.confirm_s * 1e9:
            return self._estimate_sample("fixation", first.t_ns, newest)
        return self._estimate_segment(unconfirmed, segment)

    def _estimate_sample(self, kind: EyeMovement, onset_ns: int, point: FixationPoint) -> GazeEstimate:
        return GazeEstimate(kind, (point.x, point.y), onset_ns, point.sample, 0.0, self._radius_px(point.sample))

    def _estimate_segment(self, kind: EyeMovement | None, segment: FixationSegment) -> GazeEstimate:
        """Make the estimate of a segment; `kind` None classifies it as fixation or pursuit."""
        if self._estimate is None:
            self._estimate = self._fixations.classify(segment, self._saccade.noise.deviation_deg)
        classified, point_px, spread_px = self._estimate
        sample = segment.newest.sample
        return GazeEstimate(kind or classified, point_px, segment.onset_ns, sample, spread_px, self._radius_px(sample))

    def _radius_px(self, sample: GazeSample) -> float:
        return sample.radius_px if sample.radius_px is not None else self._settings.accuracy_deg * self._deg_px


def _is_same(one: GazeSample, other: GazeSample) -> bool:
    return (one.captured_ns, one.x, one.y) == (other.captured_ns, other.x, other.y)
