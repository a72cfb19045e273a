"""Recordings with gaze on objects, for tests: discs whose masks are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from engines import Image, Mask
from realtime.comms.envelope import pack
from realtime.comms.messages import HealthMessage, MaskMessage
from realtime.recording.format import FRAME, GAZE, RecordingInfo, pack_frame, pack_sample
from realtime.recording.labels import LabelFile
from realtime.recording.mask_events import read_events
from realtime.recording.reader import RecordingReader
from realtime.recording.visits import Visit, VisitedObject, detect_visits, group_by_object
from realtime.recording.writer import RecordingFile
from realtime.types import (
    Confirmation,
    Frame,
    FrameRef,
    GazeRef,
    GazeSample,
    KeyframeRef,
    RecognizedName,
    State,
    TimingNs,
)

WALL_NS = 1_700_000_000_000_000_000
BEGIN_NS = 5_000_000_000
STEP_NS = 40_000_000
SIZE = (64, 48)
ABOUT = RecordingInfo(source="camera:0", started="2023-11-14T22:13:25+00:00", wall_ns=WALL_NS, program="test")


@dataclass(frozen=True, slots=True)
class Shown:
    """The published result of a frame; without an `object` there is no mask."""

    object: int | None = None
    state: State = "locked"
    confidence: float = 0.8
    score: float = 0.9
    recognized: str = ""
    confirmed: Confirmation | None = None


def run(count: int, object_id: int | None, state: State = "locked", **fields: Any) -> list[Shown]:
    """Equal results for `count` frames."""
    return [Shown(object_id, state, **fields)] * count


def mask_of(object_id: int, size: tuple[int, int] = SIZE) -> Mask:
    """(H, W) bool: another place for every object."""
    out = np.zeros((size[1], size[0]), np.uint8)
    cv2.circle(out, (14 + 12 * (object_id % 4), 24), 6 + object_id % 3, 1, -1)
    return out > 0


def image_of(number: int, size: tuple[int, int] = SIZE) -> Image:
    """Grey that grows lighter from frame to frame."""
    return np.full((size[1], size[0], 3), 20 + number % 200, np.uint8)


def frame_of(
    number: int, *, index: int | None = None, jpeg: bool = True, draw: Callable[[int], Image] = image_of
) -> Frame:
    """The `number`th frame, 25 a second."""
    image, at_ns = draw(number), BEGIN_NS + number * STEP_NS
    packed = cv2.imencode(".jpg", image)[1].tobytes() if jpeg else None
    return Frame(image, number if index is None else index, 100 + number / 25, at_ns, at_ns + 3_000_000, packed)


def message_of(frame: Frame, shown: Shown, seq: int) -> MaskMessage:
    """The mask message of a frame."""
    object_id = shown.object or 0
    sample_ns = frame.captured_ns - 6_000_000
    return MaskMessage(
        FrameRef(frame.index, frame.timestamp, *frame.size), KeyframeRef(frame.index - 2, frame.timestamp - 0.08),
        GazeRef(frame.timestamp - 0.01, 14 + 12 * (object_id % 4), 24.0, 0.9, 5.0), 4.0, object_id, shown.state,
        shown.score, shown.confidence, None if shown.state == "lost" else mask_of(object_id),
        TimingNs(sample_ns + 1_000_000, frame.received_ns, frame.received_ns, frame.received_ns + 5_000_000),
        label=RecognizedName(shown.recognized, 0.7) if shown.recognized else None,
        confirmed=shown.confirmed, stream="test", seq=seq, published_ns=frame.received_ns + 17_000_000,
    )  # fmt: skip


def record(
    path: Path, shown: Sequence[Shown], *, restart_at: int | None = None, jpeg: bool = True,
    about: RecordingInfo = ABOUT, every: int = 10, cut: bool = False, draw: Callable[[int], Image] = image_of,
) -> Path:  # fmt: skip
    """Write a frame for each, its mask two frames later as in a run, four gaze samples to a frame, health every second.

    restart_at: frame from which on indices restart. every: frames to a chunk. cut: leave out the file's end.
    draw: the picture of a frame.
    """
    file = RecordingFile(path, about)
    late: list[tuple[Frame, Shown, int]] = []
    for number, one in enumerate(shown):
        index = number - restart_at if restart_at is not None and number >= restart_at else number
        frame = frame_of(number, index=index, jpeg=jpeg, draw=draw)
        file.write_message(FRAME, frame.received_ns + WALL_NS, pack_frame(frame, False, 90))
        for part in range(4):
            at_ns = frame.captured_ns - 6_000_000 + part * 10_000_000
            xy = (14 + 12 * ((one.object or 0) % 4)) / SIZE[0], 0.5
            sample = GazeSample(*xy, "norm", 0.9, at_ns / 1e9, at_ns, at_ns + 1_000_000)
            file.write_message(GAZE, sample.received_ns + WALL_NS, pack_sample(sample))
        late.append((frame, one, number))
        if len(late) > 2:
            _publish(file, *late.pop(0))
        if number % 25 == 24:
            file.write_message("health", frame.received_ns + WALL_NS, pack(_health(number, frame.received_ns)))
        if number % every == every - 1:
            file.flush()
    for rest in late:
        _publish(file, *rest)
    if cut:
        file.flush()
        file.abandon()
    else:
        file.close()
    return path


def find_visits(recording: RecordingReader, labels: LabelFile) -> list[Visit]:
    """All visits in order, to dropped objects too."""
    return list(detect_visits(read_events(recording, (GAZE, "mask")), recording.about, labels))


def find_objects(recording: RecordingReader, labels: LabelFile) -> list[VisitedObject]:
    """The objects in the order of their first visits."""
    return group_by_object(find_visits(recording, labels))


def damage(path: Path, chunk: int = 2) -> None:
    """Invert a byte of a chunk."""
    place = RecordingReader(path)._chunks[chunk]
    raw = bytearray(path.read_bytes())
    raw[place.at + place.length // 2] ^= 0xFF
    path.write_bytes(raw)


def _publish(file: RecordingFile, frame: Frame, shown: Shown, number: int) -> None:
    if shown.object is not None:
        message = message_of(frame, shown, number)
        head = {"v": 1, "stream": "test", "seq": number, "published_ns": message.published_ns}
        file.write_message("mask", message.published_ns + WALL_NS, pack({**head, **message.to_fields()}))


def _health(number: int, at_ns: int) -> dict[str, object]:
    seq = number // 25
    message = HealthMessage(
        "running", "", {"frames": 25.0, "masks": 24.0, "gaze": 100.0}, {}, {"frames.superseded": seq}, 100.0, {}
    )
    return {"v": 1, "stream": "test", "seq": seq, "published_ns": at_ns, **message.to_fields()}
