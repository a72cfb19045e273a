"""Plays a recorded clip as a source, and gives its clock to whoever plays along with it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

from engines import Image
from realtime.errors import SourceError
from realtime.infra.clock import now_ns
from realtime.sources.base import ThreadedSource
from realtime.sources.opencv_capture import VideoFile
from realtime.types import Frame, OnEvent, OnFrame, SourceStatus

MAX_DELAY_NS = 250_000_000


class PlaybackClock:
    """A clip's seconds (0 is its first frame, counting on when it is repeated) against the host's clock.

    In real time, whoever plays along asks `host_ns` and waits. Else followers are called before each frame and have
    until then to catch up, and `host_ns` goes on counting a second for each of the clip's, from its start, however fast
    it is played: what lasts half a second in the clip does so at any speed. Written by one thread, read by any.
    """

    def __init__(self, *, real_time: bool) -> None:
        self.real_time = real_time
        self.period_s: float | None = None
        self.passes = 1
        self.end_s: float | None = None
        self._anchor: tuple[float, int] | None = None
        self._followers: list[Callable[[float], None]] = []

    def add_follower(self, follower: Callable[[float], None]) -> None:
        """Have `follower(clip_s)` called on the player's thread, when not in real time."""
        self._followers.append(follower)

    def set_anchor(self, clip_s: float, at_ns: int) -> None:
        """Clip second `clip_s` is shown at this host time."""
        self._anchor = clip_s, at_ns

    def advance(self, clip_s: float, at_ns: int) -> None:
        """Not in real time: the clip has come to `clip_s`."""
        if self._anchor is None:
            self.set_anchor(clip_s, at_ns)
        for follower in self._followers:
            follower(clip_s)

    def host_ns(self, clip_s: float) -> int | None:
        """Host time of a clip second; None before the first frame."""
        if self._anchor is None:
            return None
        anchor_s, at_ns = self._anchor
        return at_ns + round((clip_s - anchor_s) * 1e9)

    def add_pass(self, period_s: float) -> None:
        """The clip will begin again `period_s` after it last began."""
        self.period_s, self.passes = period_s, self.passes + 1


class PlayedFrames(ThreadedSource):
    """A `FrameSource` that plays what was recorded before, on a clock of its own; what it plays is its heirs' to say.

    In real time each frame is given when its time has come; a reader that falls behind by more than 0.25 s makes it go
    slower. Else frames follow each other as fast as `on_frame` returns, which may block as long as it likes.
    """

    def __init__(self, name: str, *, real_time: bool) -> None:
        super().__init__(f"opening {name}")
        self.clock = PlaybackClock(real_time=real_time)
        self._on_frame: OnFrame = lambda frame: None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the first picture, px."""
        raise NotImplementedError

    def start(self, on_frame: OnFrame, on_event: OnEvent | None = None) -> None:
        """Begin to play; start gaze that plays along before this."""
        self._on_frame = on_frame
        self._start_threads(on_event, **{"frames file": self._play})

    def status(self) -> SourceStatus:
        """`dropped` counts pictures that could not be decoded."""
        return super().status()

    def _play(self) -> None:
        """Play to the end, with `_wait_until_due` and `_emit`, then `_finish`."""
        raise NotImplementedError

    def _wait_until_due(self, clip_s: float) -> bool:
        """Wait until that second has come; False when stopped."""
        if self.clock.real_time:
            due_ns = self.clock.host_ns(clip_s)
            if due_ns is None or now_ns() - due_ns > MAX_DELAY_NS:
                self.clock.set_anchor(clip_s, now_ns())
            elif self._stop.wait(max(0, due_ns - now_ns()) / 1e9):
                return False
        else:
            self.clock.advance(clip_s, now_ns())
        return not self._stop.is_set()

    def _emit(self, image: Image, index: int, timestamp: float, captured_s: float, jpeg: bytes | None = None) -> None:
        """Hand on a frame that is due."""
        received_ns = now_ns()
        captured_ns = self.clock.host_ns(captured_s) or received_ns
        if self.clock.real_time:
            captured_ns = min(received_ns, captured_ns)
        self._monitor.count_received()
        self._monitor.set_state("running")
        self._on_frame(Frame(image, index, timestamp, captured_ns, received_ns, jpeg))

    def _finish(self, end_s: float, said: str) -> None:
        self.clock.end_s = end_s
        if not self.clock.real_time:
            self.clock.advance(end_s, now_ns())
        self._monitor.set_state("ended", said)


class VideoFrames(PlayedFrames):
    """A `FrameSource` over a video file or a folder of pictures; `captured_ns` is when a frame's time had come."""

    def __init__(self, path: Path, *, loop: bool = False, real_time: bool = True, fps: float | None = None) -> None:
        """`fps` is for folders. `SourceError` unless a first picture can be read."""
        super().__init__(str(path), real_time=real_time)
        self._clip = VideoFile(path, fps=fps)
        self._loop = loop

    @property
    def fps(self) -> float:
        """Pictures a second, as the file says or as a folder is played."""
        return self._clip.fps

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the first picture, px."""
        return self._clip.size

    def _play(self) -> None:
        start_s, index = 0.0, 0
        for _ in itertools.count():
            last_s, before = -1 / self._clip.fps, self._clip.undecodable
            for at_s, image in self._clip.frames():
                if not self._wait_until_due(start_s + at_s):
                    return
                self._emit(image, index, start_s + at_s, start_s + at_s)
                index, last_s = index + 1, at_s
            self._monitor.count_dropped("undecodable", self._clip.undecodable - before)
            if last_s < 0:
                raise SourceError(f"{self._clip.path} no longer has a picture that can be decoded")
            period_s = last_s + 1 / self._clip.fps
            if not self._loop:
                break
            start_s += period_s
            self.clock.add_pass(period_s)
        self._finish(start_s + period_s, f"{self._clip.path} was played to its end, {index} frames")
