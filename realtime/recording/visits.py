"""Detects the visits of a recording: the periods in which one object was fixated. Pure.

A visit is a run of masks of one object. It ends where the gaze moves to another object, where the object is lost, where
no mask was published for `MAX_GAP_S`, and where the source was restarted.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import cast

import numpy as np

from realtime.comms.messages import MaskMessage
from realtime.config.loader import parse_toml
from realtime.errors import RecordingError
from realtime.recording.format import RecordingInfo
from realtime.recording.labels import LabelFile
from realtime.recording.mask_events import MaskEvent, RecordingEvent
from realtime.recording.reader import RecordingReader
from realtime.tracking.gaze.settings import GazeSettings
from realtime.types import Confirmation, Frame, FrameKey, GazeSample, State

MAX_GAP_S = 1.0
VISIBLE_STATES: tuple[State, ...] = ("preview", "locked")
"""States in which the eyes are on the object, and its mask is not only carried."""
_MAX_SAMPLES = 4096  # waiting for the mask of their frame: ten seconds at 400 Hz
Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class BestView:
    """Holds the mask of a visit that shows its object best; `read_best_view` reads it.

    key: of its frame. frame_log_ns, mask_log_ns: log times of both in the recording, wall clock.
    quality: confidence times score, 0..1. has_frame: False where the disk was too slow for the frame.
    """

    key: FrameKey
    frame_log_ns: int
    mask_log_ns: int
    state: State
    quality: float
    has_frame: bool


@dataclass(frozen=True, slots=True)
class Visit:
    """Holds one visit. Times are those of the first and the last frame: `_s` on the source's clock, `_ns` wall clock.

    label: the name that the user gave, else what the object was recognized as at last; empty where neither is known.
    duration_s: between them, on the host's clock; seconds: the same by state. A single mask lasts 0 s.
    centroid_px, box: mean and median over the masks. area: mean share of the frame, 0..1.
    samples: number of gaze samples meanwhile with enough confidence to be used; gaze_px: their median, None without
    any; radius_px: median error radius of the gaze. size: (width, height) of the frames, px.
    confirmations: of the object by the wearer, oldest first, `at_ns` wall clock.
    """

    object: int
    label: str
    keep: bool
    start_s: float
    end_s: float
    start_ns: int
    end_ns: int
    duration_s: float
    seconds: Mapping[State, float]
    masks: int
    mean_confidence: float
    max_confidence: float
    mean_score: float
    centroid_px: tuple[float, float] | None
    box: Box | None
    area: float
    samples: int
    gaze_px: tuple[float, float] | None
    radius_px: float
    size: tuple[int, int]
    best: BestView
    confirmations: tuple[Confirmation, ...] = ()


@dataclass(frozen=True, slots=True)
class VisitedObject:
    """Sums up all visits to an object. seconds: of all visits together."""

    object: int
    label: str
    keep: bool
    seconds: float
    visits: int
    masks: int
    best: BestView


def group_by_object(visits: Iterable[Visit]) -> list[VisitedObject]:
    """Group visits by object, in the order of the first visit."""
    by_object: dict[int, list[Visit]] = {}
    for visit in visits:
        by_object.setdefault(visit.object, []).append(visit)
    return [
        VisitedObject(
            number, found[0].label, found[0].keep, sum(visit.duration_s for visit in found), len(found),
            sum(visit.masks for visit in found), max((visit.best for visit in found), key=_rank),
        )
        for number, found in by_object.items()
    ]  # fmt: skip


def read_best_view(recording: RecordingReader, best: BestView) -> tuple[Frame, MaskMessage]:
    """Read the frame and mask of a best view; raises `RecordingError` where either cannot be read."""
    frame = mask = None
    for encoded in recording.read_frames(from_ns=best.frame_log_ns, to_ns=best.frame_log_ns):
        frame = encoded if encoded.key == best.key else frame
    for entry in recording.read_entries(("mask",), from_ns=best.mask_log_ns, to_ns=best.mask_log_ns):
        message = recording.read_mask(entry)
        if FrameKey(message.frame.index, message.timing_ns.frame_received) == best.key:
            mask = message
    if frame is None or mask is None:
        raise RecordingError(f"frame {best.key.index} or its mask is not in {recording.path}")
    return frame.decode(), mask


def detect_visits(events: Iterable[RecordingEvent], about: RecordingInfo, labels: LabelFile) -> Iterator[Visit]:
    """Yield the visits found in masks and gaze samples, in order."""
    min_confidence = read_min_confidence(about)
    samples: deque[GazeSample] = deque(maxlen=_MAX_SAMPLES)
    run: _VisitRun | None = None
    for event in events:
        if isinstance(event, GazeSample):
            if event.confidence >= min_confidence:
                samples.append(event)
        elif isinstance(event, MaskEvent):
            if run is not None and not run.continues_with(event):
                yield run.to_visit(about, labels)
                run = None
            if event.shows_object:
                run = run or _VisitRun(event)
                run.add(event)
            _assign_samples(samples, run, event.at_ns)
    if run is not None:
        yield run.to_visit(about, labels)


class _VisitRun:
    """A visit that is not over; of its masks, which hold their encoded pixels, it keeps three."""

    def __init__(self, first: MaskEvent) -> None:
        self.first = self.last = self.best = first
        self.seconds: defaultdict[State, float] = defaultdict(float)
        self.confidences: list[float] = []
        self.scores = self.area = 0.0
        self.radii: list[float] = []
        self.boxes: list[Box] = []
        self.centroids: list[tuple[float, float]] = []
        self.gaze: list[tuple[float, float]] = []
        self.recognized = ""
        self.confirmations: dict[int, Confirmation] = {}

    def continues_with(self, mask: MaskEvent) -> bool:
        same = mask.object == self.last.object and mask.size == self.last.size and mask.state != "lost"
        return same and 0 <= mask.at_ns - self.last.at_ns <= MAX_GAP_S * 1e9

    def add(self, mask: MaskEvent) -> None:
        self.seconds[self.last.state] += (mask.at_ns - self.last.at_ns) / 1e9
        self.last, self.best = mask, max(self.best, mask, key=_rank)
        self.confidences.append(mask.confidence)
        self.scores += mask.score
        self.area += mask.area_px / (mask.size[0] * mask.size[1])
        self.radii.append(mask.gaze.radius)
        self.recognized = mask.recognized or self.recognized
        if mask.confirmed is not None:
            self.confirmations[mask.confirmed.number] = mask.confirmed
        if mask.box is not None:
            self.boxes.append(mask.box)
        if mask.centroid_px is not None:
            self.centroids.append(mask.centroid_px)

    def to_visit(self, about: RecordingInfo, labels: LabelFile) -> Visit:
        first, last, best, label = self.first, self.last, self.best, labels.get_label(self.first.object)
        count, wall_ns = len(self.confidences), about.wall_ns
        return Visit(
            first.object, label.text or self.recognized, label.keep, first.frame_s, last.frame_s, first.at_ns + wall_ns,
            last.at_ns + wall_ns, (last.at_ns - first.at_ns) / 1e9, MappingProxyType(dict(self.seconds)), count,
            float(np.mean(self.confidences)), max(self.confidences), self.scores / count,
            _pair(np.mean(self.centroids, 0)) if self.centroids else None,
            cast("Box", tuple(round(float(side)) for side in np.median(self.boxes, 0))) if self.boxes else None,
            self.area / count, len(self.gaze), _pair(np.median(self.gaze, 0)) if self.gaze else None,
            float(np.median(self.radii)), first.size,
            BestView(best.key, best.key.received_ns + wall_ns, best.entry.log_ns, best.state, best.quality,
                     best.has_frame),
            tuple(replace(each, at_ns=each.at_ns + wall_ns) for each in self.confirmations.values()),
        )  # fmt: skip


def _assign_samples(samples: deque[GazeSample], run: _VisitRun | None, until_ns: int) -> None:
    """Assign the samples within the visit to it, and drop those before it; they are nearly in order."""
    later = []
    while samples:
        sample = samples.popleft()
        if sample.captured_ns > until_ns:
            later.append(sample)
        elif run is not None and sample.captured_ns >= run.first.at_ns:
            run.gaze.append(sample.to_px(run.first.size))
    samples.extend(later)


def _rank(view: BestView | MaskEvent) -> tuple[bool, bool, float]:
    return view.has_frame, view.state in VISIBLE_STATES, view.quality


def _pair(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[float, float]:
    return float(values[0]), float(values[1])


def read_min_confidence(about: RecordingInfo) -> float:
    """Read the lowest confidence of gaze samples that the run used."""
    try:
        return float(parse_toml(about.config)["tracker"]["gaze"]["min_confidence"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return GazeSettings().min_confidence
