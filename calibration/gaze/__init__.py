"""Gaze calibration: from what the tracker says to where the eyes are, with the error known. Pure; time is an argument.

`choreography` collects looks at targets, `mapping` fits the map, `quality` judges it on other targets, `calibrated` is
the whole, `drift` what has slipped since.
"""

from calibration.gaze.calibrated import Applied, GazeCalibration, Targets, calibrate, summarised
from calibration.gaze.choreography import Advice, Choreography, Step, moving_steps, screen_steps
from calibration.gaze.drift import Drift, object_sd_deg
from calibration.gaze.mapping import GazeFit, GazeFitError, GazeMap, fit_gaze
from calibration.gaze.matching import Looks, Pairs, Sights, discarded_share, match
from calibration.gaze.quality import QualityError, TargetQuality, Validation, validate
from calibration.gaze.table import LookTable
from calibration.gaze.view import CameraView, FlatView, View, view_from_dict

__all__ = [
    "Advice",
    "Applied",
    "CameraView",
    "Choreography",
    "Drift",
    "FlatView",
    "GazeCalibration",
    "GazeFit",
    "GazeFitError",
    "GazeMap",
    "LookTable",
    "Looks",
    "Pairs",
    "QualityError",
    "Sights",
    "Step",
    "TargetQuality",
    "Targets",
    "Validation",
    "View",
    "calibrate",
    "discarded_share",
    "fit_gaze",
    "match",
    "moving_steps",
    "object_sd_deg",
    "screen_steps",
    "summarised",
    "validate",
    "view_from_dict",
]
