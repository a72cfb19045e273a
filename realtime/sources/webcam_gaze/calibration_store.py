"""Keeps the calibrations of a webcam's gaze: one file for each person and size of screen."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from calibration.errors import CalibrationError
from calibration.gaze.screen_calibration import ScreenCalibration
from calibration.record import CalibrationRecord, load_record, save_record


class CalibrationStore:
    """A folder of calibrations of one person."""

    def __init__(self, folder: Path, person: str) -> None:
        self._folder, self._person = folder, person

    def path(self, size: tuple[int, int]) -> Path:
        """Return the file for a screen of (width, height) px."""
        return self._folder / f"{self._person}-{size[0]}x{size[1]}.json"

    def load(self, size: tuple[int, int]) -> ScreenCalibration | None:
        """Read the calibration for a screen; None without one. Raises `CalibrationError` for one that is damaged."""
        path = self.path(size)
        if not path.exists():
            return None
        record = load_record(path, "screen", size=size)
        found = ScreenCalibration.from_dict(record.body)
        if found.gaze.view.size != size:
            raise CalibrationError(f"{path} contradicts itself about the size of the screen; calibrate again")
        return found

    def save(self, calibration: ScreenCalibration) -> str:
        """Write a calibration and return the reason why it could not be written; empty where it was."""
        size = calibration.gaze.view.size
        made_at = datetime.now(UTC).isoformat(timespec="seconds")
        record = CalibrationRecord("screen", "webcam", self._person, size, made_at, calibration.to_dict())
        try:
            save_record(self.path(size), record)
        except OSError as error:
            return f"it could not be saved: {error.strerror or error}"
        return ""
