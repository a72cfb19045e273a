"""Locates a headset in a robot's frame by a board with a known pose in both.

The head moves, so that every frame has its own pose; one that is too old is refused, never reused.
"""

from __future__ import annotations

from calibration.errors import CalibrationError
from calibration.pose import BoardPose
from calibration.uncertain_transform import UncertainTransform

MAX_AGE_S = 0.1
MAX_RMS_PX = 3.0


class BoardLost(CalibrationError):
    """An error for a board that was not detected recently enough."""


def compute_base_from_headset(base_from_board: UncertainTransform, headset_from_board: BoardPose) -> UncertainTransform:
    """Compute the headset camera's pose in the robot's base; its covariance contains both errors."""
    return (
        base_from_board
        @ UncertainTransform(headset_from_board.camera_from_board, headset_from_board.covariance).inverse()
    )


class SharedBoard:
    """Holds the newest board detection. base_from_board: by hand-eye calibration or by touching its corners."""

    def __init__(self, base_from_board: UncertainTransform, *, max_age_s: float = MAX_AGE_S) -> None:
        self._base_from_board, self._max_age_s = base_from_board, max_age_s
        self._newest: tuple[float, UncertainTransform] | None = None

    def observe(self, headset_from_board: BoardPose, captured_s: float) -> bool:
        """Add a detection of the board, by its frame's time; False if poor or not newer."""
        if headset_from_board.rms_px > MAX_RMS_PX or (self._newest and captured_s <= self._newest[0]):
            return False
        self._newest = captured_s, compute_base_from_headset(self._base_from_board, headset_from_board)
        return True

    def base_from_headset_at(self, captured_s: float) -> UncertainTransform:
        """Compute base_from_headset for a frame's time. Raises `BoardLost` without a recent detection."""
        if self._newest is None:
            raise BoardLost("the board has not been seen yet; look at it")
        age_s = abs(captured_s - self._newest[0])
        if not age_s <= self._max_age_s:
            raise BoardLost(
                f"the board was seen {1000 * age_s:.0f} ms away from this frame, {1000 * self._max_age_s:.0f} ms are "
                "allowed; keep it in view"
            )
        return self._newest[1]
