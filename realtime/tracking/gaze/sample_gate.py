"""Which samples may be used at all: their order in time, clocks set back, and blinks.

Times are `captured_ns` of the samples; only the silence of the transport is judged by `received_ns`.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum

from realtime.tracking.gaze.settings import GazeSettings

MAX_INTERVAL_S = 0.2
"""A pause says nothing about the sampling rate."""
GAP_INTERVALS = 2.5
SMOOTHING = 0.1


class GateVerdict(Enum):
    """What to do with a sample."""

    USE = "use"
    LATE = "late"
    """Older than the newest, young enough to sharpen the point it belongs to."""
    DROP = "drop"
    RESET = "reset"
    """The clock was set back: forget everything, then use it."""


class SampleGate:
    """Judges one sample after the other and remembers where the eyes were shut."""

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
        self._shut_since_ns = 0
        self._shut_until_ns: int | None = None
        self._late_run = 0

    @property
    def gap_s(self) -> float:
        """How long without a valid sample is a blink at this sampling rate."""
        return max(self._settings.blink_gap_s, GAP_INTERVALS * (self.interval_s or 0.0))

    def admit(self, t_ns: int, received_ns: int, valid: bool) -> GateVerdict:
        """Judge a sample.

        Afterwards `withdraw_after_ns` is set if a gap has just been noticed, for the caller to clear, and `away_s` is
        the length of the gap that this sample ends, else 0.
        """
        self.away_s = 0.0
        if self.newest_ns is not None and t_ns <= self.newest_ns:
            return self._late(t_ns, valid)
        self._late_run = 0
        if self.newest_ns is not None:
            dt_s = min((t_ns - self.newest_ns) * 1e-9, MAX_INTERVAL_S)
            usual_s = dt_s if self.interval_s is None else self.interval_s
            self.interval_s = usual_s + SMOOTHING * (dt_s - usual_s)
        self.newest_ns = t_ns
        if self.valid_ns is not None and (t_ns - self.valid_ns) * 1e-9 > self.gap_s:
            self._shut(self.valid_ns)
        if not valid:
            return GateVerdict.DROP
        if self.in_gap and self._shut_until_ns is None:
            self._shut_until_ns = t_ns + round(self._settings.blink_after_s * 1e9)
        self.valid_ns, self.valid_received_ns = t_ns, received_ns
        if self._shut_until_ns is not None and t_ns < self._shut_until_ns:
            self._counts["near_blink"] += 1
            return GateVerdict.DROP
        if self.in_gap:
            self.away_s = (t_ns - self._shut_since_ns) * 1e-9
        self.in_gap, self._shut_until_ns = False, None
        return GateVerdict.USE

    def _shut(self, valid_ns: int) -> None:
        """A gap since `valid_ns`: nothing counts until `blink_after_s` past its end."""
        self._shut_until_ns = None
        if not self.in_gap:
            self.in_gap, self._shut_since_ns = True, valid_ns
            self.withdraw_after_ns = valid_ns - round(self._settings.blink_before_s * 1e9)
            self._counts["gaps"] += 1

    def _late(self, t_ns: int, valid: bool) -> GateVerdict:
        """Not newer than the newest: use it if it is nearly in time, else drop it, until too many say otherwise."""
        assert self.newest_ns is not None
        if self.newest_ns - t_ns <= self._settings.reorder_s * 1e9:
            self._late_run = 0
            if valid and not self.in_gap:
                return GateVerdict.LATE
            self._counts["late_dropped"] += valid
            return GateVerdict.DROP
        self._late_run += 1
        if self._late_run < self._settings.resync_samples:
            self._counts["too_late"] += 1
            return GateVerdict.DROP
        self._counts["clock_resets"] += 1
        return GateVerdict.RESET

    def unseen_s(self, now_ns: int) -> float:
        """Seconds without a valid sample: by the samples' own times or by silence on arrival, whichever is longer."""
        if self.newest_ns is None or self.valid_ns is None or self.valid_received_ns is None:
            return float("inf")
        return max(self.newest_ns - self.valid_ns, now_ns - self.valid_received_ns, 0) * 1e-9
