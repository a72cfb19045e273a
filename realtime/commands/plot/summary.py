"""Summarizes a recording for its plot: latencies, states, rates, drops and a grid of gaze. Pure."""

from __future__ import annotations

import contextlib
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
MAX_EARLY = 100_000
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
    frames: int = 0
    picture: Image | None = None


def summarize(recorded: Iterable[RecordingEvent], about: RecordingInfo) -> RecordingSummary:
    """Summarize a recording; raises `RecordingError` if it has neither frames nor gaze."""
    builder = _SummaryBuilder(about)
    for event in recorded:
        builder.add(event)
    return builder.finish()


class _SummaryBuilder:
    """Collects events into a `RecordingSummary`."""

    def __init__(self, about: RecordingInfo) -> None:
        self._summary = RecordingSummary(timed=not about.frame_time)
        self._min_confidence = read_min_confidence(about)
        self._begin_ns: int | None = None
        self._end_s = 0.0
        self._size: tuple[int, int] | None = None
        self._early: list[GazeSample] = []  # before the frames' size is known
        self._radii: list[float] = []
        self._last: MaskEvent | None = None
        self._counts: dict[str, float] | None = None
        self._from_start = about.from_start

    def add(self, event: RecordingEvent) -> None:
        if isinstance(event, GazeSample):
            self._to_seconds(event.captured_ns)
            if event.confidence >= self._min_confidence:
                self._summary.samples += 1
                self._add_gaze(event)
        elif isinstance(event, MaskEvent):
            self._set_size(event.size)
            self._add_mask(event)
        elif isinstance(event, HealthMessage):
            if self._begin_ns is not None and self._summary.timed:
                self._add_health(event, self._to_seconds(event.published_ns))
        else:
            self._to_seconds(event.captured_ns)
            self._summary.frames += 1
            if self._size is None:
                with contextlib.suppress(RecordingError):
                    self._set_size(event.decode().size)

    def finish(self) -> RecordingSummary:
        summary = self._summary
        if self._begin_ns is None:
            raise RecordingError("the recording holds neither frames nor gaze; there is nothing to draw")
        self._end_span(None)
        if self._size is not None and summary.gaze is not None and self._radii:
            summary.radius = float(np.median(self._radii)) * GRID / self._size[0]
        summary.span_s = max(self._end_s, 1e-3)
        return summary

    def _set_size(self, size: tuple[int, int]) -> None:
        if self._size is None:
            self._size = size
            for sample in self._early:
                self._add_gaze(sample)
            self._early.clear()

    def _to_seconds(self, at_ns: int) -> float:
        """Convert to seconds since the first event."""
        if self._begin_ns is None:
            self._begin_ns = at_ns
        at_s = max(0.0, (at_ns - self._begin_ns) / 1e9)
        self._end_s = max(self._end_s, at_s)
        return at_s

    def _add_mask(self, event: MaskEvent) -> None:
        at_s = self._to_seconds(event.at_ns)
        self._end_span(event)
        self._last = event
        self._radii.append(event.gaze.radius)
        if not self._summary.timed:
            return
        self._add_latency("frame_to_mask", at_s, event.published_ns - event.at_ns)
        if event.state in VISIBLE_STATES:
            self._add_latency("gaze_to_mask", at_s, event.published_ns - event.gaze_ns)
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

    def _add_gaze(self, sample: GazeSample) -> None:
        if self._size is None:
            if len(self._early) < MAX_EARLY:
                self._early.append(sample)
            return
        width, height = self._size
        if self._summary.gaze is None:
            self._summary.gaze = np.zeros((max(1, round(GRID * height / width)), GRID), np.float32)
        grid = self._summary.gaze
        x, y = sample.to_px(self._size)
        if 0 <= x + 0.5 < width and 0 <= y + 0.5 < height:
            column, row = int((x + 0.5) / width * grid.shape[1]), int((y + 0.5) / height * grid.shape[0])
            grid[min(row, grid.shape[0] - 1), min(column, GRID - 1)] += 1
        else:
            self._summary.outside += 1

    def _add_health(self, health: HealthMessage, at_s: float) -> None:
        for name, rate in _numbers(health.rates).items():
            self._summary.rates.setdefault(name, []).append((at_s, rate))
        dropped = _numbers(health.dropped)
        if self._counts is None:
            self._counts = {} if self._from_start else dict(dropped)  # drops before the recording do not count
        for name, count in dropped.items():
            more = count - self._counts.get(name, 0)
            self._counts[name] = count
            self._summary.dropped.setdefault(name, []).append((at_s, max(0.0, more)))


def name_object(number: int, labels: Mapping[int, ObjectLabel]) -> str:
    """Name an object by its number and its label."""
    label = labels.get(number, ObjectLabel())
    return f"{number} {label.text}".strip() + ("" if label.keep else " (dropped)")


def _numbers(fields: Mapping[str, object]) -> dict[str, float]:
    return {name: float(value) for name, value in fields.items() if isinstance(value, int | float)}
