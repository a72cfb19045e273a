"""What the eyes are doing now: every gaze sample in, one robust `Look` out. Pure; time is an argument."""

from realtime.gaze.filter import GazeFilter
from realtime.gaze.look import Look, LookKind
from realtime.gaze.median import geometric_median
from realtime.gaze.one_euro import OneEuro
from realtime.gaze.settings import GazeSettings, GazeSettingsError

__all__ = ["GazeFilter", "GazeSettings", "GazeSettingsError", "Look", "LookKind", "OneEuro", "geometric_median"]
