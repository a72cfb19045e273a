"""Writes a recording on its own thread, so that the run never waits for the disk.

Pictures that the disk is too slow for are dropped and counted. A full or removed disk ends the recording, not the run;
a lack of memory ends its file at most, and the recording continues in another one.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from realtime.config.recording import RecordSettings
from realtime.errors import RecordingError
from realtime.files import find_free_name
from realtime.infra.error_guard import describe_error
from realtime.infra.heartbeat import Heartbeat
from realtime.infra.threads import is_out_of_memory, lower_priority, run_to_end
from realtime.pipeline.tracker_log import TrackerCall
from realtime.recording.format import (
    FRAME,
    GAZE,
    TRACKER_CALL,
    RecordingInfo,
    pack_frame,
    pack_frame_without_picture,
    pack_sample,
    pack_tracker_call,
)
from realtime.recording.writer import RecordingFile
from realtime.types import Frame, GazeSample

log = logging.getLogger(__name__)
FLUSH_NS, SYNC_NS = 500_000_000, 1_000_000_000
MAX_QUEUED_BYTES = 192 << 20
"""Queued pictures; two seconds of 1280 x 720 that did not arrive as JPEG."""
MAX_QUEUED_ITEMS = 50_000
CLOSE_S = 5.0
DEADLINE_S = 3.0
"""The time that the disk may take for one message before `health` reports it."""
NICE = 5


@dataclass(frozen=True, slots=True)
class _QueuedItem:
    """A message to be packed on the recorder's thread; without a topic it stands for changed metadata."""

    topic: str
    at_ns: int
    pack: Callable[[], bytes]
    bytes: int = 0


