"""Defines the dwell state machine's settings, each with its unit in the name and its reason."""

from __future__ import annotations

from dataclasses import dataclass

from realtime.errors import DwellSettingsError
from realtime.tracking.setting_checks import check_settings

_MAY_BE_ZERO = ("preview_s", "switch_s", "lock_s", "remember", "remember_told", "steps", "confirm_s")


@dataclass(frozen=True, slots=True)
class DwellSettings:
    """Settings of `DwellStateMachine`. Dwell times in the literature on gaze input run from 0.3 to 1 s for a choice."""

    preview_s: float = 0.15
    """Fixation before an object is shown while none is; 0.15 to 0.25 s avoids flashing masks while the gaze scans."""
    lock_s: float = 0.6
    """Fixation before it is `locked`; 0.5 to 0.8 s is deliberate and not yet tiring."""
    switch_s: float = 0.12
    """Fixation on another object before it replaces the shown one; 0.1 to 0.15 s."""
    lost_s: float = 0.5
    """Longer without gaze on it, and it is `lost`; a blink takes 0.1 to 0.4 s."""
    same_iou: float = 0.5
    """Two masks of one picture with at least this IoU show the same object."""
    recall_iou: float = 0.5
    """A remembered object with at least this IoU with a new mask is that object."""
    recall_inside: float = 0.8
    """... or one with this share inside it, if their areas differ by at most `recall_area_ratio`."""
    recall_area_ratio: float = 3.0
    """Part and whole are one object up to this ratio; beyond it, an object lying on another is not recalled as it."""
    remember: int = 8
    """Largest number of remembered objects that were looked at."""
    remember_told: int = 256
    """Largest number of remembered objects that other programs reported; all objects of a picture."""
    remember_s: float = 30.0
    """How long objects are remembered; without gaze, carried points drift."""
    steps: bool = True
    """Whether one long, unbroken fixation steps from part to whole and back; a user can turn it off."""
    step_s: float = 1.5
    """The fixation that makes one step; everyday fixations last 0.2 to 0.5 s, so this is deliberate. A pursuit
    makes none."""

    confirm_s: float = 0.0
    """Rest of the eyes on the shown object that confirms it, for robots that wait for it; 0 for never. 1 s and more is
    longer than the eyes rest on what is only seen; below `step_s`, or the mask steps to a part or the whole before."""

    def __post_init__(self) -> None:
        """Check every setting; raises `DwellSettingsError`."""
        shares = ("same_iou", "recall_iou", "recall_inside")
        check_settings(self, error=DwellSettingsError, may_be_zero=_MAY_BE_ZERO, shares=shares)
        if self.recall_area_ratio < 1:
            raise DwellSettingsError(f"recall_area_ratio must be >= 1, got {self.recall_area_ratio!r}")
        if 0 < self.confirm_s < self.lock_s:
            raise DwellSettingsError(
                f"confirm_s ({self.confirm_s!r}) must be at least lock_s ({self.lock_s!r}), or 0: a "
                "confirmation takes a longer rest than a choice"
            )
        if self.lost_s <= self.switch_s:
            raise DwellSettingsError(
                f"lost_s ({self.lost_s!r}) must be longer than switch_s ({self.switch_s!r}), "
                "or an object is lost before another can replace it"
            )
