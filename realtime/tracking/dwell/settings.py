"""Every number of the dwell machine, with its unit in the name and its reason beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from realtime.errors import DwellSettingsError


@dataclass(frozen=True, slots=True)
class DwellSettings:
    """Settings of `DwellStateMachine`. Dwell times in the literature on gaze input run from 0.3 to 1 s for a choice."""

    preview_s: float = 0.15
    """Rest on something before it is shown while nothing is; 0.15 to 0.25 s keeps scanning eyes from flashing masks."""
    lock_s: float = 0.6
    """Rest on it before it is `locked`; 0.5 to 0.8 s is deliberate and not yet tiring."""
    switch_s: float = 0.12
    """Rest on another thing before it replaces the one on show; 0.1 to 0.15 s."""
    lost_s: float = 0.5
    """Longer without eyes on it, and it is `lost`; a blink takes 0.1 to 0.4 s."""
    same_iou: float = 0.5
    """Two masks of one picture that overlap at least so much show the same thing."""
    recall_iou: float = 0.5
    """A remembered thing that overlaps a new mask at least so much is that thing."""
    recall_inside: float = 0.8
    """... or one that lies so far inside it, if their areas differ by at most `recall_area_ratio`."""
    recall_area_ratio: float = 3.0
    """Part and whole are one thing up to this ratio; beyond it, a thing lying on another is not recalled as it."""
    remember: int = 8
    """Most things remembered of those that were looked at."""
    remember_told: int = 256
    """Most things remembered of those that others made known; a picture's everything."""
    remember_s: float = 30.0
    """How long they are; what is carried along without being seen drifts off."""
    steps: bool = True
    """Whether one long, unbroken fixation steps from part to whole and back; a wearer can turn it off."""
    step_s: float = 1.5
    """The fixation that makes one step; everyday fixations last 0.2 to 0.5 s, so this is meant. Eyes that follow
    something that moves make none."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for setting in fields(self):
            name, value = setting.name, getattr(self, setting.name)
            if name == "steps":
                if not isinstance(value, bool):
                    raise DwellSettingsError(f"dwell setting steps must be true or false, got {value!r}")
            elif not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
                raise DwellSettingsError(f"dwell setting {name} must be a finite number, got {value!r}")
            elif value < 0 or (
                value == 0 and name not in ("preview_s", "switch_s", "lock_s", "remember", "remember_told")
            ):
                raise DwellSettingsError(f"dwell setting {name} must be above 0, got {value!r}")
        for name in ("same_iou", "recall_iou", "recall_inside"):
            if getattr(self, name) > 1:
                raise DwellSettingsError(f"dwell setting {name} must be within 0..1, got {getattr(self, name)!r}")
        for name in ("remember", "remember_told"):
            if not isinstance(getattr(self, name), int):
                raise DwellSettingsError(f"dwell setting {name} must be a whole number, got {getattr(self, name)!r}")
        if self.recall_area_ratio < 1:
            raise DwellSettingsError(f"dwell setting recall_area_ratio must be >= 1, got {self.recall_area_ratio!r}")
        if self.lost_s <= self.switch_s:
            raise DwellSettingsError(
                f"dwell setting lost_s ({self.lost_s!r}) must be longer than switch_s ({self.switch_s!r}), "
                "or a thing is lost before another can replace it"
            )
