"""What was looked at in a recording, when and for how long: looks, and the things that they were at. Pure.

A look is a run of masks of one object. It ends where another object is looked at, where the object is lost, where
nothing was published for `MAX_GAP_S`, and where the source began anew.
"""

from __future__ import annotations

import tomllib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from realtime.comms.messages import MaskMessage
from realtime.errors import RecordingError
from realtime.recording.format import GAZE, RecordingInfo, read_frame
from realtime.recording.labels import LabelFile
from realtime.recording.mask_events import MaskEvent, RecordingEvent, read_events
from realtime.recording.reader import RecordingReader
from realtime.tracking.gaze.settings import GazeSettings
from realtime.types import Frame, FrameKey, GazeSample, State

MAX_GAP_S = 1.0
VISIBLE_STATES: tuple[State, ...] = ("preview", "locked")
"""States in which a mask is seen and not only carried on."""
_MAX_SAMPLES = 4096  # that wait for the mask of their frame: ten seconds at 400 Hz
Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class BestView:
    """The mask of a look that shows its object best.

    key: its frame. frame_log_ns, mask_log_ns: where both lie in the recording, wall clock; `read_best_view` reads them.
    quality: confidence times score, 0..1. framed: whether the recording has the frame; the disk may have been too slow.
    """

    key: FrameKey
    frame_log_ns: int
    mask_log_ns: int
    state: State
    quality: float
    has_frame: bool


