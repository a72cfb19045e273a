"""Defines the gaze filter's settings, each with its unit in the name and its source."""

from __future__ import annotations

from dataclasses import dataclass

from realtime.errors import GazeSettingsError
from realtime.tracking.setting_checks import check_settings

_MAY_BE_ZERO = (
    "min_confidence", "blink_before_s", "blink_after_s", "beta_hz_s_per_deg", "confirm_s", "merge_s", "reorder_s",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class GazeSettings:
    """Settings of `GazeFilter`; the defaults suit wearable eye trackers of 30 to 400 Hz.

    Sources: [Pupil] Pupil Core's defaults. [I-VT] Olsen, The Tobii I-VT fixation filter, 2012, and its use on
    wearables. [E&K] Engbert and Kliegl, Vision Research 2003: thresholds as multiples of a robust noise estimate.
    [Casiez] CHI 2012. [MacInnes] 2018, accuracy of wearable trackers 0.8 to 1.4 degrees. [tuned] by
    `benchmarks/gaze_events.py`. [own] a choice of ours.
    """

    min_confidence: float = 0.6
    """Samples below are ignored [Pupil]."""
    blink_gap_s: float = 0.03
    """Longer without a valid sample is a blink (or 2.5 sampling intervals, whichever is longer) [own]."""
    blink_before_s: float = 0.05
    """Samples withdrawn before a gap: half-closed lids drag the gaze down [own; remodnav widens its gaps by 10 ms]."""
    blink_after_s: float = 0.1
    """Samples ignored after a gap, for the same reason [own]. 0 for a mouse or finger."""
    silence_s: float = 0.1
    """Longer without anything arriving counts as a gap too; transport is burstier than the eye tracker [own]."""
    lost_s: float = 0.5
    """Longer without a valid sample is `none`: a blink takes 0.1 to 0.4 s [own]."""
    frame_width_per_degree: float = 0.01
    """Share of the frame's width that one degree takes up without a calibration: Neon 15.6 px of 1600 px."""
    saccade_deg_per_s: float = 60.0
    """Faster is a saccade: 30 on a screen, 60 to 100 on noisy wearables [I-VT]."""
    velocity_window_s: float = 0.02
    """Window over which speed is judged [I-VT]."""
    min_saccade_deg: float = 1.0
    """Smaller jumps are noise, or too small to mean another object at 1 degree of accuracy [own]."""
    noise_factor: float = 5.0
    """A jump must exceed this many standard deviations of the noise; 6 in [E&K], 5 in remodnav."""
    landing_deg: float = 0.5
    """Successive samples this close have landed [I-VT: fixations closer than this are one]."""
    landing_step_factor: float = 2.0
    """... or within so many times the usual step between samples: 96 % of steps of Gaussian noise [own]."""
    confirm_s: float = 0.025
    """A single sample at a new place is accepted when no other contradicts it for this long [own]."""
    merge_s: float = 0.075
    """A fixation that is left for less than this, with a return to within `landing_deg`, continues [I-VT]."""
    max_saccade_s: float = 0.2
    """Saccades take 0.02 to 0.2 s; a longer one is noise or a turning head, and is followed [own]."""
    window_s: float = 0.15
    """Time over which a fixation's point is estimated [tuned]."""
    window_samples: int = 32
    """Largest number of samples for it; bounds memory and time [own]."""
    pursuit_deg_per_s: float = 5.0
    """Slower drift is a fixation; 2 offline in remodnav, more here because a user's head is never still [tuned]."""
    min_cutoff_hz: float = 1.5
    """One Euro: cut-off at rest [Casiez's procedure, tuned]."""
    beta_hz_s_per_deg: float = 0.5
    """One Euro: cut-off gained for each degree per second [tuned]."""
    derivative_cutoff_hz: float = 5.0
    """One Euro: cut-off of the speed; 1 Hz in [Casiez], too slow for the onset of a pursuit [tuned]."""
    reorder_s: float = 0.05
    """Late samples up to this old are still used [own]."""
    resync_samples: int = 5
    """Number of consecutive samples too late that means the clock was set back [own]."""
    accuracy_deg: float = 1.2
    """Error radius when neither source nor calibration gives one [MacInnes]."""

    def __post_init__(self) -> None:
        """Check every setting; raises `GazeSettingsError`."""
        check_settings(self, error=GazeSettingsError, may_be_zero=_MAY_BE_ZERO, shares=("min_confidence",))
        if self.lost_s <= self.blink_gap_s:
            raise GazeSettingsError(f"lost_s ({self.lost_s!r}) must be longer than blink_gap_s ({self.blink_gap_s!r})")
        if self.window_samples < 2:
            raise GazeSettingsError(f"window_samples must be >= 2, got {self.window_samples!r}")
