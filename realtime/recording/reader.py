"""Reads recordings, also those that were cut off by a kill, a full disk or a power failure.

The headers of the records are scanned, which needs neither an index nor an end of the file; then chunks are read, or
messages outside of chunks, as other tools write them.
"""

from __future__ import annotations

import io
import math
import re
import struct
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, Message, Metadata
from mcap.stream_reader import get_chunk_data_stream

from realtime.comms.envelope import unpack
from realtime.comms.messages import MaskMessage
from realtime.errors import RecordingError, WireError
from realtime.recording.encryption import DamagedBlock, open_recording_file
from realtime.recording.format import FRAME, GAZE, RecordedFrame, RecordingInfo, read_frame, read_sample
from realtime.recording.writer import INFO_METADATA, TOPICS_METADATA
from realtime.types import GazeSample

MAGIC = b"\x89MCAP0\r\n"
MAX_CHUNK_BYTES = 1 << 28
"""A chunk ends with the message that exceeds the chunk size, and every message is much smaller than this."""
LOOSE_BYTES = 1 << 20
"""Messages outside of chunks are read in pieces of this size."""
MAX_CHANNEL_BYTES = 1 << 20
_MESSAGE = struct.Struct("<HIQ")
"""A message's channel, sequence and log time."""
_HEADER = struct.Struct("<BQ")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RecordingEntry:
    """A message as stored in the file. log_ns: wall clock."""

    topic: str
    log_ns: int
    data: bytes


@dataclass(frozen=True, slots=True)
class _ChunkPlace:
    """The place of a chunk's content in the file, and the wall-clock times of its first and last message.

    loose: it is no chunk, but records of messages that follow each other.
    """

    at: int
    length: int
    start_ns: int
    end_ns: int
    loose: bool = False


