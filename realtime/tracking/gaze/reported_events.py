"""Applies the eye movements that an eye tracker reports to the gaze filter's state. Pure.

Reports come after their samples: a device needs some tens of ms to detect a saccade, and a blink's whole length.
"""

from __future__ import annotations

from collections import Counter

from realtime.tracking.gaze.fixation_tracker import FixationTracker
from realtime.tracking.gaze.saccade import SaccadeDetector
from realtime.tracking.gaze.sample_gate import SampleGate
from realtime.tracking.gaze.settings import GazeSettings
from realtime.types import EyeEvent


class EventApplier:
    """Ends a fixation at a reported onset, and withdraws the samples of a reported blink."""

    def __init__(
        self, settings: GazeSettings, gate: SampleGate, fixations: FixationTracker, saccade: SaccadeDetector,
        counts: Counter[str],
    ) -> None:  # fmt: skip
        self._gate, self._fixations, self._saccade, self._counts = gate, fixations, saccade, counts
        self._before_ns = round(settings.blink_before_s * 1e9)
        self._after_ns = round(settings.blink_after_s * 1e9)

    def apply(self, event: EyeEvent) -> None:
        """Apply an event; an onset before the present fixation changes nothing."""
        self._counts[f"reported_{event.kind}s"] += 1
        if event.kind == "blink":
            self._withdraw_blink(event.start_ns, event.end_ns if event.end_ns is not None else event.start_ns)
        else:
            self._end_fixation(event.start_ns, has_landed=event.kind == "fixation")

    def _withdraw_blink(self, start_ns: int, end_ns: int) -> None:
        first_ns, last_ns = start_ns - self._before_ns, end_ns + self._after_ns
        if self._fixations.segment is not None:  # what remains of a fixation continues after the blink
            first_ns = max(first_ns, self._fixations.segment.points[0].t_ns)
        self._fixations.withdraw(first_ns, last_ns)
        self._saccade.pending = [p for p in self._saccade.pending if not first_ns < p.t_ns <= last_ns]
        self._gate.begin_blink(start_ns, last_ns)

    def _end_fixation(self, onset_ns: int, *, has_landed: bool) -> None:
        """Leave the samples before the onset to the fixation; those since are in flight, or begin the next one."""
        segment = self._fixations.segment
        if segment is None or onset_ns <= segment.onset_ns:
            return
        points = [*segment.points, *self._saccade.pending]
        since = [p for p in points if p.t_ns >= onset_ns]
        segment.points = [p for p in segment.points if p.t_ns < onset_ns] or segment.points[:1]
        self._saccade.pending, self._saccade.has_left = [], True
        if has_landed and since:
            self._fixations.begin(since)
            self._saccade.has_left = False
        elif not has_landed:
            self._saccade.pending = since
