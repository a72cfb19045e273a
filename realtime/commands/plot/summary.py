"""Summarizes a recording for its plot: latencies, states, rates, drops and a grid of gaze. Pure."""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engines import Image
from realtime.comms.messages import HealthMessage
from realtime.errors import RecordingError
from realtime.recording.format import RecordingInfo
from realtime.recording.labels import ObjectLabel
from realtime.recording.mask_events import MaskEvent, RecordingEvent
from realtime.recording.visits import MAX_GAP_S, VISIBLE_STATES, read_min_confidence
from realtime.types import GazeSample, State

GRID = 320
"""Columns of the grid on which gaze is counted."""
FRAME_S = 1 / 30
"""The duration of the last mask before a gap, s."""
TimeSeries = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class StateSpan:
    """A span of time with one state of one object, seconds into the recording."""

    start_s: float
    end_s: float
    object: int
    state: State


@dataclass(slots=True)
class RecordingSummary:
    """Holds the contents of a plot; times are seconds since the recording's first event.

    latency_ms: latencies by name, as in `health`: `gaze_to_mask` and `keyframe_age` of masks in preview and locked,
    `frame_to_mask` of all; empty where the run had its frames' own time. rates: Hz by name;
    dropped: count since the last health. gaze: (rows, GRID) count of samples in each cell of the frame; radius: their
    median error radius, cells; samples: their count, outside: the count of those outside the frame.
    recognized: what each object was recognized as at last. confirmations: (time, object) of the wearer's.
    """

    span_s: float = 0.0
    timed: bool = True
    latency_ms: dict[str, TimeSeries] = field(default_factory=dict)
    spans: list[StateSpan] = field(default_factory=list)
    rates: dict[str, TimeSeries] = field(default_factory=dict)
    dropped: dict[str, TimeSeries] = field(default_factory=dict)
    gaze: NDArray[np.float32] | None = None
    radius: float = 0.0
    samples: int = 0
    outside: int = 0
    recognized: dict[int, str] = field(default_factory=dict)
    confirmations: list[tuple[float, int]] = field(default_factory=list)
    frames: int = 0
    picture: Image | None = None


def summarize(events: Iterable[RecordingEvent], about: RecordingInfo) -> RecordingSummary:
    """Summarize a recording; raises `RecordingError` if it has neither frames nor gaze."""
    builder = _SummaryBuilder(about)
    for event in events:
        builder.add(event)
    return builder.finish()


