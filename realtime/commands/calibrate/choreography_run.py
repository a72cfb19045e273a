"""Run a choreography against live or recorded sources, in a window or without one. A thin shell."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from calibration.gaze import GazeChoreography, TargetAdvice
from calibration.gaze.choreography import Role
from calibration.gaze.markers import find_marker_centres
from engines import Image
from realtime.errors import RunFailed, SettingsError
from realtime.infra.channels import BoundedQueue, Latest
from realtime.infra.clock import now_ns
from realtime.infra.interrupts import InterruptHandler
from realtime.infra.progress import ProgressReporter
from realtime.session.inputs import open_frames, open_gaze
from realtime.sources.video_file import VideoFrames
from realtime.types import Frame, FrameSource, GazeSample, GazeSource

WAIT_S = 0.03
MOST_TIMEOUT_S = 86_400.0
SILENT_S = 1.0
"""Without a picture for so long, it is said what the source waits for."""
STUCK_S = 3.0
"""Without a window a hint is said once it has stood for so long; those that come and go are no trouble."""
Key = Literal["repeat", "skip", "leave"]


@dataclass(frozen=True, slots=True)
class OperatorAction:
    """The wearer has looked at (x, y) px of the frame of `time_s` until then."""

    time_s: float
    x: float
    y: float
    role: Role


class TargetDisplay(Protocol):
    """What the wearer sees and can press."""

    def show(self, advice: TargetAdvice, frame: Frame | None) -> list[Key | OperatorAction]:
        """Show it, take a few milliseconds for that, and return what was pressed."""
        ...

    def close(self) -> None:
        """Leave the screen."""
        ...


class HeadlessDisplay:
    """Says how far it has come and what it waits for, and knows presses beforehand."""

    def __init__(
        self, progress: ProgressReporter, presses: tuple[OperatorAction, ...] = (), clock_ns: Callable[[], int] = now_ns
    ) -> None:
        self._progress, self._pending = progress, sorted(presses, key=lambda press: press.time_s)
        self._done_count, self._current_name = 0, ""
        self._clock_ns, self._since_ns, self._is_hint_reported = clock_ns, clock_ns(), False
        self._last_state: tuple[str, int, float] | tuple[()] = ()

    def show(self, advice: TargetAdvice, frame: Frame | None) -> list[Key | OperatorAction]:
        """Say which target was looked at, whenever one more is done, and what is in the way."""
        self._report_if_stuck(advice)
        if advice.done != self._done_count and frame is not None:
            self._progress.show_line(f"{advice.done}/{advice.total} {self._current_name}".rstrip())
            self._done_count = advice.done
        if advice.step is not None and advice.progress > 0:
            self._current_name = advice.step.name
        due: list[Key | OperatorAction] = []
        while self._pending and frame is not None and self._pending[0].time_s <= frame.timestamp:
            due.append(self._pending.pop(0))
        return due

    def _report_if_stuck(self, advice: TargetAdvice) -> None:
        standing = (advice.hint, advice.done, advice.progress) if advice.step is not None else ()
        now = self._clock_ns()
        if standing != self._last_state:
            self._last_state, self._is_hint_reported, self._since_ns = standing, False, now
        elif standing and not self._is_hint_reported and now - self._since_ns > STUCK_S * 1e9:
            self._is_hint_reported = True
            self._progress.show_line(advice.hint)

    def close(self) -> None:
        """There is no screen."""


@dataclass(frozen=True, slots=True, eq=False)
class GazeFeed:
    """What the pictures were: size (width, height) px, and one of them for the report."""

    size: tuple[int, int]
    picture: Image


def run_choreography(
    source: str,
    gaze: str,
    choreography: GazeChoreography,
    display: TargetDisplay,
    *,
    timeout_s: float,
    enough: int | None = None,
    check: Callable[[tuple[int, int]], object] = lambda size: None,
) -> GazeFeed:
    """Lead through the choreography until it is done, left, timed out, or the recording has ended.

    enough: stop after so many targets. check: called with the first frame's size; may raise. Raises `SourceError`,
    `SettingsError`, and `RunFailed` where no picture or no gaze came.
    """
    if not 0 < timeout_s <= MOST_TIMEOUT_S:
        raise SettingsError(f"--timeout must be above 0 and at most {MOST_TIMEOUT_S:g} seconds, got {timeout_s:g}")
    frames = open_frames(source)
    looks = open_gaze(_gaze_spec(source, gaze), frames)
    slot: Latest[Frame] = Latest()
    backlog: BoundedQueue[GazeSample] = BoundedQueue(20_000)
    run = _ChoreographyRun(choreography, display, backlog, enough, check)
    patient = isinstance(frames, VideoFrames) and not frames.clock.real_time
    try:
        with _started(frames, looks, slot, backlog), InterruptHandler() as interrupts:
            until_ns = now_ns() + round(timeout_s * 1e9)
            while not (interrupts.is_requested or run.is_over):
                frame = slot.get(WAIT_S)
                run.step(frame, on_clip_time=patient, waiting=_waits_for(frames))
                if frame is None and frames.status().state in ("ended", "failed"):
                    break
                if now_ns() > until_ns:
                    break
            interrupts.raise_if_requested()  # who is done early presses q; who interrupts wants nothing written
    finally:
        display.close()
    if run.scene is None:
        raise RunFailed(f"{source} gave no picture: {frames.status().reason or frames.status().state}")
    if not run.gaze_count:
        raise RunFailed(f"no gaze came: {looks.status().reason or looks.status().state}")
    return run.scene


class _ChoreographyRun:
    """What goes on from frame to frame."""

    def __init__(
        self,
        choreography: GazeChoreography,
        display: TargetDisplay,
        backlog: BoundedQueue[GazeSample],
        enough: int | None,
        check: Callable[[tuple[int, int]], object],
    ) -> None:
        self._choreography, self._display, self._gaze_queue = choreography, display, backlog
        self._max_targets, self._last_frame_s, self._clock_offset_s = enough, 0.0, 0.0
        self._check, self._framed_ns = check, now_ns()
        self.scene: GazeFeed | None = None
        self.gaze_count = 0
        self.is_over = False

    def step(self, frame: Frame | None, *, on_clip_time: bool, waiting: str = "") -> None:
        """Take what came, find markers, show, and do what was pressed. waiting: why no pictures come, if none do."""
        size = frame.size if frame is not None else self.scene.size if self.scene is not None else None
        if frame is not None:
            if self.scene is not None and self.scene.size != frame.size:
                raise RunFailed(
                    f"the pictures changed from {self.scene.size} to {frame.size}; calibrate one resolution"
                )
            if self.scene is None:
                self._check(frame.size)
            self.scene = GazeFeed(frame.size, frame.image)
            self._clock_offset_s = frame.captured_ns / 1e9 - frame.timestamp
        for sample in self._gaze_queue.drain() if size is not None else ():
            x, y = sample.to_px(size) if size is not None else (0.0, 0.0)
            self._choreography.add_gaze(sample.captured_ns / 1e9, x, y, sample.confidence)
            self.gaze_count += 1
        now_s = self._last_frame_s if on_clip_time else now_ns() / 1e9
        if frame is not None:
            self._last_frame_s = now_s = frame.captured_ns / 1e9
            self._choreography.add_markers(now_s, find_marker_centres(frame.image), frame.size)
        advice = self._choreography.advise(now_s)
        if frame is not None:
            self._framed_ns = now_ns()
        elif waiting and now_ns() - self._framed_ns > SILENT_S * 1e9:
            advice = replace(advice, hint=f"no pictures come: {waiting}")
        self._run_commands(self._display.show(advice, frame))
        pressing = not self._choreography.steps or self._choreography.steps[0].marker < 0
        enough = self._max_targets is not None and advice.done >= self._max_targets
        self.is_over = self.is_over or enough or (self._choreography.is_finished and not pressing)

    def _run_commands(self, commands: list[Key | OperatorAction]) -> None:
        for command in commands:
            if isinstance(command, OperatorAction):
                self._choreography.add_point(command.time_s + self._clock_offset_s, command.x, command.y, command.role)
            elif command == "repeat":
                self._choreography.repeat()
            elif command == "skip":
                self._choreography.skip()
            else:
                self._choreography.stop()
                self.is_over = True


@contextlib.contextmanager
def _started(
    frames: FrameSource, looks: GazeSource, slot: Latest[Frame], backlog: BoundedQueue[GazeSample]
) -> Iterator[None]:
    """Both sources, playing; a clip that is not played in real time waits for each frame to be seen."""
    patient = isinstance(frames, VideoFrames) and not frames.clock.real_time
    looks.start(backlog.put)  # first, as a trace follows the clip that it plays along with
    frames.start(slot.put_when_empty if patient else slot.put)
    try:
        yield
    finally:
        slot.close()
        looks.stop()
        frames.stop()


def _waits_for(frames: FrameSource) -> str:
    status = frames.status()
    return status.reason or status.state


def _gaze_spec(source: str, gaze: str) -> str:
    if gaze:
        return gaze
    if source.startswith("pupil:"):
        return source
    raise SettingsError(f"{source} has no gaze of its own; add --gaze pupil://HOST:PORT or --gaze trace:FILE.csv")
