"""Writes the MCAP file of a recording. Only this module and `reader` know MCAP."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import IO, Any, cast

from mcap.writer import CompressionType, Writer

from realtime.config.recording import RecordSettings
from realtime.errors import RecordingError
from realtime.recording.encryption import SealingStream
from realtime.recording.format import RecordingInfo

CHUNK_BYTES = 4 << 20
INFO_METADATA, TOPICS_METADATA = "gazecast", "gazecast.topics"
"""Names of the metadata: the `RecordingInfo`, and the topics of the channels, so that damage to the chunk that
registers a channel does not make the other chunks unreadable."""


class RecordingFile:
    """An MCAP file that is whole up to its last `flush`, whatever happens. One thread."""

    def __init__(self, path: Path, about: RecordingInfo, settings: RecordSettings | None = None) -> None:
        """Create the file, for its user alone; raises `RecordingError`, also if it exists."""
        self.path = path
        settings = settings or RecordSettings()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = _SyncedStream(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            if not path.parent.is_dir():
                raise RecordingError(f"cannot record into {path}: {path.parent} is no folder") from None
            raise RecordingError(f"{path} exists; give the recording another name, or remove it first") from None
        except OSError as error:
            raise RecordingError(f"cannot record into {path}: {error.strerror or error}") from None
        self._sealed: SealingStream | None = None
        if settings.is_encrypted:
            try:
                stream = cast("IO[Any]", self._stream)
                self._sealed = SealingStream(stream, settings)
            except BaseException:
                os.close(self._stream.descriptor)
                path.unlink(missing_ok=True)
                raise
        # Pictures are compressed already; the rest is small and compresses well at any level.
        out = cast("IO[Any]", self._sealed or self._stream)
        self._writer = Writer(out, chunk_size=CHUNK_BYTES, compression=CompressionType.ZSTD)
        self._channels: dict[str, int] = {}
        self._flushed_size = 0
        try:
            self._writer.start(profile="gazecast", library=f"gazecast {about.program}")
            self.write_info(about)
        except BaseException as error:
            self.abandon()
            path.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise RecordingError(f"cannot record into {path}: {error.strerror or error}") from None
            raise

    def write_info(self, about: RecordingInfo) -> None:
        """Write the metadata; the newest counts. Raises `OSError` on a full disk."""
        self._writer.add_metadata(INFO_METADATA, about.to_fields())
        self._seal()

    def write_message(self, topic: str, log_ns: int, data: bytes) -> None:
        """Write a message; log_ns is wall-clock time. Raises `OSError` on a full disk."""
        channel = self._channels.get(topic)
        if channel is None:
            channel = self._channels[topic] = self._writer.register_channel(topic, "msgpack", 0)
            self._writer.add_metadata(TOPICS_METADATA, {str(number): name for name, number in self._channels.items()})
        self._writer.add_message(channel, log_ns, data, log_ns)

    def flush(self) -> None:
        """Complete the current chunk, so that it survives a kill of the process. Raises `OSError` on a full disk."""
        self._writer.flush()  # type: ignore[no-untyped-call]
        self._seal()

    def sync(self) -> None:
        """Sync the flushed data to the disk, so that it survives a power failure; `OSError` for a removed file."""
        os.fsync(self._stream.descriptor)
        if not os.fstat(self._stream.descriptor).st_nlink:
            raise OSError(errno.ENOENT, "the file was removed")

    def close(self) -> None:
        """Write the index and close. Raises `OSError` on a full disk."""
        self._writer.finish()  # type: ignore[no-untyped-call]
        self._seal()
        self.sync()
        os.close(self._stream.descriptor)

    def _seal(self) -> None:
        if self._sealed is not None:
            self._sealed.seal()
        self._flushed_size = self._stream.tell()

    def abandon(self) -> None:
        """Truncate to the last flush, and close; the rest is readable without an index."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._stream.descriptor, self._flushed_size)
        with contextlib.suppress(OSError):
            os.close(self._stream.descriptor)


class _SyncedStream:
    """An unbuffered file whose `write` writes all data or raises `OSError`."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._at = 0

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self.descriptor, rest) :]
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        """Do nothing; data are not buffered."""
