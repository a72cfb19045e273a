"""Calibrates reported gaze with a known error. Pure; time is an argument.

`choreography` collects gaze at targets, `mapping` fits the map, `quality` validates it on other targets, `calibrated`
combines them, `drift` corrects later slippage.
"""

from calibration.gaze.calibrated import (
    AppliedCalibration,
    GazeCalibration,
    TargetSamples,
    calibrate_gaze,
    summarize_targets,
)
from calibration.gaze.choreography import (
    ChoreographyStep,
    GazeChoreography,
    TargetAdvice,
    build_moving_steps,
    build_screen_steps,
)
from calibration.gaze.drift import DriftCorrection, compute_object_sd_deg
from calibration.gaze.mapping import GazeFit, GazeFitError, GazeMap, fit_gaze
from calibration.gaze.matching import GazePairs, GazeSeries, TargetSeries, compute_discarded_share, match_samples
from calibration.gaze.quality import GazeValidation, QualityError, TargetQuality, validate_gaze
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
    "build_moving_steps",
    "build_screen_steps",
    "calibrate_gaze",
    "compute_discarded_share",
    "compute_object_sd_deg",
    "fit_gaze",
    "match_samples",
    "summarize_targets",
    "validate_gaze",
    "view_from_dict",
]
