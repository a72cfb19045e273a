"""Estimates the eye movement from every gaze sample, as one robust `GazeEstimate`. Pure; time is an argument."""

from realtime.errors import GazeSettingsError
from realtime.tracking.gaze.estimate import EyeMovement, GazeEstimate
from realtime.tracking.gaze.fixation import geometric_median
from realtime.tracking.gaze.gaze_filter import GazeFilter
from realtime.tracking.gaze.one_euro import OneEuroFilter
from realtime.tracking.gaze.settings import GazeSettings

__all__ = [
    "EyeMovement",
    "GazeEstimate",
    "GazeFilter",
    "GazeSettings",
    "GazeSettingsError",
    "OneEuroFilter",
    "geometric_median",
]
