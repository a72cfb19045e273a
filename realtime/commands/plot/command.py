"""`gazecast plot`: what a recording tells of itself, gathered in one go; `plot_picture` draws it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import Image
from realtime.commands.export.command import check_target, write_whole
from realtime.comms import HealthMessage
from realtime.errors import RecordingError, RunFailed
from realtime.infra.interrupts import InterruptHandler
from realtime.recording.format import RecordingInfo
from realtime.recording.labels import LabelFile, ObjectLabel
from realtime.recording.mask_events import Event, MaskEvent, events
from realtime.recording.reader import RecordingReader
from realtime.recording.visits import FRESH, GAP_S, least_confidence
from realtime.types import GazeSample, State

GRID = 320
"""Columns of the grid on which gaze is counted."""
FRAME_S = 1 / 30
"""How long the last mask before a gap is taken to have lasted."""
MOST_EARLY = 100_000
TimeSeries = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class StateSpan:
    """A stretch of time with one state of one object, seconds into the recording."""

    start_s: float
    end_s: float
    object: int
    state: State


@dataclass(slots=True)
class RecordingSummary:
    """What is drawn. Times are seconds since the recording's first frame or look was captured.

    late_ms: by name, as in `health`: `gaze_to_mask` and `keyframe_age` of masks in preview and locked, `frame_to_mask`
    of all; empty where the run had its frames' own time. rates: Hz by name; dropped: how many since the last health.
    gaze: (rows, GRID) how many samples lay where in the frame; radius: their error radius, cells, the median;
    samples: how many, outside: how many of them outside the frame.
    """

    span_s: float = 0.0
    timed: bool = True
    late_ms: dict[str, TimeSeries] = field(default_factory=dict)
    spans: list[StateSpan] = field(default_factory=list)
    rates: dict[str, TimeSeries] = field(default_factory=dict)
    dropped: dict[str, TimeSeries] = field(default_factory=dict)
    gaze: NDArray[np.float32] | None = None
    radius: float = 0.0
    samples: int = 0
    outside: int = 0
    frames: int = 0
    picture: Image | None = None


def plot(recording: RecordingReader, labels: LabelFile, out: Path, *, force: bool = False) -> str:
    """Draw a recording into a PNG and say so; raises `RecordingError`, and `RunFailed` of a disk."""
    from realtime.commands.plot.page import drawn
    from realtime.commands.replay import describe_recording

    if out.suffix.lower() != ".png":
        raise RecordingError(f"{out}: a picture is called .png")
    check_target(out, recording, force=force)
    with InterruptHandler() as interrupts:

        def passing() -> Iterable[Event]:
            for event in events(recording):
                interrupts.raise_if_requested()
                yield event

        story = told(passing(), recording.about)
        notes = [describe_recording(recording)]
        if recording.damaged:
            notes.append(f"{recording.damaged} damaged chunks, half a second each, are missing")
        story.picture = _picture(recording)
        interrupts.raise_if_requested()
        ok, packed = cv2.imencode(".png", drawn(story, labels.objects, notes))
    assert ok
    try:
        write_whole(out, packed.tobytes())
    except OSError as error:
        raise RunFailed(f"cannot write {out}: {error.strerror or error}") from error
    seen = len({span.object for span in story.spans if span.object})
    said = f"{out}: {story.span_s:.1f} s, {seen} objects, {story.samples} looks of the eyes"
    return "; ".join([said, *notes[1:]])


def told(passing: Iterable[Event], about: RecordingInfo) -> RecordingSummary:
    """Gather what is drawn from all that is in a recording; pure. Raises `RecordingError` if there is nothing."""
    gathering = _SummaryBuilder(about)
    for event in passing:
        gathering.take(event)
    return gathering.finish()


class _SummaryBuilder:
    """A story while it is told."""

    def __init__(self, about: RecordingInfo) -> None:
        self._story = RecordingSummary(timed=not about.frame_time)
        self._sure = least_confidence(about)
        self._begin_ns: int | None = None
        self._end_s = 0.0
        self._size: tuple[int, int] | None = None
        self._early: list[GazeSample] = []  # before the frames' size is known
        self._radii: list[float] = []
        self._last: MaskEvent | None = None
        self._counts: dict[str, float] | None = None
        self._from_start = about.from_start

    def take(self, event: Event) -> None:
        if isinstance(event, GazeSample):
            self._seconds(event.captured_ns)
            if event.confidence >= self._sure:
                self._story.samples += 1
                self._look(event)
        elif isinstance(event, MaskEvent):
            self._sized(event.size)
            self._sight(event)
        elif isinstance(event, HealthMessage):
            if self._begin_ns is not None and self._story.timed:
                self._health(event, self._seconds(event.published_ns))
        else:
            self._seconds(event.captured_ns)
            self._story.frames += 1
            if self._size is None:
                with contextlib.suppress(RecordingError):
                    self._sized(event.frame().size)

    def finish(self) -> RecordingSummary:
        story = self._story
        if self._begin_ns is None:
            raise RecordingError("the recording holds neither frames nor looks; there is nothing to draw")
        self._close(None)
        if self._size is not None and story.gaze is not None and self._radii:
            story.radius = float(np.median(self._radii)) * GRID / self._size[0]
        story.span_s = max(self._end_s, 1e-3)
        return story

    def _sized(self, size: tuple[int, int]) -> None:
        if self._size is None:
            self._size = size
            for sample in self._early:
                self._look(sample)
            self._early.clear()

    def _seconds(self, at_ns: int) -> float:
        """Seconds into the recording; the first event tells when that began."""
        if self._begin_ns is None:
            self._begin_ns = at_ns
        at_s = max(0.0, (at_ns - self._begin_ns) / 1e9)
        self._end_s = max(self._end_s, at_s)
        return at_s

    def _sight(self, sight: MaskEvent) -> None:
        at_s = self._seconds(sight.at_ns)
        self._close(sight)
        self._last = sight
        self._radii.append(sight.gaze.radius)
        if not self._story.timed:
            return
        self._late("frame_to_mask", at_s, sight.published_ns - sight.at_ns)
        if sight.state in FRESH:
            self._late("gaze_to_mask", at_s, sight.published_ns - sight.gaze_ns)
            self._late("keyframe_age", at_s, round((sight.frame_s - sight.keyframe_s) * 1e9))

    def _late(self, name: str, at_s: float, late_ns: int) -> None:
        self._story.late_ms.setdefault(name, []).append((at_s, late_ns / 1e6))

    def _close(self, sight: MaskEvent | None) -> None:
        """The last mask lasted until this one came, unless that was long after."""
        last, spans = self._last, self._story.spans
        if last is None:
            return
        start_s = self._seconds(last.at_ns)
        next_s = self._seconds(sight.at_ns) if sight is not None else start_s + GAP_S + 1
        end_s = next_s if start_s <= next_s <= start_s + GAP_S else start_s + FRAME_S
        before = spans[-1] if spans else None
        if before and (before.object, before.state) == (last.object, last.state) and before.end_s >= start_s - 1e-6:
            spans[-1] = StateSpan(before.start_s, end_s, last.object, last.state)
        else:
            spans.append(StateSpan(start_s, end_s, last.object, last.state))

    def _look(self, sample: GazeSample) -> None:
        if self._size is None:
            if len(self._early) < MOST_EARLY:
                self._early.append(sample)
            return
        width, height = self._size
        if self._story.gaze is None:
            self._story.gaze = np.zeros((max(1, round(GRID * height / width)), GRID), np.float32)
        grid = self._story.gaze
        x, y = sample.to_px(self._size)
        if 0 <= x + 0.5 < width and 0 <= y + 0.5 < height:
            column, row = int((x + 0.5) / width * grid.shape[1]), int((y + 0.5) / height * grid.shape[0])
            grid[min(row, grid.shape[0] - 1), min(column, GRID - 1)] += 1
        else:
            self._story.outside += 1

    def _health(self, health: HealthMessage, at_s: float) -> None:
        for name, rate in _numbers(health.rates).items():
            self._story.rates.setdefault(name, []).append((at_s, rate))
        dropped = _numbers(health.dropped)
        if self._counts is None:
            self._counts = {} if self._from_start else dict(dropped)  # what was lost before is not of this recording
        for name, count in dropped.items():
            more = count - self._counts.get(name, 0)
            self._counts[name] = count
            self._story.dropped.setdefault(name, []).append((at_s, max(0.0, more)))


def name_of(thing: int, labels: Mapping[int, ObjectLabel]) -> str:
    """How an object is called in the picture: its number, and its label where it has one."""
    label = labels.get(thing, ObjectLabel())
    return f"{thing} {label.text}".strip() + ("" if label.keep else " (dropped)")


def _picture(recording: RecordingReader) -> Image | None:
    """The frame in the middle of the recording, or the nearest after it that can be decoded."""
    start_ns, end_ns = recording.span_ns
    for from_ns in ((start_ns + end_ns) // 2, start_ns):
        for frame in recording.frames(from_ns=from_ns):
            try:
                return frame.frame().image
            except RecordingError:
                continue
    return None


def _numbers(fields: Mapping[str, object]) -> dict[str, float]:
    return {name: float(value) for name, value in fields.items() if isinstance(value, int | float)}
