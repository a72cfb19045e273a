"""Plays a recorded clip as a source, on a clock that other sources can follow."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from engines import Image
from realtime.errors import SourceError
from realtime.infra.clock import now_ns
from realtime.sources.base import ThreadedFrames
from realtime.sources.video.video_reader import VideoFile
from realtime.types import Frame

MAX_DELAY_NS = 250_000_000
log = logging.getLogger(__name__)


class PlaybackClock:
    """A map from a clip's seconds to the host's clock; 0 is the first frame, repetitions count on.

    In real time, followers wait for `host_ns`. Else `followers` are called with the clip's seconds before each frame,
    on the player's thread, and must catch up before they return; and `host_ns` counts one second per clip second
    from the start, so that durations are those of the clip at any speed. Written by one thread, read by any.
    """

    def __init__(self, *, real_time: bool) -> None:
        self.real_time = real_time
        self.period_s: float | None = None
        self.passes = 1
        self.end_s: float | None = None
        self._anchor: tuple[float, int] | None = None
        self.followers: list[Callable[[float], None]] = []

    def set_anchor(self, clip_s: float, at_ns: int) -> None:
        """Map clip second `clip_s` to this host time."""
        self._anchor = clip_s, at_ns

    def advance(self, clip_s: float, at_ns: int) -> None:
        """Advance to `clip_s` and call the followers, when not in real time."""
        if self._anchor is None:
            self.set_anchor(clip_s, at_ns)
        for follower in self.followers:
            follower(clip_s)

    def host_ns(self, clip_s: float) -> int | None:
        """Return the host time of a clip second; None before the first frame."""
        if self._anchor is None:
            return None
        anchor_s, at_ns = self._anchor
        return at_ns + round((clip_s - anchor_s) * 1e9)

    def add_pass(self, period_s: float) -> None:
        """Add a repetition that starts `period_s` after the last start."""
        self.period_s, self.passes = period_s, self.passes + 1


class PlayedFrames(ThreadedFrames):
    """A base of `FrameSource`s that play recorded frames on their own clock.

    In real time each frame is published when it is due; a delay of more than 0.25 s shifts all later frames. Else
    frames follow each other as fast as `on_frame` returns, which may block. Subclasses implement `_run` with
    `_wait_until_due` and `_emit`, then `_finish`. `status().dropped` counts frames that could not be decoded.
    """

    is_live = False

    def __init__(self, name: str, size: tuple[int, int], *, real_time: bool) -> None:
        """size: (width, height) of the first frame, px."""
        super().__init__(f"opening {name}", "frames file")
        self.size, self.clock = size, PlaybackClock(real_time=real_time)

    def _wait_until_due(self, clip_s: float) -> bool:
        """Wait until that clip second; False when stopped."""
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
        received_ns = now_ns()
        captured_ns = self.clock.host_ns(captured_s) or received_ns
        if self.clock.real_time:
            captured_ns = min(received_ns, captured_ns)
        self._publish(Frame(image, index, timestamp, captured_ns, received_ns, jpeg))

    def _finish(self, end_s: float, reason: str) -> None:
        self.clock.end_s = end_s
        if not self.clock.real_time:
            self.clock.advance(end_s, now_ns())
        self._monitor.set_state("ended", reason)


class ReadableClip(Protocol):
    """A clip whose frames are read from the start, as often as it is repeated.

    size: (width, height) px.
    """

    path: Path
    size: tuple[int, int]
    fps: float
    duration_s: float | None

    @property
    def undecodable(self) -> int:
        """Number of frames that could not be decoded so far."""

    @property
    def is_incomplete(self) -> bool:
        """Whether it was cut off, as is known when it was read to its end."""

    def frames(self) -> Iterator[tuple[float, Image]]:
        """Yield (seconds since the first frame, (H, W, 3) BGR)."""


class VideoFrames(PlayedFrames):
    """A `FrameSource` that plays a video file or a folder of images; `captured_ns` is the due time."""

    def __init__(
        self, path: Path, *, loop: bool = False, real_time: bool = True, fps: float | None = None,
        hwaccel: str = "none", clip: ReadableClip | None = None,
    ) -> None:  # fmt: skip
        """fps: for folders. hwaccel: see `hardware.py`. clip: what is read in place of the file.

        Raises `SourceError` without a first frame.
        """
        self.path, self._loop = path, loop
        self._clip: ReadableClip = clip or VideoFile(path, fps=fps, hwaccel=hwaccel)
        self.fps, self.duration_s = self._clip.fps, self._clip.duration_s
        super().__init__(str(path), self._clip.size, real_time=real_time)

    def _run(self) -> None:
        start_s, index = 0.0, 0
        while True:
            last_s, counted = -1 / self._clip.fps, self._clip.undecodable
            for at_s, image in self._clip.frames():
                if not self._wait_until_due(start_s + at_s):
                    return
                self._emit(image, index, start_s + at_s, start_s + at_s)
                index, last_s = index + 1, at_s
            self._monitor.count_dropped("undecodable", self._clip.undecodable - counted)
            if last_s < 0:
                raise SourceError(f"{self.path} no longer has a picture that can be decoded")
            period_s = last_s + 1 / self._clip.fps
            if self._clip.is_incomplete and not start_s:
                log.warning("%s is incomplete: it was cut off, and is played to there, to %.1f s", self.path, period_s)
            if not self._loop:
                break
            start_s += period_s
            self.clock.add_pass(period_s)
        if self._clip.is_incomplete:
            reason = f"{self.path} is incomplete: it was cut off, and played to there, at {period_s:.1f} s"
        else:
            reason = f"{self.path} was played to its end"
        self._finish(start_s + period_s, f"{reason}, {index} frames")
