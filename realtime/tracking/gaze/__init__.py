"""What the eyes are doing now: every gaze sample in, one robust `Look` out. Pure; time is an argument."""

from realtime.errors import GazeSettingsError
from realtime.tracking.gaze.estimate import Look, LookKind
from realtime.tracking.gaze.gaze_filter import GazeFilter
from realtime.tracking.gaze.median import geometric_median
from realtime.tracking.gaze.one_euro import OneEuro
from realtime.tracking.gaze.settings import GazeSettings

__all__ = ["GazeFilter", "GazeSettings", "GazeSettingsError", "Look", "LookKind", "OneEuro", "geometric_median"]
