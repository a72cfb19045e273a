"""Writes a recording while a run goes on: everything is handed over at once, and written on a thread of its own.

The run never waits for the disk. Pictures that the disk is too slow for are lost and counted; when it is full or gone,
the recording ends with what it has, and the run goes on.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from realtime.config.recording import RecordSettings
from realtime.errors import RecordingError
from realtime.infra.threads import lower_priority
from realtime.pipeline.tracker_log import TrackerCall
from realtime.recording.format import (
    FRAME,
    GAZE,
    TRACKER_CALL,
    RecordingInfo,
    pack_frame,
    pack_sample,
    pack_tracker_call,
)
from realtime.recording.writer import RecordingFile
from realtime.types import Frame, GazeSample

log = logging.getLogger(__name__)
FLUSH_NS, SYNC_NS = 500_000_000, 1_000_000_000
MAX_QUEUED_BYTES = 192 << 20
"""Pictures that wait for the disk; two seconds of 1280 x 720 that did not come as JPEG."""
MAX_QUEUED_ITEMS = 50_000
CLOSE_S = 5.0
NICE = 5


@dataclass(frozen=True, slots=True)
class _QueuedItem:
    topic: str
    at_ns: int
    value: Frame | GazeSample | TrackerCall | bytes
    bytes: int = 0


class RecordingThread:
    """One recording from `__init__` to `close`. Whatever is handed over is taken at once; any thread."""

    def __init__(
        self,
        path: Path,
        about: RecordingInfo,
        settings: RecordSettings,
        clock_ns: Callable[[], int],
        on_failure: Callable[[str], None] = lambda reason: None,
    ) -> None:
        """Create the file; raises `RecordingError`. on_failure: told, once, why it cannot go on, on its own thread."""
        self.path = path
        self.failure = ""
        self._about, self._settings, self._clock_ns, self._on_failure = about, settings, clock_ns, on_failure
        self._file = RecordingFile(path, about)
        self._wake = threading.Condition()
        self._items: deque[_QueuedItem] = deque()
        self._bytes = 0
        self._lost: Counter[str] = Counter()
        self._ending = False
        self._flushed_ns = self._synced_ns = self._began_ns = clock_ns()
        self._thread = threading.Thread(target=self._work, name="gazecast-recorder", daemon=True)
        self._thread.start()

    def put_frame(self, frame: Frame) -> None:
        """A frame as it came."""
        size = len(frame.jpeg) if frame.jpeg is not None else frame.image.nbytes
        self._put(_QueuedItem(FRAME, frame.received_ns, frame, size))

    def put_sample(self, sample: GazeSample) -> None:
        """A look as it came."""
        # Where a clip's own time counts, looks are received in it, and frames are not.
        at_ns = self._clock_ns() if self._about.frame_time else sample.received_ns
        self._put(_QueuedItem(GAZE, at_ns, sample))

    def put_tracker_call(self, turn: TrackerCall) -> None:
        """What the loop did."""
        self._put(_QueuedItem(TRACKER_CALL, self._clock_ns(), turn))

    def put_message(self, topic: str, payload: bytes) -> None:
        """What was published."""
        if topic != "overlay" or self._settings.overlays:
            self._put(_QueuedItem(topic, self._clock_ns(), payload, len(payload) if topic == "overlay" else 0))

    def update_info(self, **changes: Any) -> None:
        """Learn more about the run, such as its engine; fields of `RecordingInfo`."""
        self._put(_QueuedItem("", 0, b""), changes)

    @property
    def drop_counts(self) -> dict[str, int]:
        """What the disk was too slow for, by topic."""
        with self._wake:
            return dict(self._lost)

    @property
    def elapsed_s(self) -> float:
        """How long it has been going."""
        return (self._clock_ns() - self._began_ns) / 1e9

    def close(self) -> None:
        """Write what waits, end the file; within `CLOSE_S`. Twice is fine."""
        with self._wake:
            self._ending = True
            self._wake.notify_all()
        self._thread.join(CLOSE_S)

    def _put(self, item: _QueuedItem, about: dict[str, Any] | None = None) -> None:
        with self._wake:
            if self._ending or self.failure:
                return
            if about:
                self._about = replace(self._about, **about)
            if self._about.frame_time:  # time does not press, so that nothing need be lost
                self._wake.wait_for(lambda: self._has_room(item) or self._ending or bool(self.failure))
            if not self._has_room(item):
                self._lost[item.topic] += 1
                return
            self._bytes += item.bytes
            self._items.append(item)
            self._wake.notify_all()

    def _has_room(self, item: _QueuedItem) -> bool:
        return len(self._items) < MAX_QUEUED_ITEMS and (not self._items or self._bytes + item.bytes <= MAX_QUEUED_BYTES)

    # -- the recorder's thread ----------------------------------------------------------------------------------------

    def _work(self) -> None:
        lower_priority(NICE)  # a picture that is written later is not seen later
        try:
            while self._write_next():
                pass
            self._file.close()
        except Exception as error:
            said = getattr(error, "strerror", None) or str(error) or type(error).__name__
            self._file.abandon()
            with self._wake:
                self._items.clear()
                self._bytes = 0
                self._wake.notify_all()
                self.failure = f"the recording has stopped after {self.elapsed_s:.0f} s, {self.path}: {said}"
            log.warning("%s", self.failure, exc_info=log.isEnabledFor(logging.DEBUG))
            self._on_failure(self.failure)

    def _write_next(self) -> bool:
        """Write what waits; False at the end."""
        with self._wake:
            left_s = max(0.0, (self._flushed_ns + FLUSH_NS - self._clock_ns()) / 1e9)
            self._wake.wait_for(lambda: bool(self._items) or self._ending, left_s)
            item = self._items.popleft() if self._items else None
            if item is not None:
                self._bytes -= item.bytes
                self._wake.notify_all()
            ended = self._ending and item is None
        if item is not None:
            self._write(item)
        now_ns = self._clock_ns()
        if now_ns - self._flushed_ns >= FLUSH_NS:
            self._file.flush()
            self._flushed_ns = now_ns
            if now_ns - self._synced_ns >= SYNC_NS:
                self._file.sync()
                self._synced_ns = self._clock_ns()
        return not ended

    def _write(self, item: _QueuedItem) -> None:
        value = item.value
        if not item.topic:
            self._file.write_info(self._about)
            return
        if isinstance(value, Frame):
            try:
                data = pack_frame(value, self._settings.frames == "jpeg", self._settings.jpeg_quality)
            except RecordingError as error:
                log.warning("%s", error)
                with self._wake:
                    self._lost[item.topic] += 1
                return
        elif isinstance(value, GazeSample):
            data = pack_sample(value)
        elif isinstance(value, TrackerCall):
            data = pack_tracker_call(value)
        else:
            data = value
        self._file.write_message(item.topic, item.at_ns + self._about.wall_ns, data)
