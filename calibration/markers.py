"""Detects ArUco and AprilTag markers in pictures."""

from __future__ import annotations

import functools

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.errors import CalibrationError
from calibration.lens import Floats

APRILTAG = "APRILTAG_36h11"


def detect_markers(image: NDArray[np.uint8], dictionary: str = APRILTAG) -> dict[int, Floats]:
    """Detect the markers in a grey or BGR picture.

    Result: {number: (4, 2) px}, clockwise from each marker's own top left.

    A number that is detected twice is ambiguous and left out.
    """
    corners, ids, _ = _detector(dictionary).detectMarkers(image)
    numbers = [] if ids is None else [int(number) for number in np.ravel(ids)]
    return {
        number: np.asarray(place, np.float64).reshape(4, 2)
        for number, place in zip(numbers, corners, strict=True)
        if numbers.count(number) == 1
    }


def get_marker_dictionary(name: str) -> cv2.aruco.Dictionary:
    """Get OpenCV's marker dictionary by its name without DICT_; `CalibrationError` lists the known names."""
    known = {key.removeprefix("DICT_").upper(): key for key in dir(cv2.aruco) if key.startswith("DICT_")}
    key = known.get(name.upper().removeprefix("DICT_"))
    if key is None:
        raise CalibrationError(f"{name!r} is no dictionary of markers; expected one of {', '.join(sorted(known))}")
    return cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, key))


@functools.lru_cache(maxsize=4)
def _detector(dictionary: str) -> cv2.aruco.ArucoDetector:
    settings = cv2.aruco.DetectorParameters()
    settings.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
    return cv2.aruco.ArucoDetector(get_marker_dictionary(dictionary), settings)
