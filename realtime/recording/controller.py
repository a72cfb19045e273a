"""Where a run's recording is started and stopped while it goes on, and what hands it everything that happens."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from realtime.comms.messages import HealthMessage
from realtime.config.recording import RecordSettings
from realtime.errors import RecordingError
from realtime.media.files import free_name
from realtime.pipeline.control import UserCommand
from realtime.pipeline.observers import FrameResult, PipelineObserver
from realtime.pipeline.tracker_log import TrackerCall
from realtime.recording.format import RecordingInfo
from realtime.recording.recorder import RecordingThread
from realtime.types import Frame, GazeSample

SUFFIX = ".mcap"


class RecordingController(PipelineObserver):
    """At most one recording at a time; any thread. What comes while there is none goes by."""

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
        """`notice` is told what a user should know, `on_change` whether it records; `now` names files."""
        self._settings, self._about, self._clock_ns = settings, about, clock_ns
        self._notice, self._on_change, self._now = notice, on_change, now
        self._lock, self._obeying = threading.Lock(), threading.Lock()
        self._wanted = self._waiting = False
        self._recorder: RecordingThread | None = None
        self._begun = False
        self._lost: Counter[str] = Counter()
        self._trouble = ""

    @property
    def path(self) -> Path | None:
        """The file that is being written."""
        recorder = self._recorder
        return recorder.path if recorder is not None and not recorder.failure else None

    def start(self, file: Path | None = None) -> Path:
        """Begin; into `file`, or a new one of it if it is a folder or has no ending. Raises `RecordingError`."""
        with self._lock:
            if self.path is not None:
                return self.path
            now = self._now()
            path = self._settings.folder if file is None else file
            if file is None or path.is_dir() or not path.suffix:
                path = path / (free_name(path, f"gazecast-{now:%Y%m%d-%H%M%S}", SUFFIX) + SUFFIX)
            wall_ns = time.time_ns() - self._clock_ns()
            about = replace(self._about, started=now.isoformat(), wall_ns=wall_ns, from_start=not self._begun)
            self._recorder = RecordingThread(path, about, self._settings, self._clock_ns, self._failed)
            self._trouble = ""
        self._on_change(True)
        return path

    def stop(self) -> Path | None:
        """End the recording, if there is one; gives its file."""
        with self._lock:
            recorder, self._recorder = self._recorder, None
            if recorder is None:
                return None
            recorder.close()
            self._lost.update(recorder.drop_counts)
        self._on_change(False)
        return None if recorder.failure else recorder.path

    def on_frame(self, frame: Frame) -> None:
        """A frame came."""
        self._begun = True
        if (recorder := self._recorder) is not None:
            recorder.put_frame(frame)

    def on_gaze(self, sample: GazeSample) -> None:
        """A look came."""
        if (recorder := self._recorder) is not None:
            recorder.put_sample(sample)

    def on_tracker_call(self, turn: TrackerCall) -> None:
        """The loop did something."""
        if (recorder := self._recorder) is not None:
            recorder.put_tracker_call(turn)

    def on_message(self, topic: str, payload: bytes) -> None:
        """Something was published."""
        if (recorder := self._recorder) is not None:
            recorder.put_message(topic, payload)

    def on_health(self, health: HealthMessage) -> None:
        """Learn what engine the run has."""
        if not health.engine or health.engine == self._about.engine:
            return
        self._about = replace(self._about, engine=dict(health.engine))
        if (recorder := self._recorder) is not None:
            recorder.update_info(engine=dict(health.engine))

    def on_command(self, command: UserCommand, shown: FrameResult) -> None:
        """Start or stop at a user's wish, on a thread of its own: ending a file takes as long as the disk does."""
        if command.verb == "record":
            self._wanted = command.on
            if self._waiting:  # whoever waits already does what is wanted then, however often it was asked for
                return
            self._waiting = True
            threading.Thread(target=self._obey, name="gazecast-record", daemon=True).start()

    def close(self) -> None:
        """End the recording, and begin none for wishes that still wait."""
        with self._obeying:
            self._wanted = False
            self.stop()

    def drop_counts(self) -> dict[str, int]:
        """What the disk was too slow for, for `health`."""
        recorder, lost = self._recorder, Counter(self._lost)
        if recorder is not None:
            lost.update(recorder.drop_counts)
        return {f"record.{topic}": count for topic, count in lost.items()}

    def problem(self) -> str:
        """Why it no longer records; empty if nothing is wrong."""
        return self._trouble

    def _failed(self, reason: str) -> None:
        self._trouble = reason
        self._on_change(False)
        self._notice(reason)

    def _obey(self) -> None:
        with self._obeying:  # one after another; of wishes that overtake each other the last counts
            self._waiting = False
            try:
                if self._wanted:
                    self._notice(f"recording into {self.start()}")
                elif (path := self.stop()) is not None:
                    self._notice(f"saved {path}")
            except RecordingError as error:
                self._notice(str(error))
                self._on_change(False)
