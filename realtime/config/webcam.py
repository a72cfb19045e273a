"""Defines the settings of gaze by webcam. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class WebcamSettings:
    """Holds the settings of gaze by webcam (`--gaze webcam`).

    person: name of the person whose calibration is used, up to 40 letters, digits, - and _.
    folder: folder of the calibrations, one file for each person and screen; unset for the user's cache.
    fov_deg: horizontal field of view of the camera, 20 to 150 degrees; distance and degrees depend on it.
    screen_width_mm: width of the screen, mm; 0 assumes 96 px per inch, as browsers do. Degrees depend on it.
    max_rate_hz: pictures of the eyes that are evaluated each second, 1 to 120; each costs some 10 ms of a core.
    """

    person: str = "me"
    folder: Path | None = None
    fov_deg: float = 60.0
    screen_width_mm: float = 0.0
    max_rate_hz: float = 30.0

    def __post_init__(self) -> None:
        """Refuse what is no file name, and numbers that no camera and no screen has."""
        letters = self.person.replace("-", "").replace("_", "")
        if not (letters.isascii() and letters.isalnum() and len(self.person) <= 40):
            raise ValueError(f"person must be at most 40 ASCII letters, digits, - and _, got {self.person!r:.80}")
        if not 20 <= self.fov_deg <= 150:
            raise ValueError(f"fov_deg must be 20 to 150, got {self.fov_deg!r}")
        if not (self.screen_width_mm == 0 or 50 <= self.screen_width_mm <= 10_000):
            raise ValueError(f"screen_width_mm must be 50 to 10000, or 0, got {self.screen_width_mm!r}")
        if not 1 <= self.max_rate_hz <= 120:
            raise ValueError(f"max_rate_hz must be 1 to 120, got {self.max_rate_hz!r}")
