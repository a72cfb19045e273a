"""Frames and looks from a recording, as they came then: `recording:FILE`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from realtime.errors import RecordingError
from realtime.infra.clock import now_ns
from realtime.recording.format import RecordedFrame
from realtime.recording.reader import RecordingReader
from realtime.sources.synced_gaze import SyncedGaze
from realtime.sources.video_file import PlayedFrames
from realtime.types import GazeSample


class RecordedFrames(PlayedFrames):
    """A `FrameSource`: index and timestamp as they were, host times moved to now.

    In real time a frame is given as long after the first one as it was received then, and is as old as it was then.
    Else, and where the run itself went at any speed, its time is that at which it was captured.
    """

    def __init__(self, path: Path, *, real_time: bool = True) -> None:
        """Raises `RecordingError` unless a first frame can be read."""
        super().__init__(str(path), real_time=real_time)
        self.recording = RecordingReader(path)
        first = next(self.recording.read_frames(), None)
        if first is None:
            raise RecordingError(f"{path} holds no frames")
        self._by_capture = self.recording.about.frame_time or not real_time
        self._size = first.decode().size
        self._begins_ns = self.get_due_ns(first)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the first picture, px."""
        return self._size

    def get_due_ns(self, item: RecordedFrame | GazeSample) -> int:
        """When a frame or look is due, host time of then."""
        return item.captured_ns if self._by_capture else item.received_ns

    def to_seconds(self, then_ns: int) -> float:
        """Host time of then as seconds on its clock."""
        return (then_ns - self._begins_ns) / 1e9

    def _run(self) -> None:
        count, at_s = 0, 0.0
        for packed in self.recording.read_frames():
            try:
                frame = packed.decode()
            except RecordingError:
                self._monitor.count_dropped("undecodable")
                continue
            at_s = self.to_seconds(self.get_due_ns(packed))
            if not self._wait_until_due(at_s):
                return
            self._emit(frame.image, frame.index, frame.timestamp, self.to_seconds(packed.captured_ns), frame.jpeg)
            count += 1
        self._monitor.count_dropped("damaged chunks", self.recording.damaged)
        self._finish(at_s + 0.04, f"{self.recording.path} was played to its end, {count} frames")


class RecordedGaze(SyncedGaze):
    """A `GazeSource` that plays the looks of a recording along with its frames."""

    def __init__(self, frames: RecordedFrames) -> None:
        super().__init__(frames.clock, "waiting for the frames to begin")
        self._frames = frames
        self._samples: Iterator[GazeSample] = frames.recording.read_samples()
        self._next: GazeSample | None = None  # taken from the recording, and not yet due

    def _play(self) -> None:
        for sample in self._samples:
            at_s = self._frames.to_seconds(self._frames.get_due_ns(sample))
            if not self._wait(at_s):
                return
            self._emit(sample, at_s, now_ns())
        self._monitor.set_state("ended", "the recording has no more looks")

    def _wait(self, at_s: float) -> bool:
        """Wait until that second of the recording has come; False when stopped, or when the frames have ended."""
        while not self._stop.is_set():
            due_ns = self._clock.host_ns(at_s)
            if due_ns is not None and due_ns <= now_ns():
                return True
            if self._clock.end_s is not None and at_s > self._clock.end_s:
                return False
            self._stop.wait(0.01 if due_ns is None else min(0.05, max(0, due_ns - now_ns()) / 1e9))
        return False

    def _play_until(self, clip_s: float) -> None:
        """Give all that was captured by `clip_s`."""
        while not self._stop.is_set():
            sample = self._next or next(self._samples, None)
            if sample is None:
                self._monitor.set_state("ended", "the recording has no more looks")
                return
            at_s = self._frames.to_seconds(sample.captured_ns)
            self._next = sample if at_s > clip_s else None
            if self._next is not None:
                return
            self._emit(sample, at_s, None)

    def _emit(self, sample: GazeSample, at_s: float, received_ns: int | None) -> None:
        """received_ns: now; None where only the recording's own time counts."""
        due_ns = self._clock.host_ns(at_s) or now_ns()
        if received_ns is None:
            moved = replace(sample, captured_ns=due_ns, received_ns=due_ns)
        else:
            lag_ns = self._frames.get_due_ns(sample) - sample.captured_ns
            moved = replace(sample, captured_ns=min(received_ns, due_ns - lag_ns), received_ns=received_ns)
        self._monitor.count_received()
        self._monitor.set_state("running")
        self._on_gaze(moved)
