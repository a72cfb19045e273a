"""Runs a calibration choreography on live or recorded sources, in a window or headless."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from calibration.gaze.choreography import GazeChoreography, Role, TargetAdvice
from calibration.gaze.markers import find_marker_centres
from realtime.errors import RunFailed, SettingsError
from realtime.infra.channels import BoundedQueue, Latest
from realtime.infra.clock import now_ns
from realtime.infra.interrupts import InterruptHandler
from realtime.infra.progress import ProgressReporter
from realtime.session.inputs import open_frames, open_gaze
from realtime.sources.names import parse_source, redact_source
from realtime.sources.video.video_file import VideoFrames
from realtime.types import Frame, FrameSource, GazeSample, GazeSource

WAIT_S = 0.03
MAX_TIMEOUT_S = 86_400.0
NO_FRAME_S = 1.0
"""Time without a frame after which the state of the source is shown."""
HINT_DELAY_S = 3.0
"""Time after which a headless display prints an unchanged hint; short-lived hints are ignored."""
Key = Literal["repeat", "skip", "leave"]


@dataclass(frozen=True, slots=True)
class OperatorAction:
    """Holds a fixation of (x, y) px that ends at the frame of `time_s`."""

    time_s: float
    x: float
    y: float
    role: Role


class TargetDisplay(Protocol):
    """A display of the current target that returns the pressed keys."""

    def show(self, advice: TargetAdvice, frame: Frame | None) -> list[Key | OperatorAction]:
        """Show the advice and return the pressed keys; takes a few milliseconds."""

    def close(self) -> None:
        """Close the display."""


class HeadlessDisplay:
    """A display that prints progress and hints, and replays presses known in advance."""

    def __init__(
        self, progress: ProgressReporter, presses: tuple[OperatorAction, ...] = (), clock_ns: Callable[[], int] = now_ns
    ) -> None:
        self._progress, self._pending = progress, sorted(presses, key=lambda press: press.time_s)
        self._done_count, self._current_name = 0, ""
        self._clock_ns, self._hint_due_ns = clock_ns, math.inf
        self._last_state: tuple[str, int, float] | None = None

    def show(self, advice: TargetAdvice, frame: Frame | None) -> list[Key | OperatorAction]:
        """Print each completed target and persistent hints; return the presses that are due."""
        self._report_if_stuck(advice)
        if advice.done != self._done_count and frame is not None:
            self._progress.show_line(f"{advice.done}/{advice.total} {self._current_name}".rstrip())
            self._done_count = advice.done
        if advice.step is not None and advice.progress > 0:
            self._current_name = advice.step.name
        due = [press for press in self._pending if frame is not None and press.time_s <= frame.timestamp]
        self._pending = self._pending[len(due) :]
        return [*due]

    def _report_if_stuck(self, advice: TargetAdvice) -> None:
        state = (advice.hint, advice.done, advice.progress) if advice.step is not None else None
        if state != self._last_state:
            self._last_state, self._hint_due_ns = state, self._clock_ns() + HINT_DELAY_S * 1e9
        elif state is not None and self._clock_ns() > self._hint_due_ns:
            self._hint_due_ns = math.inf
            self._progress.show_line(advice.hint)

    def close(self) -> None:
        """Do nothing, as there is no window."""


@dataclass
class ChoreographyRun:
    """A run of a choreography that shows targets and collects markers and gaze.

    max_targets: number of targets after which to stop. check: called with the first frame's size; may raise.
    """

    choreography: GazeChoreography
    display: TargetDisplay
    max_targets: int | None = None
    check: Callable[[tuple[int, int]], object] = lambda size: None
    gaze_queue: BoundedQueue[GazeSample] = field(default_factory=lambda: BoundedQueue(20_000))
    last_frame: Frame | None = None
    gaze_count: int = 0
    is_over: bool = False
    _frame_s: float = 0.0
    _clock_offset_s: float = 0.0
    _frame_ns: int = field(default_factory=lambda: now_ns())

    def play(self, source: str, gaze: str, timeout_s: float) -> Frame:
        """Run until all is done, left, timed out, or the recording ends.

        Closes the display and returns the last frame. Raises `SourceError`, `SettingsError`, and `RunFailed` if no
        frame or no gaze arrived.
        """
        if not 0 < timeout_s <= MAX_TIMEOUT_S:
            raise SettingsError(f"--timeout must be above 0 and at most {MAX_TIMEOUT_S:g} seconds, got {timeout_s:g}")
        for name in filter(None, (source, gaze)):
            if (kind := parse_source(name).kind) in ("browser", "whip"):
                raise SettingsError(
                    f"{kind}: needs the page of a run; record one, and give --source recording:FILE.mcap"
                )
        if not gaze and not parse_source(source).has_own_gaze:
            raise SettingsError(
                f"{redact_source(source)} has no gaze of its own; add --gaze pupil://HOST:PORT or --gaze trace:FILE.csv"
            )
        frames = open_frames(source)
        gaze_source = open_gaze(gaze or source, frames)
        slot: Latest[Frame] = Latest()
        # a clip that is not played in real time waits until each frame is processed
        is_unpaced = isinstance(frames, VideoFrames) and not frames.clock.real_time
        try:
            gaze_source.start(self.gaze_queue.put)  # first, because a gaze trace follows the clock of its clip
            frames.start(slot.put_when_empty if is_unpaced else slot.put)
            with InterruptHandler() as interrupts:
                until_ns = now_ns() + round(timeout_s * 1e9)
                while not (interrupts.is_requested or self.is_over):
                    frame = slot.get(WAIT_S)
                    self.step(frame, on_clip_time=is_unpaced, waiting=_describe_status(frames))
                    if now_ns() > until_ns or (frame is None and frames.status().state in ("ended", "failed")):
                        break
                interrupts.raise_if_requested()  # q ends early with a result; an interrupt must write nothing
        finally:
            slot.close()
            gaze_source.stop()
            frames.stop()
            self.display.close()
        if self.last_frame is None:
            raise RunFailed(f"{redact_source(source)} gave no picture: {_describe_status(frames)}")
        if not self.gaze_count:
            raise RunFailed(f"no gaze came: {_describe_status(gaze_source)}")
        return self.last_frame

    def step(self, frame: Frame | None, *, on_clip_time: bool, waiting: str = "") -> None:
        """Process new gaze and a frame, and handle pressed keys. waiting: state of a source without frames."""
        if frame is not None:
            self._accept_frame(frame)
        if self.last_frame is not None:
            for sample in self.gaze_queue.drain():
                x, y = sample.to_px(self.last_frame.size)
                self.choreography.add_gaze(sample.captured_ns / 1e9, x, y, sample.confidence)
                self.gaze_count += 1
        now_s = self._frame_s if on_clip_time or frame is not None else now_ns() / 1e9
        if frame is not None:
            self.choreography.add_markers(now_s, find_marker_centres(frame.image), frame.size)
        advice = self.choreography.advise(now_s)
        if frame is None and waiting and now_ns() - self._frame_ns > NO_FRAME_S * 1e9:
            advice = replace(advice, hint=f"no pictures come: {waiting}")
        self._run_commands(self.display.show(advice, frame))
        has_no_markers = not self.choreography.steps or self.choreography.steps[0].marker < 0
        is_enough = self.max_targets is not None and advice.done >= self.max_targets
        self.is_over = self.is_over or is_enough or (self.choreography.is_finished and not has_no_markers)

    def _accept_frame(self, frame: Frame) -> None:
        if self.last_frame is None:
            self.check(frame.size)
        elif self.last_frame.size != frame.size:
            sizes = f"from {self.last_frame.size} to {frame.size}"
            raise RunFailed(f"the pictures changed {sizes}; calibrate one resolution")
        self.last_frame, self._frame_s, self._frame_ns = frame, frame.captured_ns / 1e9, now_ns()
        self._clock_offset_s = self._frame_s - frame.timestamp

    def _run_commands(self, commands: list[Key | OperatorAction]) -> None:
        for command in commands:
            if isinstance(command, OperatorAction):
                self.choreography.add_point(command.time_s + self._clock_offset_s, command.x, command.y, command.role)
            elif command == "repeat":
                self.choreography.repeat()
            elif command == "skip":
                self.choreography.skip()
            else:
                self.choreography.stop()
                self.is_over = True


def _describe_status(source: FrameSource | GazeSource) -> str:
    status = source.status()
    return status.reason or status.state
