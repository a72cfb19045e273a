"""Reads and appends to the file of a recording's corrections; every event is on the disk before `append` returns."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from realtime.correction.events import VERSION, BeginEvent, CorrectionEvent, ReviewEvent
from realtime.errors import RecordingError

_DECODER = msgspec.json.Decoder(ReviewEvent)
_ENCODER = msgspec.json.Encoder()


def corrections_path(recording: Path) -> Path:
    """Return the path of a recording's corrections: NAME.corrections.jsonl beside NAME.mcap."""
    return recording.with_suffix(".corrections.jsonl")


class CorrectionJournal:
    """The file of a recording's corrections. One thread; other programs may append too.

    A last line without its end was cut off while it was written: it is ignored, and removed by the next append.
    """

    def __init__(self, recording: Path, program: str = "") -> None:
        """program: named in a new file."""
        self.path, self._recording, self._program = corrections_path(recording), recording, program
        self._read_bytes = self._lines = self.last = 0

    def read_new(self) -> list[ReviewEvent]:
        """Read the events since the last call, also those of other programs; raises `RecordingError`."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._read_bytes)
                data = file.read()
        except FileNotFoundError:
            if self._read_bytes:
                raise RecordingError(f"{self.path} was removed while it was in use") from None
            return []
        except OSError as error:
            raise RecordingError(f"cannot read {self.path}: {error.strerror or error}") from None
        whole = data[: data.rfind(b"\n") + 1]
        events = [self._decode(line, number) for number, line in enumerate(whole.splitlines(), self._lines + 1)]
        self._read_bytes += len(whole)
        self._lines += whole.count(b"\n")
        self.last = max([self.last, *(event.n for event in events)])
        return events

    def append(self, events: Sequence[ReviewEvent]) -> list[ReviewEvent]:
        """Number, date and write events after `read_new`, all or none; raises `RecordingError`.

        Several corrections at once are one group. Returns them as written.
        """
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        begin = BeginEvent(version=VERSION, recording=self._recording.name, program=self._program)
        first: list[ReviewEvent] = [] if self._read_bytes else [begin]
        group = self.last + len(first) + 1 if len(events) > 1 else 0
        numbered: list[ReviewEvent] = []
        for number, event in enumerate((*first, *events), self.last + 1):
            changes: dict[str, Any] = {"n": number, "at": at}
            if isinstance(event, CorrectionEvent):
                changes["group"] = group
            numbered.append(msgspec.structs.replace(event, **changes))
        data = b"".join(_ENCODER.encode(event) + b"\n" for event in numbered)
        try:
            self._write(data)
        except OSError as error:
            raise RecordingError(f"cannot write the corrections {self.path}: {error.strerror or error}") from None
        self._read_bytes += len(data)
        self._lines += len(numbered)
        self.last = numbered[-1].n
        return numbered[len(first) :]

    def _write(self, data: bytes) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.ftruncate(descriptor, self._read_bytes)
            os.lseek(descriptor, self._read_bytes, os.SEEK_SET)
            try:
                with os.fdopen(os.dup(descriptor), "wb") as file:
                    file.write(data)
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, self._read_bytes)  # part of a line may have been written
                raise
        finally:
            os.close(descriptor)

    def _decode(self, line: bytes, number: int) -> ReviewEvent:
        try:
            event: ReviewEvent = _DECODER.decode(line)
        except msgspec.MsgspecError as error:
            raise RecordingError(
                f"line {number} of {self.path} cannot be read: {error}; mend it or remove it"
            ) from None
        if isinstance(event, BeginEvent) and event.version != VERSION:
            raise RecordingError(f"{self.path} is of version {event.version}; this program reads {VERSION}")
        return event
