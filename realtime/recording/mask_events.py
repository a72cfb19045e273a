"""What a recording tells, gone through once: frames, looks, health, and masks without their pixels.

A mask's pixels are unpacked only where they are wanted: an hour has a hundred thousand of them.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from realtime.comms.envelope import unpack
from realtime.comms.messages import HealthMessage, MaskFields, read_message
from realtime.errors import RecordingError, WireError
from realtime.recording.format import FRAME, GAZE, RecordedFrame, read_frame, read_sample
from realtime.recording.reader import RecordingEntry, RecordingReader
from realtime.types import FiniteFloat, FrameKey, GazeRef, GazeSample, State
from realtime.validation import read_value

MAX_REMEMBERED_TIMES = 4096
"""Frames and looks whose times are remembered for the masks to come: ten seconds at 400 Hz."""
MAX_WAITING_FRAMES, MAX_WAITING_BYTES = 512, 256 << 20
"""Packed frames that wait for their mask. A mask comes within seconds of its frame, or never."""
ALL_TOPICS = (FRAME, GAZE, "mask", "health")


class _EventFields(MaskFields, kw_only=True):
    box: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat] | None = None
    area: int = 0
    centroid: tuple[FiniteFloat, FiniteFloat] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class MaskEvent:
    """A published mask without its pixels.

    entry: where the whole message is; `RecordingReader.read_mask` reads it. key: its frame; has_frame: whether the
    recording has it.
    at_ns: host time at which the frame was captured. gaze_ns: that of the look behind the mask. frame_s, keyframe_s:
    the frames' times on the source's clock. size: (width, height) px.
    box: x0, y0, x1, y1 px, the last two exclusive, None without a mask or where it is empty; centroid_px likewise.
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

    @property
    def quality(self) -> float:
        """How good a picture of its object it is, 0..1: sure of the object, and of its edge."""
        return self.confidence * self.score


RecordingEvent = RecordedFrame | GazeSample | MaskEvent | HealthMessage


def read_events(recording: RecordingReader, topics: Iterable[str] = ALL_TOPICS) -> Iterator[RecordingEvent]:
    """Everything of these topics in its order; raises `RecordingError` for what cannot be read.

    Frames and looks are always gone through, since masks need their times, but given only if asked for.
    """
    wanted = frozenset(topics)
    captured: OrderedDict[FrameKey, int] = OrderedDict()
    looked: OrderedDict[int, int] = OrderedDict()  # by the time of arrival
    lag_ns = 0
    for entry in recording.read_entries(wanted | {FRAME, GAZE}):
        event: RecordingEvent
        if entry.topic == FRAME:
            event = read_frame(entry.data)
            lag_ns = event.received_ns - event.captured_ns
            _remember(captured, event.key, event.captured_ns)
        elif entry.topic == GAZE:
            event = read_sample(entry.data)
            _remember(looked, event.received_ns, event.captured_ns)
        elif entry.topic == "mask":
            event = _read_mask_event(recording, entry, captured, looked, lag_ns)
        else:
            event = _read_health(recording, entry)
        if entry.topic in wanted:
            yield event


def read_mask_events(recording: RecordingReader) -> Iterator[MaskEvent]:
    """The masks as they were published, in order."""
    for event in read_events(recording, ("mask",)):
        if isinstance(event, MaskEvent):
            yield event


def pair_frames(recording: RecordingReader) -> Iterator[tuple[RecordedFrame, MaskEvent | None]]:
    """Every frame with its mask, or None where none was published for it; in the order of frames."""
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
            while (frame := waiting.popleft()).key != event.key:  # those before it were passed over by the run
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
    captured: OrderedDict[FrameKey, int],
    looked: OrderedDict[int, int],
    lag_ns: int,
) -> MaskEvent:
    try:
        read = read_value(unpack(entry.data), _EventFields, WireError)
    except WireError as error:
        raise RecordingError(f"{recording.path}: a mask that cannot be read: {error}") from None
    key = FrameKey(read.frame.index, read.timing_ns.frame_received)
    box, centroid = (read.box, read.centroid) if read.state != "lost" else (None, None)
    captured_ns = read.captured_ns if read.captured_ns > 0 else key.received_ns - lag_ns
    gaze_ns = read.timing_ns.gaze_received
    return MaskEvent(
        entry, key, key in captured, captured.get(key, captured_ns), looked.get(gaze_ns, gaze_ns), read.published_ns,
        read.frame.timestamp, read.keyframe.timestamp, (max(1, read.frame.width), max(1, read.frame.height)),
        read.object, read.state, read.score, read.confidence, read.gaze,
        (int(box[0]), int(box[1]), int(box[2]), int(box[3])) if box else None, read.area if box else 0, centroid,
    )  # fmt: skip


def _read_health(recording: RecordingReader, entry: RecordingEntry) -> HealthMessage:
    try:
        message = read_message("health", entry.data)
    except WireError as error:
        raise RecordingError(f"{recording.path}: {error}") from None
    assert isinstance(message, HealthMessage)
    return message