class RecordingThread:
    """Writes one recording from `__init__` to `close`; every method returns at once, from any thread."""

    def __init__(
        self,
        path: Path,
        about: RecordingInfo,
        settings: RecordSettings,
        clock_ns: Callable[[], int],
        on_failure: Callable[[str], None] = lambda reason: None,
    ) -> None:
        """Create the file; raises `RecordingError`. on_failure: receives, once and on its thread, why it stopped."""
        self.path, self._name = path, path.stem
        self.failure = ""
        self.heartbeat = Heartbeat("recording", DEADLINE_S, "message")
        self._about, self._settings, self._clock_ns, self._on_failure = about, settings, clock_ns, on_failure
        self._file = RecordingFile(path, about, settings)
        self._wake = threading.Condition()
        self._items: deque[_QueuedItem] = deque()
        self._bytes = 0
        self._dropped: Counter[str] = Counter()
        self._ending = self._is_broken = False
        self._flushed_ns = self._synced_ns = self._began_ns = clock_ns()
        self._thread = threading.Thread(target=self._work, name="gazecast-recorder", daemon=True)
        self._thread.start()

    def put_frame(self, frame: Frame) -> None:
        """Queue a received frame."""
        if self._settings.frames == "none":
            self._put(_QueuedItem(FRAME, frame.received_ns, partial(pack_frame_without_picture, frame)))
            return
        size = len(frame.jpeg) if frame.jpeg is not None else frame.image.nbytes
        pack = partial(pack_frame, frame, self._settings.frames == "jpeg", self._settings.jpeg_quality)
        self._put(_QueuedItem(FRAME, frame.received_ns, pack, size))

    def put_sample(self, sample: GazeSample) -> None:
        """Queue a received gaze sample."""
        # With `frame_time`, samples are received in the clip's own time, and frames are not.
        at_ns = self._clock_ns() if self._about.frame_time else sample.received_ns
        self._put(_QueuedItem(GAZE, at_ns, partial(pack_sample, sample)))

    def put_tracker_call(self, call: TrackerCall) -> None:
        """Queue a tracker call."""
        self._put(_QueuedItem(TRACKER_CALL, self._clock_ns(), partial(pack_tracker_call, call)))

    def put_message(self, topic: str, payload: bytes) -> None:
        """Queue a published message."""
        if topic != "overlay" or (self._settings.overlays and self._settings.frames != "none"):
            size = len(payload) if topic == "overlay" else 0
            self._put(_QueuedItem(topic, self._clock_ns(), lambda: payload, size))

    def update_info(self, **changes: Any) -> None:
        """Change fields of the `RecordingInfo`, such as the engine."""
        self._put(_QueuedItem("", 0, bytes), changes)

    @property
    def drop_counts(self) -> dict[str, int]:
        """Messages dropped because the disk was too slow, by topic."""
        with self._wake:
            return dict(self._dropped)

    def close(self) -> None:
        """Write the queued messages and end the file, within `CLOSE_S`; safe to call twice."""
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
            if self._about.frame_time:  # the clip can wait for the disk, so nothing needs to be dropped
                self._wake.wait_for(lambda: self._has_room(item) or self._ending or bool(self.failure))
            if not self._has_room(item):
                self._dropped[item.topic] += 1
                return
            self._items.append(item)
            self._bytes += item.bytes
            self._wake.notify_all()

    def _has_room(self, item: _QueuedItem) -> bool:
        return len(self._items) < MAX_QUEUED_ITEMS and (not self._items or self._bytes + item.bytes <= MAX_QUEUED_BYTES)

    # -- the recorder's thread ----------------------------------------------------------------------------------------

    def _work(self) -> None:
        lower_priority(NICE)  # no reader waits for the file
        run_to_end(self._write_all, lambda: bool(self.failure), self._on_error)

    def _write_all(self) -> None:
        if self._is_broken:
            self._continue_in_another_file()
        while self._write_next():
            pass
        self._file.close()

    def _on_error(self, error: Exception) -> None:
        """End the recording, or without memory its file alone, whose last part was not written whole."""
        if not self._is_broken:
            self._is_broken = True
            self._file.abandon()
        if is_out_of_memory(error) and not self._ending:
            return
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        elapsed_s = (self._clock_ns() - self._began_ns) / 1e9
        with self._wake:
            self._items.clear()
            self._bytes = 0
            self._wake.notify_all()
            self.failure = f"the recording has stopped after {elapsed_s:.0f} s, {self.path}: {reason}"
        log.warning("%s", self.failure, exc_info=log.isEnabledFor(logging.DEBUG))
        self._on_failure(self.failure)

    def _continue_in_another_file(self) -> None:
        folder, ending = self.path.parent, self.path.suffix
        path = folder / (find_free_name(folder, self._name, ending) + ending)
        with self._wake:
            self._about = replace(self._about, from_start=False)
        self._file = RecordingFile(path, self._about, self._settings)
        self._is_broken = False
        log.warning("%s has ended for lack of memory; the recording continues in %s", self.path, path)
        self.path = path

    def _write_next(self) -> bool:
        """Write the next message, flush when due; False at the end."""
        with self._wake:
            left_s = max(0.0, (self._flushed_ns + FLUSH_NS - self._clock_ns()) / 1e9)
            self._wake.wait_for(lambda: bool(self._items) or self._ending, left_s)
            item = self._items.popleft() if self._items else None
            if item is not None:
                self._bytes -= item.bytes
                self._wake.notify_all()
            ended = self._ending and item is None
        with self.heartbeat.working():
            if item is not None:
                self._write(item)
            self._flush()
        return not ended

    def _flush(self) -> None:
        """Flush and sync the file when due."""
        now_ns = self._clock_ns()
        if now_ns - self._flushed_ns >= FLUSH_NS:
            self._file.flush()
            self._flushed_ns = now_ns
            if now_ns - self._synced_ns >= SYNC_NS:
                self._file.sync()
                self._synced_ns = self._clock_ns()

    def _write(self, item: _QueuedItem) -> None:
        if not item.topic:
            self._file.write_info(self._about)
            return
        try:
            data = item.pack()
        except Exception as error:
            if not (isinstance(error, RecordingError) or is_out_of_memory(error)):
                raise
            log.warning("%s", describe_error(error))
            with self._wake:
                self._dropped[item.topic] += 1
            return
        self._file.write_message(item.topic, item.at_ns + self._about.wall_ns, data)
