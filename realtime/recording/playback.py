"""Plays frames and gaze of a recording as sources: `recording:FILE`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from realtime.errors import RecordingError
from realtime.recording.format import RecordedFrame
from realtime.recording.reader import RecordingReader
from realtime.sources.synced_gaze import SyncedGaze
from realtime.sources.video.video_file import PlayedFrames
from realtime.types import GazeSample


class RecordedFrames(PlayedFrames):
    """A `FrameSource` that keeps indices and timestamps, and moves host times to the present.

    In real time frames keep the intervals at which they were received, and their ages. Else, and where the run itself
    was not in real time, they keep the intervals at which they were captured.
    """

    def __init__(self, path: Path, *, real_time: bool = True, identity: Path | None = None) -> None:
        """Raises `RecordingError` unless a first frame can be read. identity: as of `RecordingReader`."""
        self.recording = RecordingReader(path, identity)
        self.recording.check_pictures("segmented again")
        first = next(self.recording.read_frames(), None)
        if first is None:
            raise RecordingError(f"{path} holds no frames")
        self._by_capture = self.recording.about.frame_time or not real_time
        self._begins_ns = self.get_due_ns(first)
        super().__init__(str(path), first.decode().size, real_time=real_time)

    def get_due_ns(self, item: RecordedFrame | GazeSample) -> int:
        """Return the recorded host time at which a frame or gaze sample is due."""
        return item.captured_ns if self._by_capture else item.received_ns

    def to_seconds(self, recorded_ns: int) -> float:
        """Convert a recorded host time to seconds on the playback clock."""
        return (recorded_ns - self._begins_ns) / 1e9

    def _run(self) -> None:
        count, at_s = 0, 0.0
        for encoded in self.recording.read_frames():
            try:
                frame = encoded.decode()
            except RecordingError:
                self._monitor.count_dropped("undecodable")
                continue
            at_s = self.to_seconds(self.get_due_ns(encoded))
            if not self._wait_until_due(at_s):
                return
            self._emit(frame.image, frame.index, frame.timestamp, self.to_seconds(encoded.captured_ns), frame.jpeg)
            count += 1
        self._monitor.count_dropped("damaged chunks", self.recording.damaged)
        self._finish(at_s + 0.04, f"{self.recording.path} was played to its end, {count} frames")


class RecordedGaze(SyncedGaze):
    """A `GazeSource` that plays the gaze of a recording in sync with its frames."""

    def __init__(self, frames: RecordedFrames) -> None:
        super().__init__(frames.clock, "waiting for the frames to begin")
        self._frames = frames
        self._samples: Iterator[GazeSample] = frames.recording.read_samples()
        self._next: GazeSample | None = None

    def _due_s(self) -> float | None:
        self._next = self._next or next(self._samples, None)
        if self._next is None:
            self._monitor.set_state("ended", "the recording has no more gaze samples")
            return None
        due_s, end_s = self._frames.to_seconds(self._frames.get_due_ns(self._next)), self._clock.end_s
        return due_s if end_s is None or due_s <= end_s else None

    def _next_sample(self) -> tuple[GazeSample, int]:
        assert self._next is not None
        sample, self._next = self._next, None
        return sample, self._frames.get_due_ns(sample) - sample.captured_ns
