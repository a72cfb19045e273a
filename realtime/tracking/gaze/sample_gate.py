"""Rejects samples that are invalid, late, repeated or near a blink, and detects clocks set back.

Times are `captured_ns` of the samples; only silence of the transport is measured by `received_ns`.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Literal

from realtime.tracking.gaze.settings import GazeSettings
from realtime.types import GazeSample

MAX_INTERVAL_S = 0.2
"""Longer pauses do not count for the sampling rate."""
GAP_INTERVALS = 2.5
FAR_WIDTHS = 2.0
"""A sample farther outside than this many frame widths is invalid."""
SMOOTHING = 0.1


GateVerdict = Literal["use", "late", "drop", "reset"]
"""The use of a sample. late: older than the newest, young enough to improve the fixation it belongs to. reset: the
clock was set back; reset, then use it."""


class SampleGate:
    """Classifies one sample after the other and remembers blinks."""

    def __init__(self, settings: GazeSettings, counts: Counter[str]) -> None:
        self._settings, self._counts = settings, counts
        self.reset()

    def reset(self) -> None:
        """Forget all times."""
        self.newest_ns: int | None = None
        self.valid_ns: int | None = None
        self.valid_received_ns: int | None = None
        self.interval_s: float | None = None
        self.in_gap = False
        self.withdraw_after_ns: int | None = None
        self.away_s = 0.0
        self._gap_since_ns = 0  # valid while `in_gap`
        self._gap_until_ns: int | None = None
        self._late_run = 0

    @property
    def gap_s(self) -> float:
        """Time without a valid sample that counts as a blink at this sampling rate."""
        return max(self._settings.blink_gap_s, GAP_INTERVALS * (self.interval_s or 0.0))

    def is_valid(self, sample: GazeSample, x: float, y: float, frame_size: tuple[int, int]) -> bool:
        """Return whether a sample is valid, and count the reason if not."""
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

    def admit(self, t_ns: int, received_ns: int, valid: bool) -> GateVerdict:
        """Classify a sample.

        Sets `withdraw_after_ns` when a gap has just begun, for the caller to clear, and `away_s` to the length of the
        gap that this sample ends, else 0.
        """
        self.away_s = 0.0
        if self.newest_ns is not None and t_ns <= self.newest_ns:
            return self._classify_late(t_ns, valid)
        self._late_run = 0
        if self.newest_ns is not None:
            dt_s = min((t_ns - self.newest_ns) * 1e-9, MAX_INTERVAL_S)
            usual_s = dt_s if self.interval_s is None else self.interval_s
            self.interval_s = usual_s + SMOOTHING * (dt_s - usual_s)
        self.newest_ns = t_ns
        if self.valid_ns is not None and (t_ns - self.valid_ns) * 1e-9 > self.gap_s:
            self._begin_gap(self.valid_ns)
        if not valid:
            return "drop"
        if self.in_gap and self._gap_until_ns is None:
            self._gap_until_ns = t_ns + round(self._settings.blink_after_s * 1e9)
        self.valid_ns, self.valid_received_ns = t_ns, received_ns
        if self._gap_until_ns is not None and t_ns < self._gap_until_ns:
            self._counts["near_blink"] += 1
            return "drop"
        if self.in_gap:
            self.away_s = (t_ns - self._gap_since_ns) * 1e-9
        self.in_gap, self._gap_until_ns = False, None
        return "use"

    def _begin_gap(self, valid_ns: int) -> None:
        """Drop samples from now until `blink_after_s` past the gap's end."""
        self._gap_until_ns = None
        if not self.in_gap:
            self.in_gap, self._gap_since_ns = True, valid_ns
            self.withdraw_after_ns = valid_ns - round(self._settings.blink_before_s * 1e9)
            self._counts["gaps"] += 1

    def begin_blink(self, start_ns: int, until_ns: int) -> None:
        """Drop samples until a time, for a blink that the eye tracker reports; an older one changes nothing."""
        if self.newest_ns is not None and self.newest_ns < until_ns:
            self._counts["gaps"] += not self.in_gap
            self.in_gap, self._gap_since_ns, self._gap_until_ns = True, start_ns, until_ns

    def _classify_late(self, t_ns: int, valid: bool) -> GateVerdict:
        """Classify a sample that is not newer than the newest; too many late ones mean that the clock was set back."""
        assert self.newest_ns is not None
        if self.newest_ns - t_ns <= self._settings.reorder_s * 1e9:
            self._late_run = 0
            if valid and not self.in_gap:
                return "late"
            self._counts["late_dropped"] += valid
            return "drop"
        self._late_run += 1
        if self._late_run < self._settings.resync_samples:
            self._counts["too_late"] += 1
            return "drop"
        self._counts["clock_resets"] += 1
        return "reset"

    def unseen_s(self, now_ns: int) -> float:
        """Compute the time without a valid sample, by the samples' own times or by arrival, whichever is longer."""
        if self.newest_ns is None or self.valid_ns is None or self.valid_received_ns is None:
            return float("inf")
        return max(self.newest_ns - self.valid_ns, now_ns - self.valid_received_ns, 0) * 1e-9
