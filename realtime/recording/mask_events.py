"""Reads the events of a recording in one pass: frames, gaze samples, health, and masks without their pixels.

A mask's pixels are decoded only on request: an hour has a hundred thousand masks.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from realtime.comms.messages import HealthMessage, MaskFields
from realtime.errors import WireError
from realtime.recording.format import FRAME, GAZE, RecordedFrame, read_frame, read_sample
from realtime.recording.reader import RecordingEntry, RecordingReader
from realtime.types import Confirmation, FiniteFloat, FrameKey, GazeRef, GazeSample, State
from realtime.validation import read_value

MAX_REMEMBERED_TIMES = 4096
"""Frames and gaze samples whose times are kept for later masks: ten seconds at 400 Hz."""
MAX_WAITING_FRAMES, MAX_WAITING_BYTES = 512, 256 << 20
"""Encoded frames that wait for their mask, which comes within seconds of its frame, or never."""
ALL_TOPICS = (FRAME, GAZE, "mask", "health")


class _EventFields(MaskFields, kw_only=True):
    box: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat] | None = None
    area: int = 0
    centroid: tuple[FiniteFloat, FiniteFloat] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class MaskEvent:
    """A published mask without its pixels.

    entry: the whole message; `RecordingReader.read_mask` reads it. key: of its frame; has_frame: whether the recording
    has that frame.
    at_ns, gaze_ns: capture times of the frame and of the gaze sample behind the mask, host. frame_s, keyframe_s: times
    of the frames on the source's clock. size: (width, height) px.
    box: x0, y0, x1, y1 px, the last two exclusive; centroid_px, box: None without a mask or where it is empty.
    recognized: the name in the message's label; empty without one. confirmed: None unless the wearer confirmed it.
    """

    entry: RecordingEntry
    key: FrameKey
    has_frame: bool
    at_ns: int
    gaze_ns: int
    published_ns: int
    frame_s: float
    keyframe_s: float
    size: tuple[int, int]
    object: int
    state: State
    score: float
    confidence: float
    gaze: GazeRef
    box: tuple[int, int, int, int] | None
    area_px: int
    centroid_px: tuple[float, float] | None
    recognized: str = ""
    confirmed: Confirmation | None = None

    @property
    def shows_object(self) -> bool:
        """Whether it is the mask of a known object; not lost, and not a preview made without the model."""
        return self.state != "lost" and self.object > 0

    @property
    def quality(self) -> float:
        """Quality as a picture of its object, 0..1: certainty of the object times that of its edge."""
        return self.confidence * self.score


RecordingEvent = RecordedFrame | GazeSample | MaskEvent | HealthMessage


def read_events(recording: RecordingReader, topics: Iterable[str] = ALL_TOPICS) -> Iterator[RecordingEvent]:
    """Yield the events of these topics in order; raises `RecordingError` for one that cannot be read.

    Frames and gaze samples are always read, since masks need their times, but yielded only if requested.
    """
    wanted = frozenset(topics)
    captured: OrderedDict[FrameKey, int] = OrderedDict()
    gaze_captured: OrderedDict[int, int] = OrderedDict()  # by the time of arrival
    lag_ns = 0
    for entry in recording.read_entries(wanted | {FRAME, GAZE}):
        event: RecordingEvent
        if entry.topic == FRAME:
            event = read_frame(entry.data)
            lag_ns = event.received_ns - event.captured_ns
            _remember(captured, event.key, event.captured_ns)
        elif entry.topic == GAZE:
            event = read_sample(entry.data)
            _remember(gaze_captured, event.received_ns, event.captured_ns)
        elif entry.topic == "mask":
            event = _read_mask_event(recording, entry, captured, gaze_captured, lag_ns)
        else:
            event = recording.read_message(entry, HealthMessage.from_fields)
        if entry.topic in wanted:
            yield event


def read_mask_events(recording: RecordingReader) -> Iterator[MaskEvent]:
    """Yield the published masks in order."""
    return (event for event in read_events(recording, ("mask",)) if isinstance(event, MaskEvent))


def pair_frames(recording: RecordingReader) -> Iterator[tuple[RecordedFrame, MaskEvent | None]]:
    """Yield every frame with its mask, None where none was published for it; in the order of frames."""
    waiting: deque[RecordedFrame] = deque()
    held = 0
    for event in read_events(recording, (FRAME, "mask")):
        if isinstance(event, RecordedFrame):
            waiting.append(event)
            held += len(event.data)
            while len(waiting) > MAX_WAITING_FRAMES or (held > MAX_WAITING_BYTES and len(waiting) > 1):
                frame = waiting.popleft()
                held -= len(frame.data)
                yield frame, None
        elif isinstance(event, MaskEvent) and any(frame.key == event.key for frame in waiting):
            while (frame := waiting.popleft()).key != event.key:  # the run skipped those before it
                held -= len(frame.data)
                yield frame, None
            held -= len(frame.data)
            yield frame, event
    for frame in waiting:
        yield frame, None


def _remember(times: OrderedDict[Any, int], key: FrameKey | int, value_ns: int) -> None:
    times[key] = value_ns
    while len(times) > MAX_REMEMBERED_TIMES:
        times.popitem(last=False)


def _read_mask_event(
    recording: RecordingReader,
    entry: RecordingEntry,
    captured: Mapping[FrameKey, int],
    gaze_captured: Mapping[int, int],
    lag_ns: int,
) -> MaskEvent:
    """captured, gaze_captured: capture times. lag_ns: from capture to arrival, for frames that are missing there."""
    read = recording.read_message(entry, lambda fields: read_value(fields, _EventFields, WireError))
    key = FrameKey(read.frame.index, read.timing_ns.frame_received)
    box, centroid = (read.box, read.centroid) if read.state != "lost" else (None, None)
    captured_ns = read.captured_ns if read.captured_ns > 0 else key.received_ns - lag_ns
    gaze_ns = gaze_captured.get(read.timing_ns.gaze_received, read.timing_ns.gaze_received)
    return MaskEvent(
        entry, key, key in captured, captured.get(key, captured_ns), gaze_ns, read.published_ns, read.frame.timestamp,
        read.keyframe.timestamp, (max(1, read.frame.width), max(1, read.frame.height)),
        read.object, read.state, read.score, read.confidence, read.gaze,
        (int(box[0]), int(box[1]), int(box[2]), int(box[3])) if box else None, read.area if box else 0, centroid,
        read.label.name if read.label is not None else "", read.confirmed,
    )  # fmt: skip
