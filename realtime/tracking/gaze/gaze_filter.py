"""Classifies eye movements from every sample: fixation, pursuit, saccade or blink, one sample after a landing.

A sample farther from the current position than speed, smallest saccade and measured noise allow begins a saccade; the
first two samples close together end it and begin a new fixation, so that samples of two objects are never averaged. A
single sample that returns was a spike. A fixation's point is the geometric median of a short window; during a steady
drift (a pursuit, or a turning head in an uncalibrated picture) the point is One Euro smoothed.

Pure: no clock, no thread, no lock; for one thread, or under the caller's lock.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from realtime.tracking.gaze.binocular import BinocularPairing
from realtime.tracking.gaze.estimate import EyeMovement, GazeEstimate
from realtime.tracking.gaze.fixation import (
    FixationPoint,
    FixationSegment,
    estimate_centre,
    measure_drift,
    measure_spread,
)
from realtime.tracking.gaze.noise import NoiseEstimator
from realtime.tracking.gaze.one_euro import OneEuroFilter
from realtime.tracking.gaze.sample_gate import GateVerdict, SampleGate
from realtime.tracking.gaze.settings import GazeSettings
from realtime.types import GazeSample

Mapper = Callable[[NDArray[np.float64]], NDArray[np.float64]]

LANDING_BASELINE_NS = 4_000_000
"""Samples closer in time than this do not measure speed."""
MAX_PENDING = 64
PURSUIT_NOISE_FACTOR, RETURN_NOISE_FACTOR = 2.5, 3.0
ALTERNATION_DEG, MAX_STEP_DEG = 0.3, 6.0
MIN_DEG_PX, MAX_DEG_PX = 0.5, 1000.0
"""A camera with fewer or more pixels per degree is miscalibrated and ignored."""
FAR_WIDTHS = 2.0
"""A sample farther outside than this many frame widths is invalid."""


class GazeFilter:
    """Estimates the eye movement: `update` with every sample, `move` with the picture, then `estimate`."""

    def __init__(self, settings: GazeSettings | None = None) -> None:
        self._settings = settings or GazeSettings()
        self._counts: Counter[str] = Counter()
        self._gate = SampleGate(self._settings, self._counts)
        self._eyes = BinocularPairing()
        self._smooth = OneEuroFilter(
            self._settings.min_cutoff_hz, self._settings.beta_hz_s_per_deg, self._settings.derivative_cutoff_hz
        )
        self._frame_size: tuple[int, int] | None = None
        self._deg_px = 1.0
        self.reset()

    def reset(self) -> None:
        """Forget all gaze, but keep the counters."""
        self._gate.reset()
        self._eyes.reset()
        self._smooth.reset()
        self._noise = NoiseEstimator()
        self._segment: FixationSegment | None = None
        self._previous: FixationSegment | None = None
        self._pending: list[FixationPoint] = []
        self._estimate: tuple[EyeMovement, tuple[float, float], float] | None = None

    @property
    def counts(self) -> Mapping[str, int]:
        """Counts of used samples, of dropped ones by reason, and of events; read only."""
        return MappingProxyType(self._counts)

    @property
    def noise_px(self) -> float:
        """Measured noise of the gaze, px, standard deviation per axis."""
        return self._noise.deviation_deg * self._deg_px

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
            self._counts["resized"] += 1
            self.reset()
        self._frame_size = frame_size
        self._update_scale(frame_size, px_per_degree)
        self._counts["samples"] += 1
        x, y = float(xy_px[0]), float(xy_px[1])
        valid = self._is_valid(sample, x, y, frame_size)
        verdict = self._gate.admit(sample.captured_ns, sample.received_ns, valid)
        if verdict is GateVerdict.RESET:
            self.reset()
            verdict = self._gate.admit(sample.captured_ns, sample.received_ns, valid)
        if self._gate.withdraw_after_ns is not None:
            self._withdraw(self._gate.withdraw_after_ns)
            self._gate.withdraw_after_ns = None
        if verdict is GateVerdict.LATE:
            self._process_late(FixationPoint(sample.captured_ns, x, y, sample))
        elif verdict is GateVerdict.USE:
            self._counts["used"] += 1
            self._process(sample, x, y)

    def _update_scale(self, frame_size: tuple[int, int], px_per_degree: float | None) -> None:
        """Update the pixels per degree; a fisheye's depend on the gaze direction."""
        before = self._deg_px
        self._deg_px = max(frame_size[0], 1) * self._settings.frame_width_per_degree
        if px_per_degree is not None and MIN_DEG_PX <= px_per_degree <= MAX_DEG_PX:
            self._deg_px = px_per_degree
        if self._smooth.position is not None and self._deg_px != before:
            x, y = self._smooth.position
            self._smooth.shift((x * before / self._deg_px, y * before / self._deg_px))

    def _is_valid(self, sample: GazeSample, x: float, y: float, frame_size: tuple[int, int]) -> bool:
        """Tell whether a sample is valid, and count the reason if not."""
        reason = None
        if not (math.isfinite(x) and math.isfinite(y)):
            reason = "not_finite"
        elif max(abs(x), abs(y)) > (FAR_WIDTHS + 1) * max(frame_size):
            reason = "far_outside"
        elif not sample.confidence >= self._settings.min_confidence:
            reason = "low_confidence"
        if reason:
            self._counts[reason] += 1
        return reason is None

    def _process(self, sample: GazeSample, x: float, y: float) -> None:
        """Process a sample in order: pair the eyes, then continue the fixation, the saccade or land."""
        if self._gate.away_s:
            self._eyes.restart()
        if self._gate.away_s > self._settings.lost_s:
            self._segment = self._previous = None
            self._pending = []
        x, y = self._eyes.update(x, y, ALTERNATION_DEG * self._deg_px, MAX_STEP_DEG * self._deg_px)
        self._counts["alternating"] += self._eyes.alternating
        point = FixationPoint(sample.captured_ns, x, y, sample)
        segment = self._segment
        self._estimate = None
        if segment is None:
            self._begin_fixation([point])
        elif len(self._pending) <= 1 and self._is_near(segment, point):
            self._counts["spikes"] += len(self._pending)
            self._pending = []
            self._continue_fixation(segment, point)
        else:
            self._continue_saccade(segment, point)

    def _is_near(self, segment: FixationSegment, point: FixationPoint) -> bool:
        """Tell whether a point can be reached without a saccade."""
        limits, dt_s = self._settings, (point.t_ns - segment.newest.t_ns) * 1e-9
        by_noise = limits.noise_factor * self._noise.deviation_deg
        by_speed = limits.saccade_deg_per_s * min(dt_s, limits.velocity_window_s)
        return _distance(segment.reference(), point) <= max(limits.min_saccade_deg, by_noise, by_speed) * self._deg_px

    def _continue_fixation(self, segment: FixationSegment, point: FixationPoint) -> None:
        """Add a sample to the fixation and learn the noise from its deviation."""
        residual_px = _distance(segment.reference(), point)
        step_px = _distance((segment.newest.x, segment.newest.y), point)
        self._noise.learn(residual_px / self._deg_px, step_px / self._deg_px)
        dt_s = (point.t_ns - segment.newest.t_ns) * 1e-9
        segment.add(point, self._settings.window_s, self._settings.window_samples)
        self._smooth_point(point, dt_s)

    def _smooth_point(self, point: FixationPoint, dt_s: float) -> None:
        """Smooth in degrees, so that the settings suit every camera."""
        self._smooth.update(point.x / self._deg_px, point.y / self._deg_px, dt_s)

    def _continue_saccade(self, segment: FixationSegment, point: FixationPoint) -> None:
        """Continue a saccade until two samples are close together, or for its longest duration."""
        self._pending = [*self._pending[1 - MAX_PENDING :], point]
        landed = self._find_landing()
        if landed:
            self._counts["saccades"] += 1
            if self._has_returned(segment, landed):
                for late in landed:
                    self._continue_fixation(segment, late)
                self._pending = []
            else:
                self._begin_fixation(landed)
        elif (point.t_ns - self._pending[0].t_ns) * 1e-9 > self._settings.max_saccade_s:
            self._counts["forced_landings"] += 1
            self._noise.raise_to(np.array([(p.x, p.y) for p in self._pending]) / self._deg_px)
            self._begin_fixation(self._pending[-2:])

    def _find_landing(self) -> list[FixationPoint]:
        """Find the newest samples of a saccade that are close together, if any."""
        newest, limits = self._pending[-1], self._settings
        for at in range(len(self._pending) - 2, -1, -1):
            dt_ns = newest.t_ns - self._pending[at].t_ns
            if dt_ns < LANDING_BASELINE_NS:
                continue
            by_noise = limits.landing_step_factor * self._noise.step_deg
            by_speed = limits.saccade_deg_per_s * min(dt_ns * 1e-9, limits.velocity_window_s)
            near_px = max(limits.landing_deg, by_noise, by_speed) * self._deg_px
            here = self._pending[at]
            return self._pending[at:] if _distance((here.x, here.y), newest) <= near_px else []
        return []

    def _has_returned(self, segment: FixationSegment, landed: list[FixationPoint]) -> bool:
        """Tell whether the eyes returned at once to the fixation that they left."""
        if (landed[0].t_ns - segment.newest.t_ns) * 1e-9 > self._settings.merge_s:
            return False
        centre = estimate_centre(segment.table())
        near_deg = max(self._settings.landing_deg, RETURN_NOISE_FACTOR * self._noise.deviation_deg)
        return all(_distance(centre, point) <= near_deg * self._deg_px for point in landed)

    def _begin_fixation(self, points: list[FixationPoint]) -> None:
        """Begin a new fixation without samples of the last one."""
        self._previous, self._segment, self._pending = self._segment, FixationSegment(points), []
        self._smooth.reset()
        for before, point in zip([points[0], *points], points, strict=False):
            self._smooth_point(point, (point.t_ns - before.t_ns) * 1e-9)

    def _process_late(self, point: FixationPoint) -> None:
        """Add a late sample to the fixation it belongs to; it changes no state."""
        segment = self._segment
        if segment is None or point.t_ns < segment.onset_ns or self._pending:
            self._counts["late_dropped"] += 1
        elif any(_is_same(p.sample, point.sample) for p in segment.points):
            self._counts["doubled"] += 1
        elif point.t_ns > segment.newest.t_ns or not self._is_near(segment, point):
            self._counts["late_dropped"] += 1
        else:
            self._counts["late_used"] += 1
            self._estimate = None
            segment.add(point, self._settings.window_s, self._settings.window_samples)

    def _withdraw(self, after_ns: int) -> None:
        """Withdraw samples before a gap, which half-closed lids may have distorted, and fixations made of them."""
        self._estimate = None
        self._pending = [p for p in self._pending if p.t_ns <= after_ns]
        for segment in (self._segment, self._previous):
            if segment is not None:
                kept = [p for p in segment.points if p.t_ns <= after_ns]
                self._counts["withdrawn"] += len(segment.points) - len(kept)
                segment.points = kept
        left = [s for s in (self._segment, self._previous) if s is not None and s.points]
        self._segment, self._previous = (left[0] if left else None), None
        if self._segment is not None:
            x, y = self._segment.reference()
            self._smooth.reset((x / self._deg_px, y / self._deg_px))

    def move(self, mapping: Mapper, from_ns: int | None = None, to_ns: int | None = None) -> None:
        """Carry all remembered points from the last frame's pixels to the newest frame's.

        mapping: (N, 2) float64 px to the same; a point without a finite result stays.
        from_ns, to_ns: when the two frames were captured, if the samples are in the pixels of their own time: each
            is then moved by the remaining share of the interval. Without them every sample is in the last frame's
            pixels.
        """
        segments = [s.points for s in (self._segment, self._previous) if s is not None]
        points = [*self._pending, *(p for points in segments for p in points)]
        if self._segment is None:
            return
        now_ns = self._segment.newest.t_ns
        smooth = self._smooth.position or (0.0, 0.0)
        loose = [(smooth[0] * self._deg_px, smooth[1] * self._deg_px), *self._eyes.last]
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
        self._smooth.shift((x / self._deg_px, y / self._deg_px))
        self._eyes.last = [(x, y) for x, y in eyes]
        self._estimate = None

    def estimate(self, now_ns: int) -> GazeEstimate | None:
        """Estimate the eye movement at `now_ns` (host monotonic); None before the first valid sample."""
        segment = self._segment
        if segment is None:
            return None
        unseen_s = self._gate.unseen_s(now_ns)
        if unseen_s > self._settings.lost_s:
            return self._estimate_segment("none", segment)
        if self._gate.in_gap or unseen_s > max(self._settings.silence_s, self._gate.gap_s):
            return self._estimate_segment("blink", segment)
        if not self._pending:
            return self._estimate_segment(None, segment)
        first, newest = self._pending[0], self._pending[-1]
        if len(self._pending) > 1:
            return self._estimate_sample("saccade", first.t_ns, newest)
        if now_ns - first.sample.received_ns > self._settings.confirm_s * 1e9:
            return self._estimate_sample("fixation", first.t_ns, newest)
        return self._estimate_segment(None, segment)

    def _estimate_sample(self, kind: EyeMovement, onset_ns: int, point: FixationPoint) -> GazeEstimate:
        """Make the estimate of a single sample."""
        return GazeEstimate(kind, (point.x, point.y), onset_ns, point.sample, 0.0, self._radius_px(point.sample))

    def _estimate_segment(self, kind: EyeMovement | None, segment: FixationSegment) -> GazeEstimate:
        """Make the estimate of a segment; `kind` None classifies it as fixation or pursuit."""
        if self._estimate is None:
            self._estimate = self._classify_segment(segment)
        classified, point_px, spread_px = self._estimate
        sample = segment.newest.sample
        return GazeEstimate(kind or classified, point_px, segment.onset_ns, sample, spread_px, self._radius_px(sample))

    def _classify_segment(self, segment: FixationSegment) -> tuple[EyeMovement, tuple[float, float], float]:
        """Classify a fixation (geometric median) or pursuit (smoothed point); returns kind, point and spread, px."""
        table, smooth = segment.table(), self._smooth.position
        drift = measure_drift(table)
        if drift is not None and smooth is not None:
            by_speed = self._settings.pursuit_deg_per_s * drift.over_s
            least_px = max(by_speed, PURSUIT_NOISE_FACTOR * self._noise.deviation_deg) * self._deg_px
            if drift.moved_px > least_px:
                point_px = smooth[0] * self._deg_px, smooth[1] * self._deg_px
                return "pursuit", point_px, measure_spread(table, point_px)
        point_px = estimate_centre(table)
        return "fixation", point_px, measure_spread(table, point_px)

    def _radius_px(self, sample: GazeSample) -> float:
        return sample.radius_px if sample.radius_px is not None else self._settings.accuracy_deg * self._deg_px


def _distance(here: tuple[float, float], there: FixationPoint) -> float:
    return math.hypot(here[0] - there.x, here[1] - there.y)


def _is_same(one: GazeSample, other: GazeSample) -> bool:
    return (one.captured_ns, one.x, one.y) == (other.captured_ns, other.x, other.y)
