"""Gaze calibration: from what the tracker says to where the eyes are, with the error known. Pure; time is an argument.

`choreography` collects looks at targets, `mapping` fits the map, `quality` judges it on other targets, `calibrated` is
the whole, `drift` what has slipped since.
"""

from calibration.gaze.calibrated import AppliedCalibration, GazeCalibration, TargetSamples, calibrate, summarised
from calibration.gaze.choreography import ChoreographyStep, GazeChoreography, TargetAdvice, moving_steps, screen_steps
from calibration.gaze.drift import DriftCorrection, object_sd_deg
from calibration.gaze.mapping import GazeFit, GazeFitError, GazeMap, fit_gaze
from calibration.gaze.matching import GazePairs, GazeSeries, TargetSeries, discarded_share, match
from calibration.gaze.quality import GazeValidation, QualityError, TargetQuality, validate
from calibration.gaze.table import GazeTable
from calibration.gaze.view import CameraView, FieldView, FlatView, view_from_dict

__all__ = [
    "AppliedCalibration",
    "CameraView",
    "ChoreographyStep",
    "DriftCorrection",
    "FieldView",
    "FlatView",
    "GazeCalibration",
    "GazeChoreography",
    "GazeFit",
    "GazeFitError",
    "GazeMap",
    "GazePairs",
    "GazeSeries",
    "GazeTable",
    "GazeValidation",
    "QualityError",
    "TargetAdvice",
    "TargetQuality",
    "TargetSamples",
    "TargetSeries",
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
