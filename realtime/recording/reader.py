"""Reads recordings, whole ones and such as were cut off by a kill, a full disk or a pulled plug.

A file is gone through by the heads of its records, which needs neither an index nor an end; then chunk by chunk.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Chunk, Message, Metadata
from mcap.stream_reader import get_chunk_data_stream

from realtime.comms.messages import MaskMessage, read_message
from realtime.errors import RecordingError, WireError
from realtime.pipeline.tracker_log import TrackerCall
from realtime.recording.format import (
    FRAME,
    GAZE,
    TRACKER_CALL,
    RecordedFrame,
    RecordingInfo,
    read_frame,
    read_sample,
    read_tracker_call,
)
from realtime.recording.writer import INFO_METADATA, TOPICS_METADATA
from realtime.types import GazeSample

MAGIC = b"\x89MCAP0\r\n"
MAX_CHUNK_BYTES = 1 << 28
"""A chunk ends with the message that makes it large, and no message is larger than this by far."""
_HEAD = struct.Struct("<BQ")


@dataclass(frozen=True, slots=True)
class RecordingEntry:
    """A message as it lies in the file. log_ns: wall clock."""

    topic: str
    log_ns: int
    data: bytes


@dataclass(frozen=True, slots=True)
class _ChunkPlace:
    """A chunk: where its record's content lies, and the wall-clock times of its first and last message."""

    at: int
    length: int
    start_ns: int
    end_ns: int