@dataclass(frozen=True, slots=True)
class Visit:
    """One look. Times are those of the first and the last frame: `_s` on the source's clock, `_ns` wall clock.

    duration_s: between them, on the host's clock; seconds: the same by state. A single mask lasts 0 s.
    centroid_px, box: mean and median of the masks'. area: mean share of the frame, 0..1.
    samples: looks of the eyes meanwhile that were sure enough to be used; gaze_px: their median, None without any;
    radius_px: median error radius of the gaze. size: (width, height) of the frames, px.
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


@dataclass(frozen=True, slots=True)
class VisitedObject:
    """An object and all looks at it. first_ns, last_ns: wall clock; seconds: of all looks together."""

    object: int
    label: str
    keep: bool
    first_ns: int
    last_ns: int
    seconds: float
    visits: int
    masks: int
    best: BestView


def find_visits(recording: RecordingReader, labels: LabelFile) -> list[Visit]:
    """All looks in order, dropped objects too; raises `RecordingError` for what cannot be read."""
    return list(detect_visits(read_events(recording, (GAZE, "mask")), recording.about, labels))


def find_objects(recording: RecordingReader, labels: LabelFile) -> list[VisitedObject]:
    """The objects of a recording in the order in which they were first looked at."""
    return group_by_object(find_visits(recording, labels))


def group_by_object(found: Iterable[Visit]) -> list[VisitedObject]:
    """The objects of these looks, in their order."""
    by_object: dict[int, VisitedObject] = {}
    for look in found:
        thing = by_object.get(look.object)
        if thing is None:
            by_object[look.object] = VisitedObject(
                look.object,
                look.label,
                look.keep,
                look.start_ns,
                look.end_ns,
                look.duration_s,
                1,
                look.masks,
                look.best,
            )
            continue
        by_object[look.object] = replace(
            thing, last_ns=max(thing.last_ns, look.end_ns), seconds=thing.seconds + look.duration_s,
            visits=thing.visits + 1, masks=thing.masks + look.masks, best=max(thing.best, look.best, key=_rank),
        )  # fmt: skip
    return list(by_object.values())


def read_best_view(recording: RecordingReader, best: BestView) -> tuple[Frame, MaskMessage]:
    """The frame and the mask; raises `RecordingError` where either cannot be read."""
    frame = mask = None
    for entry in recording.read_entries(("source/frame",), from_ns=best.frame_log_ns, to_ns=best.frame_log_ns):
        packed = read_frame(entry.data)
        frame = packed if packed.key == best.key else frame
    for entry in recording.read_entries(("mask",), from_ns=best.mask_log_ns, to_ns=best.mask_log_ns):
        message = recording.read_mask(entry)
        if FrameKey(message.frame.index, message.timing_ns.frame_received) == best.key:
            mask = message
    if frame is None or mask is None:
        raise RecordingError(f"frame {best.key.index} or its mask is not in {recording.path}")
    return frame.decode(), mask


def detect_visits(passing: Iterable[RecordingEvent], about: RecordingInfo, labels: LabelFile) -> Iterator[Visit]:
    """The looks of masks and samples as they pass; pure."""
    sure = read_min_confidence(about)
    samples: deque[GazeSample] = deque(maxlen=_MAX_SAMPLES)
    run: _VisitRun | None = None
    for event in passing:
        if isinstance(event, GazeSample):
            if event.confidence >= sure:
                samples.append(event)
        elif isinstance(event, MaskEvent):
            if run is not None and not run.continues_with(event):
                yield run.to_visit(about, labels)
                run = None
            if event.state != "lost":
                run = run or _VisitRun(event)
                run.add(event)
            _assign_samples(samples, run, event.at_ns)
    if run is not None:
        yield run.to_visit(about, labels)


@dataclass(slots=True)
class _VisitRun:
    """A look that is still going on."""

    first: MaskEvent
    mask_count: int = 0
    last: MaskEvent | None = None
    best: MaskEvent | None = None
    seconds: dict[State, float] = field(default_factory=dict)
    confidences: list[float] = field(default_factory=list)
    scores: float = 0.0
    area: float = 0.0
    radii: list[float] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    centroids: list[tuple[float, float]] = field(default_factory=list)
    gaze: list[tuple[float, float]] = field(default_factory=list)

    def continues_with(self, sight: MaskEvent) -> bool:
        last = self.last or self.first
        same = sight.object == last.object and sight.size == last.size and sight.state != "lost"
        return same and 0 <= sight.at_ns - last.at_ns <= MAX_GAP_S * 1e9

    def add(self, sight: MaskEvent) -> None:
        if self.last is not None:
            lasted_s = (sight.at_ns - self.last.at_ns) / 1e9
            self.seconds[self.last.state] = self.seconds.get(self.last.state, 0.0) + lasted_s
        self.last = sight
        self.mask_count += 1
        if self.best is None or _rank(_best(sight, 0)) > _rank(_best(self.best, 0)):
            self.best = sight
        self.confidences.append(sight.confidence)
        self.scores += sight.score
        self.area += sight.area_px / (sight.size[0] * sight.size[1])
        self.radii.append(sight.gaze.radius)
        if sight.box is not None:
            self.boxes.append(sight.box)
        if sight.centroid_px is not None:
            self.centroids.append(sight.centroid_px)

    def to_visit(self, about: RecordingInfo, labels: LabelFile) -> Visit:
        first, last, label = self.first, self.last or self.first, labels.get_label(self.first.object)
        box = tuple(round(float(side)) for side in np.median(self.boxes, 0)) if self.boxes else None
        return Visit(
            first.object, label.text, label.keep, first.frame_s, last.frame_s, first.at_ns + about.wall_ns,
            last.at_ns + about.wall_ns, (last.at_ns - first.at_ns) / 1e9, MappingProxyType(dict(self.seconds)),
            self.mask_count, float(np.mean(self.confidences)), max(self.confidences), self.scores / self.mask_count,
            _pair(np.mean(self.centroids, 0)) if self.centroids else None,
            (box[0], box[1], box[2], box[3]) if box else None, self.area / self.mask_count, len(self.gaze),
            _pair(np.median(self.gaze, 0)) if self.gaze else None, float(np.median(self.radii)), first.size,
            _best(self.best or first, about.wall_ns),
        )  # fmt: skip


def _assign_samples(samples: deque[GazeSample], run: _VisitRun | None, until_ns: int) -> None:
    """Give the run the samples that came within it; those before it belong to nothing. They come nearly in order."""
    later = []
    while samples:
        sample = samples.popleft()
        if sample.captured_ns > until_ns:
            later.append(sample)
        elif run is not None and sample.captured_ns >= run.first.at_ns:
            run.gaze.append(sample.to_px(run.first.size))
    samples.extend(later)


def _best(sight: MaskEvent, wall_ns: int) -> BestView:
    return BestView(
        sight.key, sight.key.received_ns + wall_ns, sight.entry.log_ns, sight.state, sight.quality, sight.has_frame
    )


def _rank(best: BestView) -> tuple[bool, bool, float]:
    return best.has_frame, best.state in VISIBLE_STATES, best.quality


def _pair(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[float, float]:
    return float(values[0]), float(values[1])


def read_min_confidence(about: RecordingInfo) -> float:
    """The confidence from which on the run used a sample."""
    try:
        said = tomllib.loads(about.config)["tracker"]["gaze"]["min_confidence"]
        return float(said)
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError):
        return GazeSettings().min_confidence
