"""Writes a recording as a ROS 2 bag: one MCAP file, which `ros2 bag`, Foxglove and others open.

Profile ros2, schemas ros2msg, messages CDR, each channel with its type's hash, as rosbag2's own MCAP storage writes.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import IO

from mcap.writer import CompressionType, Writer

from realtime.comms.messages import MaskMessage, OverlayMessage, read_message
from realtime.comms.object3d import Object3dMessage
from realtime.errors import RecordingError, WireError
from realtime.recording.format import FRAME, read_frame
from realtime.recording.labels import LabelFile
from realtime.recording.reader import RecordingEntry, RecordingReader
from realtime.robotics.ros2.convert import UNNAMED_CLASS
from realtime.robotics.ros2.message_types import definition, load_types, type_hash
from realtime.robotics.ros2.topics import CAMERA_FRAME, TOPICS, MessageTranslator, OutgoingMessage, name_ros_topic

CHUNK_BYTES = 1 << 20
_MAX_REMEMBERED_FRAMES = 1024
"""Frames whose time of capture is remembered until their overlay comes."""
_BAG_TOPICS = (FRAME, "mask", "overlay", "object3d")


@dataclass(frozen=True, slots=True)
class BagSummary:
    """Holds the content of a bag. counts: messages by topic. undated: overlays without their frame, left out."""

    path: Path
    counts: Mapping[str, int]
    undated: int


def write_bag(
    recording: RecordingReader,
    out: Path,
    labels: LabelFile | None = None,
    report: Callable[[int], None] = lambda host_ns: None,
    *,
    camera_frame: str = CAMERA_FRAME,
    correct: Callable[[MaskMessage], MaskMessage] = lambda message: message,
) -> BagSummary:
    """Write a recording as a ROS 2 bag without the objects that are labelled as dropped; labels become classes.

    report: called with the host's time of every message, for progress; an exception in it ends the export without a
    file. camera_frame: used where the recording has none. correct: replaces corrected masks.
    Raises `RecordingError`, `Ros2Error` and OSError.
    """
    labels, wall_ns = labels or LabelFile(), recording.about.wall_ns
    translator = MessageTranslator(
        wall_ns, camera_frame=camera_frame, name_class=lambda number: labels.get_label(number).text or UNNAMED_CLASS
    )
    entries = recording.read_entries(("object3d",)) if "object3d" in recording.topics else iter(())
    if (first := next(entries, None)) is not None:
        message = _read(recording, first)
        assert isinstance(message, Object3dMessage)
        translator.camera, translator.camera_frame = message.camera, message.place.frame_id
    entry_translator = _EntryTranslator(recording, translator, labels, correct)
    with _open_bag(out, recording.about.stream) as bag:
        for entry in recording.read_entries(_BAG_TOPICS):
            report(entry.log_ns - wall_ns)
            for outgoing in entry_translator.translate(entry):
                bag.write(outgoing, entry.log_ns)
    return BagSummary(out, dict(bag.counts), entry_translator.undated)


class _EntryTranslator:
    """Translates entries of a recording into ROS 2 messages."""

    def __init__(
        self, recording: RecordingReader, translator: MessageTranslator, labels: LabelFile,
        correct: Callable[[MaskMessage], MaskMessage],
    ) -> None:  # fmt: skip
        self._recording, self._translator, self._labels, self._correct = recording, translator, labels, correct
        self._captured_ns: OrderedDict[int, int] = OrderedDict()
        self.undated = 0

    def translate(self, entry: RecordingEntry) -> Iterator[OutgoingMessage]:
        if entry.topic == FRAME:
            frame = read_frame(entry.data)
            self._captured_ns[frame.index] = frame.captured_ns
            if len(self._captured_ns) > _MAX_REMEMBERED_FRAMES:
                self._captured_ns.popitem(last=False)
            if not self._recording.about.pictures:
                return iter(())
            return self._translator.translate_image(frame.data, frame.format, frame.captured_ns)
        message = _read(self._recording, entry)
        if isinstance(message, OverlayMessage):
            if (captured_ns := self._captured_ns.get(message.frame.index)) is not None:
                return self._translator.translate_image(message.jpeg, "jpeg", captured_ns, "overlay/compressed")
            self.undated += 1
        elif self._labels.get_label(message.object).keep:
            if isinstance(message, MaskMessage):
                return self._translator.translate_mask(self._correct(message))
            return self._translator.translate_object3d(message)
        return iter(())


def _read(recording: RecordingReader, entry: RecordingEntry) -> MaskMessage | OverlayMessage | Object3dMessage:
    try:
        message = read_message(entry.topic, entry.data)
    except WireError as error:
        raise RecordingError(f"{recording.path}: {error}") from None
    assert isinstance(message, MaskMessage | OverlayMessage | Object3dMessage)
    return message


@contextmanager
def _open_bag(path: Path, stream: str) -> Iterator[_BagWriter]:
    """Open a bag that gets its name only once it is whole; raises `Ros2Error` without rosbags, OSError of the disk."""
    load_types()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            bag = _BagWriter(file, stream)
            yield bag
            bag.writer.finish()  # type: ignore[no-untyped-call]
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


class _BagWriter:
    def __init__(self, file: IO[bytes], stream: str) -> None:
        self._stream, self._channels, self.counts = stream, dict[str, int](), Counter[str]()
        self.writer = Writer(file, chunk_size=CHUNK_BYTES, compression=CompressionType.ZSTD)
        self.writer.start(profile="ros2", library=f"gazecast {version('gazecast')}")

    def write(self, outgoing: OutgoingMessage, log_ns: int) -> None:
        """Add a message; log_ns: when it was recorded, wall clock."""
        topic = outgoing.topic
        if topic not in self._channels:
            schema = self.writer.register_schema(TOPICS[topic], "ros2msg", definition(TOPICS[topic]).encode())
            # The player of the bag chooses the quality of service: there was no publisher to take it from.
            metadata = {"offered_qos_profiles": "[]", "topic_type_hash": type_hash(TOPICS[topic])}
            name = name_ros_topic(self._stream, topic)
            self._channels[topic] = self.writer.register_channel(name, "cdr", schema, metadata)
        sequence = self.counts[topic] & 0xFFFFFFFF
        self.writer.add_message(self._channels[topic], log_ns, outgoing.cdr, log_ns, sequence)
        self.counts[topic] += 1