class RecordingReader:
    """A recording on disk. Each iterator opens the file anew, so that several may run.

    complete: whether the file has its end; else it was cut off, and holds what was flushed before.
    """

    def __init__(self, path: Path) -> None:
        """Look through the file; raises `RecordingError` where there is none, or nothing of use in it."""
        self.path = path
        self.damaged = 0
        self.complete = False
        self._channels: dict[int, str] = {}
        self._chunks: list[_ChunkPlace] = []
        said: dict[str, str] | None = None
        try:
            with path.open("rb") as file:
                said = self._scan_records(file)
        except OSError as error:
            raise RecordingError(f"cannot read {path}: {error.strerror or error}") from None
        if said is None:
            raise RecordingError(f"{path} is no recording of gazecast, or was cut off before it began")
        try:
            self.about = RecordingInfo.from_fields(said)
        except RecordingError as error:
            raise RecordingError(f"{path}: {error}") from None
        if not self._chunks:
            why = "ended before anything came" if self.complete else "cut off within its first half second"
            raise RecordingError(f"{path} holds nothing: it was {why}")

    @property
    def topics(self) -> frozenset[str]:
        """What it has, or had, messages of."""
        return frozenset(self._channels.values())

    @property
    def span_ns(self) -> tuple[int, int]:
        """Wall-clock times of the first and the last message."""
        return min(place.start_ns for place in self._chunks), max(place.end_ns for place in self._chunks)

    def read_entries(
        self, topics: Collection[str] | None = None, *, from_ns: int | None = None, to_ns: int | None = None
    ) -> Iterator[RecordingEntry]:
        """Messages in the order in which they were recorded, of these topics and wall-clock times.

        A chunk that is damaged is passed over and counted in `damaged`.
        """
        self.damaged = 0
        with self.path.open("rb") as file:
            for place in self._chunks:
                if (from_ns is not None and place.end_ns < from_ns) or (to_ns is not None and place.start_ns > to_ns):
                    continue
                for entry in self._read_chunk(file, place):
                    early = from_ns is not None and entry.log_ns < from_ns
                    if early or (to_ns is not None and entry.log_ns > to_ns):
                        continue
                    if topics is None or entry.topic in topics:
                        yield entry

    def read_frames(self, *, from_ns: int | None = None, to_ns: int | None = None) -> Iterator[RecordedFrame]:
        """The frames as they came, pictures still packed."""
        for entry in self.read_entries((FRAME,), from_ns=from_ns, to_ns=to_ns):
            yield read_frame(entry.data)

    def read_samples(self) -> Iterator[GazeSample]:
        """The looks as they came."""
        for entry in self.read_entries((GAZE,)):
            yield read_sample(entry.data)

    def read_tracker_calls(self) -> Iterator[TrackerCall]:
        """What the loop did."""
        for entry in self.read_entries((TRACKER_CALL,)):
            yield read_tracker_call(entry.data)

    def read_masks(self) -> Iterator[MaskMessage]:
        """The masks as they were published; raises `RecordingError` for one that cannot be read."""
        for entry in self.read_entries(("mask",)):
            yield self.read_mask(entry)

    def read_mask(self, entry: RecordingEntry) -> MaskMessage:
        """Read one of them."""
        try:
            message = read_message("mask", entry.data)
        except WireError as error:
            raise RecordingError(f"{self.path}: {error}") from None
        assert isinstance(message, MaskMessage)
        return message

    # -- the file -----------------------------------------------------------------------------------------------------

    def _scan_records(self, file: BinaryIO) -> dict[str, str] | None:
        """Find the chunks, the topics and what the recording says of itself, last."""
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        said: dict[str, str] | None = None
        if file.read(len(MAGIC)) != MAGIC:
            return None
        at = len(MAGIC)
        while at + _HEAD.size <= size:
            file.seek(at)
            kind, length = _HEAD.unpack(file.read(_HEAD.size))
            at += _HEAD.size
            if at + length > size:
                break
            if kind == Opcode.CHUNK and 40 <= length <= MAX_CHUNK_BYTES:
                self._chunks.append(_ChunkPlace(at, length, *struct.unpack("<QQ", file.read(16))))
            elif kind == Opcode.METADATA and length <= 1 << 24:
                said = self._read_metadata(file.read(length)) or said
            elif kind == Opcode.FOOTER:
                self.complete = True
                break
            at += length
        return said

    def _read_metadata(self, content: bytes) -> dict[str, str] | None:
        """What the recording says of itself, if that is what it is; topics are kept."""
        try:
            metadata = Metadata.read(ReadDataStream(io.BytesIO(content)))
        except (McapError, ValueError, struct.error):
            return None
        if metadata.name == TOPICS_METADATA:
            self._channels.update(
                {int(number): topic for number, topic in metadata.metadata.items() if number.isdecimal()}
            )
        return dict(metadata.metadata) if metadata.name == INFO_METADATA else None

    def _read_chunk(self, file: BinaryIO, place: _ChunkPlace) -> Iterator[RecordingEntry]:
        file.seek(place.at)
        try:
            chunk = Chunk.read(ReadDataStream(io.BytesIO(file.read(place.length))))
            records = _messages(chunk)
        # lz4 raises RuntimeError.
        except (McapError, zstandard.ZstdError, RuntimeError, ValueError, struct.error, MemoryError):
            self.damaged += 1
            return
        for record in records:
            if record.channel_id in self._channels:
                yield RecordingEntry(self._channels[record.channel_id], record.log_time, record.data)


def _messages(chunk: Chunk) -> list[Message]:
    """The messages of a chunk; raises for one that would unpack to more than it says, or holds what no chunk does."""
    packed = zstandard.frame_content_size(chunk.data) if chunk.compression == "zstd" else -1  # which is unknown
    if chunk.uncompressed_size > MAX_CHUNK_BYTES or packed not in (-1, chunk.uncompressed_size):
        raise ValueError(f"a chunk of {max(packed, chunk.uncompressed_size)} bytes")
    stream, length = get_chunk_data_stream(chunk, validate_crc=True)
    found = []
    while stream.count < length:
        kind, size = stream.read1(), stream.read8()
        if kind == Opcode.MESSAGE:
            found.append(Message.read(stream, size))
        elif kind in (Opcode.SCHEMA, Opcode.CHANNEL):
            stream.read(size)
        else:
            raise ValueError(f"a record of kind {kind} in a chunk")
    return found
