"""A recording as a bag of ROS 2: one MCAP file, which `ros2 bag`, Foxglove and others open.

Profile ros2, schemas ros2msg, messages CDR, each channel with its type's hash, as rosbag2's own MCAP storage writes.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import TracebackType

from mcap.writer import CompressionType, Writer

from realtime.comms.messages import MaskMessage, OverlayMessage, read_message
from realtime.comms.object3d import Object3dMessage
from realtime.errors import RecordingError, WireError
from realtime.recording.format import FRAME, read_frame
from realtime.recording.labels import LabelFile
from realtime.recording.reader import RecordingEntry, RecordingReader
from realtime.robotics.ros2.convert import UNNAMED_CLASS
from realtime.robotics.ros2.message_types import check_rosbags, definition, type_hash
from realtime.robotics.ros2.topics import CAMERA_FRAME, TOPICS, MessageTranslator, OutgoingMessage, name_ros_topic

CHUNK_BYTES = 1 << 20
_MAX_REMEMBERED_FRAMES = 1024
"""Frames whose time of capture is known when their overlay comes."""
_BAG_TOPICS = (FRAME, "mask", "overlay", "object3d")


class BagWriter:
    """An MCAP file that is written; under its name only once it is whole. Use it in a `with` block."""

    def __init__(self, path: Path, stream: str) -> None:
        """Begin; raises `Ros2Error` where rosbags is missing, OSError from the disk."""
        check_rosbags()
        self._path, self._part, self._stream = path, path.with_name(f"{path.name}.part"), stream
        self._channels: dict[str, int] = {}
        self.counts: Counter[str] = Counter()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._part.open("wb")
        self._writer = Writer(self._file, chunk_size=CHUNK_BYTES, compression=CompressionType.ZSTD)
        self._writer.start(profile="ros2", library=f"gazecast {version('gazecast')}")

    def write(self, outgoing: OutgoingMessage, log_ns: int) -> None:
        """Add a message; log_ns: when it was recorded, wall clock."""
        channel = self._channels.get(outgoing.topic)
        if channel is None:
            channel = self._channels[outgoing.topic] = self._channel(outgoing.topic)
        self._writer.add_message(channel, log_ns, outgoing.cdr, log_ns, self.counts[outgoing.topic] & 0xFFFFFFFF)
        self.counts[outgoing.topic] += 1

    def _channel(self, topic: str) -> int:
        kind = TOPICS[topic]
        schema = self._writer.register_schema(kind, "ros2msg", definition(kind).encode())
        # Who plays the bag chooses the quality of service: there was no publisher to take it from.
        told = {"offered_qos_profiles": "[]", "topic_type_hash": type_hash(kind)}
        return self._writer.register_channel(name_ros_topic(self._stream, topic), "cdr", schema, told)

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Finish the file, or leave none."""
        try:
            if error is None:
                self._writer.finish()  # type: ignore[no-untyped-call]
            self._file.close()
            if error is None:
                self._part.replace(self._path)
        finally:
            with suppress(OSError):
                self._file.close()
            self._part.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class BagSummary:
    """What a bag holds. counts: messages by topic. undated: overlays of frames that the recording lacks, left out."""

    path: Path
    counts: Mapping[str, int]
    undated: int


def write_bag(
    recording: RecordingReader,
    out: Path,
    labels: LabelFile | None = None,
    told: Callable[[int], None] = lambda host_ns: None,
    *,
    camera_frame: str = CAMERA_FRAME,
) -> BagSummary:
    """Write a recording as a bag of ROS 2; objects whose label says so are left out, the others have theirs as class.

    told: is called with the host's time of every message, for progress; what it raises ends it, and leaves no file.
    camera_frame: where the recording does not say another. Raises `RecordingError`, `Ros2Error` and OSError.
    """
    labels, wall_ns = labels or LabelFile(), recording.about.wall_ns
    translator = MessageTranslator(
        wall_ns, camera_frame=camera_frame, name=lambda thing: labels.get_label(thing).text or UNNAMED_CLASS
    )
    if (first := next(_spatial(recording), None)) is not None:
        translator.camera, translator.camera_frame = first.camera, first.place.frame_id
    teller = _EntryTranslator(recording, translator, labels)
    with BagWriter(out, recording.about.stream) as bag:
        for entry in recording.read_entries(_BAG_TOPICS):
            told(entry.log_ns - wall_ns)
            for outgoing in teller.translate(entry):
                bag.write(outgoing, entry.log_ns)
    return BagSummary(out, dict(bag.counts), teller.undated)


class _EntryTranslator:
    """Says entries of a recording in ROS 2."""

    def __init__(self, recording: RecordingReader, translator: MessageTranslator, labels: LabelFile) -> None:
        self._recording, self._translator, self._labels = recording, translator, labels
        self._captured_ns: OrderedDict[int, int] = OrderedDict()
        self.undated = 0

    def translate(self, entry: RecordingEntry) -> Iterator[OutgoingMessage]:
        """What one entry is in ROS 2."""
        if entry.topic == FRAME:
            frame = read_frame(entry.data)
            self._captured_ns[frame.index] = frame.captured_ns
            if len(self._captured_ns) > _MAX_REMEMBERED_FRAMES:
                self._captured_ns.popitem(last=False)
            return self._translator.translate_image(frame.data, frame.format, frame.captured_ns)
        message = _read(self._recording, entry)
        if isinstance(message, OverlayMessage):
            if (captured_ns := self._captured_ns.get(message.frame.index)) is not None:
                return self._translator.translate_image(message.jpeg, "jpeg", captured_ns, "overlay/compressed")
            self.undated += 1
        elif self._labels.get_label(message.object).keep:
            if isinstance(message, MaskMessage):
                return self._translator.translate_mask(message)
            return self._translator.translate_object3d(message)
        return iter(())


def _spatial(recording: RecordingReader) -> Iterator[Object3dMessage]:
    if "object3d" in recording.topics:
        for entry in recording.read_entries(("object3d",)):
            message = _read(recording, entry)
            assert isinstance(message, Object3dMessage)
            yield message


def _read(recording: RecordingReader, entry: RecordingEntry) -> MaskMessage | OverlayMessage | Object3dMessage:
    try:
        message = read_message(entry.topic, entry.data)
    except WireError as error:
        raise RecordingError(f"{recording.path}: {error}") from None
    assert isinstance(message, MaskMessage | OverlayMessage | Object3dMessage)
    return message