class _SummaryBuilder:
    def __init__(self, about: RecordingInfo) -> None:
        self._summary = RecordingSummary(timed=not about.frame_time)
        self._min_confidence = read_min_confidence(about)
        self._begin_ns: int | None = None
        self._size: tuple[int, int] | None = None
        self._gaze = array("d")  # x, y and whether they are shares of the frame, which may have no size yet
        self._radii: list[float] = []
        self._last: MaskEvent | None = None
        self._last_confirmation = 0
        # drops before a recording that began in the middle of a run do not count
        self._counts: dict[str, int] | None = {} if about.from_start else None

    def add(self, event: RecordingEvent) -> None:
        if isinstance(event, GazeSample):
            self._to_seconds(event.captured_ns)
            if event.confidence >= self._min_confidence:
                self._gaze.extend((event.x, event.y, event.unit == "norm"))
        elif isinstance(event, MaskEvent):
            self._size = self._size or event.size
            self._add_mask(event)
        elif isinstance(event, HealthMessage):
            if self._begin_ns is not None and self._summary.timed:
                self._add_health(event, self._to_seconds(event.published_ns))
        else:
            self._to_seconds(event.captured_ns)
            self._summary.frames += 1
            if self._size is None:
                with contextlib.suppress(RecordingError):
                    self._size = event.decode().size

    def finish(self) -> RecordingSummary:
        if self._begin_ns is None:
            raise RecordingError("the recording holds neither frames nor gaze; there is nothing to draw")
        self._end_span(None)
        self._summary.samples = len(self._gaze) // 3
        if self._size is not None and self._gaze:
            self._count_gaze(np.array([self._size]))
            self._summary.radius = float(np.median(self._radii or [0.0])) * GRID / self._size[0]
        self._summary.span_s = max(self._summary.span_s, 1e-3)
        return self._summary

    def _count_gaze(self, size: NDArray[np.int_]) -> None:
        samples = np.reshape(self._gaze, (-1, 3))
        shares = (samples[:, :2] * np.where(samples[:, 2:], size, 1) + 0.5) / size
        x, y = shares[((shares >= 0) & (shares < 1)).all(1)].T
        rows = max(1, round(GRID * size[0, 1] / size[0, 0]))
        grid, _, _ = np.histogram2d(y, x, (rows, GRID), ((0, 1), (0, 1)))
        self._summary.gaze, self._summary.outside = grid.astype(np.float32), len(samples) - len(x)

    def _to_seconds(self, at_ns: int) -> float:
        """Convert to seconds since the first event."""
        if self._begin_ns is None:
            self._begin_ns = at_ns
        at_s = max(0.0, (at_ns - self._begin_ns) / 1e9)
        self._summary.span_s = max(self._summary.span_s, at_s)
        return at_s

    def _add_mask(self, event: MaskEvent) -> None:
        at_s = self._to_seconds(event.at_ns)
        self._end_span(event)
        self._last = event
        self._radii.append(event.gaze.radius)
        if event.recognized:
            self._summary.recognized[event.object] = event.recognized
        if event.confirmed is not None and event.confirmed.number != self._last_confirmation:
            self._last_confirmation = event.confirmed.number
            self._summary.confirmations.append((at_s, event.object))
        if not self._summary.timed:
            return
        self._add_latency("frame_to_mask", at_s, event.published_ns - event.at_ns)
        if event.state in VISIBLE_STATES:
            self._add_latency("gaze_to_mask", at_s, event.published_ns - event.gaze_ns)
            if event.shows_object:
                self._add_latency("keyframe_age", at_s, round((event.frame_s - event.keyframe_s) * 1e9))

    def _add_latency(self, name: str, at_s: float, latency_ns: int) -> None:
        self._summary.latency_ms.setdefault(name, []).append((at_s, latency_ns / 1e6))

    def _end_span(self, event: MaskEvent | None) -> None:
        """End the last mask's span at this one, or after one frame where a gap follows."""
        last, spans = self._last, self._summary.spans
        if last is None:
            return
        start_s = self._to_seconds(last.at_ns)
        next_s = self._to_seconds(event.at_ns) if event is not None else start_s + MAX_GAP_S + 1
        end_s = next_s if start_s <= next_s <= start_s + MAX_GAP_S else start_s + FRAME_S
        before = spans[-1] if spans else None
        if before and (before.object, before.state) == (last.object, last.state) and before.end_s >= start_s - 1e-6:
            spans[-1] = StateSpan(before.start_s, end_s, last.object, last.state)
        else:
            spans.append(StateSpan(start_s, end_s, last.object, last.state))

    def _add_health(self, health: HealthMessage, at_s: float) -> None:
        for name, rate in health.rates.items():
            self._summary.rates.setdefault(name, []).append((at_s, rate))
        if self._counts is None:
            self._counts = dict(health.dropped)
        for name, count in health.dropped.items():
            more = count - self._counts.get(name, 0)
            self._counts[name] = count
            self._summary.dropped.setdefault(name, []).append((at_s, max(0.0, more)))


def name_object(number: int, labels: Mapping[int, ObjectLabel], recognized: str = "") -> str:
    """Name an object by its number and its label, or by what it was recognized as."""
    label = labels.get(number, ObjectLabel())
    return f"{number} {label.text or recognized}".strip() + ("" if label.keep else " (dropped)")
