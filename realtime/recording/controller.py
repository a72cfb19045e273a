"""Starts and stops the recording of a run, and passes it all data of the run."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from realtime.comms.messages import HealthMessage
from realtime.config.recording import RecordSettings
from realtime.errors import RecordingError
from realtime.files import find_free_name
from realtime.infra.heartbeat import Heartbeat
from realtime.pipeline.control import UserCommand
from realtime.pipeline.observers import FrameResult, PipelineObserver
from realtime.pipeline.tracker_log import TrackerCall
from realtime.recording.encryption import prepare_recipients
from realtime.recording.format import RecordingInfo
from realtime.recording.recorder import RecordingThread
from realtime.types import Frame, GazeSample

SUFFIX = ".mcap"


class RecordingController(PipelineObserver):
    """An observer that writes at most one recording at a time. Any thread.

    Data that arrive while no recording runs are ignored.
    """

    name = "record"

    def __init__(
        self,
        settings: RecordSettings,
        about: RecordingInfo,
        clock_ns: Callable[[], int],
        notice: Callable[[str], None] = lambda text: None,
        on_change: Callable[[bool], None] = lambda on: None,
        now: Callable[[], datetime] = lambda: datetime.now().astimezone(),
    ) -> None:
        """notice: receives texts for the user. on_change: receives whether it records. now: names the files.

        Raises `RecordingError` where recordings shall be encrypted and cannot be.
        """
        prepare_recipients(settings)
        self._settings, self._about, self._clock_ns = settings, about, clock_ns
        self._notice, self._on_change, self._now = notice, on_change, now
        self._lock, self._executing = threading.Lock(), threading.Lock()
        self._is_wanted = self._is_waiting = False
        self._recorder: RecordingThread | None = None
        self._has_frames = False
        self._dropped: Counter[str] = Counter()
        self._problem = ""

    @property
    def has_pictures(self) -> bool:
        """Whether frames are recorded with their pictures."""
        return self._about.pictures

    @property
    def path(self) -> Path | None:
        """The file being written; None without one."""
        recorder = self._recorder
        return recorder.path if recorder is not None and not recorder.failure else None

    def start(self, file: Path | None = None) -> Path:
        """Start recording into `file`, or into a new file in it; return the file.

        A new file is made if `file` is a folder or has no ending. A running recording continues.
        Raises `RecordingError`.
        """
        with self._lock:
            if self.path is not None:
                return self.path
            now = self._now()
            path = self._settings.folder if file is None else file
            if file is None or path.is_dir() or not path.suffix:
                path = path / (find_free_name(path, f"gazecast-{now:%Y%m%d-%H%M%S}", SUFFIX) + SUFFIX)
            wall_ns = time.time_ns() - self._clock_ns()
            about = replace(self._about, started=now.isoformat(), wall_ns=wall_ns, from_start=not self._has_frames)
            self._recorder = RecordingThread(path, about, self._settings, self._clock_ns, self._report_failure)
            self._problem = ""
        self._on_change(True)
        return path

    def stop(self) -> Path | None:
        """Stop the recording and return its file; None without one."""
        with self._lock:
            recorder, self._recorder = self._recorder, None
            if recorder is None:
                return None
            recorder.close()
            self._dropped.update(recorder.drop_counts)
        self._on_change(False)
        return None if recorder.failure else recorder.path

    def on_frame(self, frame: Frame) -> None:
        """Record a frame."""
        self._has_frames = True
        if (recorder := self._recorder) is not None:
            recorder.put_frame(frame)

    def on_gaze(self, sample: GazeSample) -> None:
        """Record a gaze sample."""
        if (recorder := self._recorder) is not None:
            recorder.put_sample(sample)

    def on_tracker_call(self, call: TrackerCall) -> None:
        """Record a tracker call."""
        if (recorder := self._recorder) is not None:
            recorder.put_tracker_call(call)

    def on_message(self, topic: str, payload: bytes) -> None:
        """Record a published message."""
        if (recorder := self._recorder) is not None:
            recorder.put_message(topic, payload)

    def on_health(self, health: HealthMessage) -> None:
        """Record the engine, known from the first health message with one."""
        if health.engine and health.engine != self._about.engine:
            self.update_info(engine=dict(health.engine))

    def update_info(self, **changes: Any) -> None:
        """Change fields of the `RecordingInfo` of this and later recordings."""
        self._about = replace(self._about, **changes)
        if (recorder := self._recorder) is not None:
            recorder.update_info(**changes)

    def on_command(self, command: UserCommand, result: FrameResult) -> None:
        """Start or stop on a user's command, on another thread, because ending a file waits for the disk."""
        if command.verb == "record":
            self._is_wanted = command.on
            if self._is_waiting:  # the waiting thread reads the newest wish
                return
            self._is_waiting = True
            threading.Thread(target=self._execute, name="gazecast-record", daemon=True).start()

    def close(self) -> None:
        """Stop the recording, and start none for commands that still wait."""
        with self._executing:
            self._is_wanted = False
            self.stop()

    def drop_counts(self) -> dict[str, int]:
        """Return the number of messages dropped because the disk was too slow, for `health`."""
        recorder = self._recorder
        dropped = self._dropped + Counter(recorder.drop_counts if recorder is not None else {})
        return {f"record.{topic}": count for topic, count in dropped.items()}

    def heartbeats(self) -> Sequence[Heartbeat]:
        """Return that of the thread that writes."""
        recorder = self._recorder
        return () if recorder is None else (recorder.heartbeat,)

    def problem(self) -> str:
        """Return why it stopped recording; empty without an error."""
        return self._problem

    def _report_failure(self, reason: str) -> None:
        self._problem = reason
        self._on_change(False)
        self._notice(reason)

    def _execute(self) -> None:
        with self._executing:  # one after another; only the newest wish counts
            self._is_waiting = False
            try:
                if self._is_wanted:
                    self._notice(f"recording into {self.start()}")
                elif (path := self.stop()) is not None:
                    self._notice(f"saved {path}")
            except RecordingError as error:
                self._notice(str(error))
                self._on_change(False)
