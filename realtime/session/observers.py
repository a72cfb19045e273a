"""Defines the observers that a run itself adds to its pipeline."""

from __future__ import annotations

import threading

from calibration import CalibrationError
from realtime.comms.messages import HealthMessage
from realtime.infra.channels import Latest
from realtime.infra.clock import now_ns
from realtime.pipeline.observers import FrameResult, PipelineObserver
from realtime.session.view import RunView
from realtime.sources.calibrated import CalibratedGaze, LoadedCalibration
from realtime.types import GazeSource


class CalibrationCheck(PipelineObserver):
    """An observer that ends the run at frames of a wrong size, and feeds the correction of gaze drift."""

    name = "calibration"

    def __init__(self, calibration: LoadedCalibration | None, gaze: GazeSource) -> None:
        self._calibration = calibration
        self._gaze = gaze if isinstance(gaze, CalibratedGaze) else None
        self.rejection = ""
        """Why the run must end; empty if it need not."""

    def check_size(self, size: tuple[int, int] | None) -> tuple[int, int] | None:
        """Return the frame size if it is the calibration's; raises `CalibrationError` otherwise."""
        if self._calibration is not None:
            self._calibration.check_frame_size(size)
        return size

    def reject(self, reason: str) -> None:
        """End the run for this reason."""
        self.rejection = reason

    def on_mask(self, result: FrameResult) -> None:
        """Check the frame's size and learn from its mask."""
        try:
            self.check_size(result.frame.size)
        except CalibrationError as error:
            self.rejection = str(error)
        if self._gaze is not None and result.result is not None:
            self._gaze.learn_from_mask(result.result, now_ns())


class NewestResult(PipelineObserver):
    """An observer that keeps the newest result for the desktop window, which belongs to the main thread."""

    name = "window"

    def __init__(self) -> None:
        self.slot: Latest[FrameResult] = Latest()

    def on_mask(self, result: FrameResult) -> None:
        """Store a result."""
        self.slot.put(result)


class ViewObserver(PipelineObserver):
    """An observer that passes `health` to the run's view; a closed output ends the run, as with any pipe."""

    name = "terminal"

    def __init__(self, view: RunView, stop: threading.Event) -> None:
        self._view, self._stop = view, stop

    def on_health(self, health: HealthMessage) -> None:
        """Show it, or end the run when the output is closed."""
        try:
            self._view.on_health(health)
        except OSError:
            self._stop.set()