class RecordingReader:
    """Reads a recording on disk. Each iterator opens the file anew, so that several may run.

    complete: whether the file has its end; else it was cut off, and holds everything that was flushed before.
    damaged: number of unreadable chunks in the last pass.
    """

    def __init__(self, path: Path, identity: Path | None = None) -> None:
        """Scan the file; raises `RecordingError` for a missing file, or one without chunks.

        identity: file that an encrypted recording is read with, as of `open_recording_file`.
        """
        self.path, self._identity = path, identity
        self.damaged = self._damaged_blocks = 0
        self.complete = False
        self._channels: dict[int, str] = {}
        self._chunks: list[_ChunkPlace] = []
        self._info: dict[str, str] | None = None
        try:
            with self._open() as file:
                info = self._scan_records(file)
        except OSError as error:
            raise RecordingError(f"cannot read {path}: {error.strerror or error}") from None
        if info is None:
            raise RecordingError(f"{path} is no recording of gazecast, or was cut off before it began")
        try:
            self.about = RecordingInfo.from_fields(info)
        except RecordingError as error:
            raise RecordingError(f"{path}: {error}") from None
        if not self._chunks:
            reason = "ended before any data arrived" if self.complete else "cut off within its first half second"
            raise RecordingError(f"{path} holds nothing: it was {reason}")

    def check_pictures(self, purpose: str) -> None:
        """Raise `RecordingError` for a recording without pictures; purpose: what it cannot be then."""
        if not self.about.pictures:
            raise RecordingError(
                f"{self.path} was recorded without pictures and cannot be {purpose}; review, plot, and export "
                "--csv and --video (masks on grey) work"
            )

    @property
    def topics(self) -> frozenset[str]:
        """Topics of its messages, unreadable ones included."""
        return frozenset(self._channels.values())

    @property
    def span_ns(self) -> tuple[int, int]:
        """Wall-clock times of the first and the last message, ns."""
        return min(place.start_ns for place in self._chunks), max(place.end_ns for place in self._chunks)

    def read_entries(
        self, topics: Collection[str] | None = None, *, from_ns: float = 0, to_ns: float = math.inf
    ) -> Iterator[RecordingEntry]:
        """Yield messages in the order of recording, of these topics and wall-clock times.

        A damaged chunk is skipped and counted in `damaged`.
        """
        self.damaged = self._damaged_blocks
        with self._open() as file:
            for place in self._chunks:
                if place.end_ns < from_ns or place.start_ns > to_ns:
                    continue
                for entry in self._read_chunk(file, place):
                    if from_ns <= entry.log_ns <= to_ns and (topics is None or entry.topic in topics):
                        yield entry

    def read_frames(self, *, from_ns: float = 0, to_ns: float = math.inf) -> Iterator[RecordedFrame]:
        """Yield the received frames, pictures still encoded."""
        for entry in self.read_entries((FRAME,), from_ns=from_ns, to_ns=to_ns):
            yield read_frame(entry.data)

    def read_samples(self) -> Iterator[GazeSample]:
        """Yield the received gaze samples."""
        for entry in self.read_entries((GAZE,)):
            yield read_sample(entry.data)

    def read_mask(self, entry: RecordingEntry) -> MaskMessage:
        """Read a published mask; raises `RecordingError`."""
        return self.read_message(entry, MaskMessage.from_fields)

    def read_message(self, entry: RecordingEntry, read: Callable[[dict[str, Any]], T]) -> T:
        """Read a published message; raises `RecordingError` where its bytes or `read` raise `WireError`."""
        try:
            return read(unpack(entry.data))
        except WireError as error:
            raise RecordingError(f"{self.path}: {entry.topic}: {error}") from None

    def _open(self) -> BinaryIO:
        try:
            return open_recording_file(self.path, self._identity)
        except RecordingError as error:
            raise RecordingError(f"{self.path}: {error}") from None

    def _scan_records(self, file: BinaryIO) -> dict[str, str] | None:
        """Find the chunks and topics; return the newest metadata."""
        size, at = file.seek(0, io.SEEK_END), 0
        while at + _HEADER.size <= size and not self.complete:
            file.seek(at)
            try:
                if at:
                    at = self._scan_record(file, at + _HEADER.size, size)
                elif file.read(len(MAGIC)) == MAGIC:
                    at = len(MAGIC)
                else:
                    return None
            except DamagedBlock as block:
                self._damaged_blocks += 1
                at = block.end
        return self._info

    def _scan_record(self, file: BinaryIO, at: int, size: int) -> int:
        """Scan the record whose header is next and whose content is at `at`; return where it ends."""
        kind, length = _HEADER.unpack(file.read(_HEADER.size))
        if at + length > size:
            return size
        if kind == Opcode.CHUNK and 40 <= length <= MAX_CHUNK_BYTES:
            self._chunks.append(_ChunkPlace(at, length, *struct.unpack("<QQ", file.read(16))))
        elif kind == Opcode.MESSAGE and length >= _MESSAGE.size:
            log_ns = _MESSAGE.unpack(file.read(_MESSAGE.size))[2]
            self._add_message(at - _HEADER.size, _HEADER.size + length, log_ns)
        elif kind == Opcode.CHANNEL and length <= MAX_CHANNEL_BYTES:
            self._read_channel(file.read(length))
        elif kind == Opcode.METADATA and length <= 1 << 24:
            self._info = self._read_metadata(file.read(length)) or self._info
        elif kind == Opcode.FOOTER:
            self.complete = True
        return int(at + length)

    def _add_message(self, at: int, length: int, log_ns: int) -> None:
        """Add a message outside of chunks to the place that ends where it begins, or to a new one."""
        last = self._chunks[-1] if self._chunks else None
        if last is None or not last.loose or last.at + last.length != at or last.length > LOOSE_BYTES:
            self._chunks.append(_ChunkPlace(at, length, log_ns, log_ns, loose=True))
            return
        start_ns, end_ns = min(last.start_ns, log_ns), max(last.end_ns, log_ns)
        self._chunks[-1] = _ChunkPlace(last.at, last.length + length, start_ns, end_ns, loose=True)

    def _read_channel(self, content: bytes) -> None:
        """Keep a channel's topic; a tool that rewrote the file may have given it another number than the metadata."""
        with suppress(McapError, ValueError, struct.error):
            channel = Channel.read(ReadDataStream(io.BytesIO(content)))
            self._channels[channel.id] = channel.topic

    def _read_metadata(self, content: bytes) -> dict[str, str] | None:
        """Return the recording's metadata; None for other metadata, of which the topics are kept."""
        try:
            metadata = Metadata.read(ReadDataStream(io.BytesIO(content)))
        except (McapError, ValueError, struct.error):
            return None
        if metadata.name == TOPICS_METADATA:
            topics = {
                int(number): topic for number, topic in metadata.metadata.items() if re.fullmatch(r"[0-9]{1,5}", number)
            }
            self._channels = topics | self._channels
        return dict(metadata.metadata) if metadata.name == INFO_METADATA else None

    def _read_chunk(self, file: BinaryIO, place: _ChunkPlace) -> Iterator[RecordingEntry]:
        try:
            file.seek(place.at)
            content = file.read(place.length)
            records = _read_records(*_open_loose(content) if place.loose else _open_chunk(content))
        # lz4 raises RuntimeError.
        except (
            McapError, zstandard.ZstdError, RuntimeError, ValueError, OverflowError, struct.error, MemoryError,
            DamagedBlock,
        ):  # fmt: skip
            self.damaged += 1
            return
        for record in records:
            if record.channel_id in self._channels:
                yield RecordingEntry(self._channels[record.channel_id], record.log_time, record.data)


def _open_loose(content: bytes) -> tuple[ReadDataStream, int]:
    return ReadDataStream(io.BytesIO(content)), len(content)


def _open_chunk(content: bytes) -> tuple[ReadDataStream, int]:
    """Unpack a chunk's records; raises for one larger than its header says."""
    chunk = Chunk.read(ReadDataStream(io.BytesIO(content)))
    packed = zstandard.frame_content_size(chunk.data) if chunk.compression == "zstd" else -1  # which is unknown
    if chunk.uncompressed_size > MAX_CHUNK_BYTES or packed not in (-1, chunk.uncompressed_size):
        raise ValueError(f"a chunk of {max(packed, chunk.uncompressed_size)} bytes")
    return get_chunk_data_stream(chunk, validate_crc=True)


def _read_records(stream: ReadDataStream, length: int) -> list[Message]:
    """Read the messages among records; raises for records that no chunk has."""
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
