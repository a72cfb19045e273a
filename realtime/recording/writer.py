"""A recording's file while it is written. With `reader`, the only module that knows MCAP."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import IO, Any, cast

from mcap.writer import CompressionType, Writer

from realtime.errors import RecordingError
from realtime.recording.format import RecordingInfo

CHUNK_BYTES = 4 << 20
INFO_METADATA, TOPICS_METADATA = "gazecast", "gazecast.topics"
"""The names of the metadata: what a recording says of itself, and its channels' topics, as damage to one chunk must
not cost what the others hold."""


class RecordingFile:
    """An MCAP file that is whole up to its last `flush`, whatever happens. One thread."""

    def __init__(self, path: Path, about: RecordingInfo) -> None:
        """Create the file; raises `RecordingError`, also where there is one already."""
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = _SyncedStream(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
        except FileExistsError:
            if not path.parent.is_dir():
                raise RecordingError(f"cannot record into {path}: {path.parent} is no folder") from None
            raise RecordingError(f"{path} exists; give the recording another name, or remove it first") from None
        except OSError as error:
            raise RecordingError(f"cannot record into {path}: {error.strerror or error}") from None
        # Pictures are packed already; what is left for zstd is small and packs well at any level.
        self._writer = Writer(cast("IO[Any]", self._stream), chunk_size=CHUNK_BYTES, compression=CompressionType.ZSTD)
        self._channels: dict[str, int] = {}
        self._flushed_size = 0
        try:
            self._writer.start(profile="gazecast", library=f"gazecast {about.program}")
            self.write_info(about)
        except OSError as error:
            self.abandon()
            path.unlink(missing_ok=True)
            raise RecordingError(f"cannot record into {path}: {error.strerror or error}") from None

    def write_info(self, about: RecordingInfo) -> None:
        """Write what the recording says of itself; the last one counts. `OSError` when the disk is full."""
        self._writer.add_metadata(INFO_METADATA, about.to_fields())
        self._flushed_size = self._stream.tell()

    def write_message(self, topic: str, log_ns: int, data: bytes) -> None:
        """Add a message; log_ns is wall-clock time. `OSError` when the disk is full."""
        channel = self._channels.get(topic)
        if channel is None:
            channel = self._channels[topic] = self._writer.register_channel(topic, "msgpack", 0)
            self._writer.add_metadata(TOPICS_METADATA, {str(number): name for name, number in self._channels.items()})
        self._writer.add_message(channel, log_ns, data, log_ns)

    def flush(self) -> None:
        """Let what was put be whole in the file, also if this process is killed. `OSError` when the disk is full."""
        self._writer.flush()  # type: ignore[no-untyped-call]
        self._flushed_size = self._stream.tell()

    def sync(self) -> None:
        """Have the disk keep what was flushed, also if the power goes; `OSError` when the file was removed."""
        os.fsync(self._stream.descriptor)
        if not os.fstat(self._stream.descriptor).st_nlink:
            raise OSError(errno.ENOENT, "the file was removed")

    def close(self) -> None:
        """Write the index and close. `OSError` when the disk is full."""
        self._writer.finish()  # type: ignore[no-untyped-call]
        self.sync()
        os.close(self._stream.descriptor)

    def abandon(self) -> None:
        """Cut off what is not whole, and close: what there is can be read without an index."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._stream.descriptor, self._flushed_size)
        with contextlib.suppress(OSError):
            os.close(self._stream.descriptor)


class _SyncedStream:
    """An unbuffered file: what is written is in it, or an `OSError` is raised."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._at = 0

    def write(self, data: bytes) -> int:
        left = memoryview(data)
        while left:
            done = os.write(self.descriptor, left)
            self._at += done
            left = left[done:]
        return len(data)

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        """There is nothing to do."""
