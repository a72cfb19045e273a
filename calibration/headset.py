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
    """Where the headset's camera is in the robot's base, with the errors of both in its covariance."""
    return (
        base_from_board
        @ UncertainTransform(headset_from_board.camera_from_board, headset_from_board.covariance).inverse()
    )


class SharedBoard:
    """The newest sight of the board. base_from_board: from hand-eye calibration, or from touching its corners."""

    def __init__(self, base_from_board: UncertainTransform, *, max_age_s: float = MAX_AGE_S) -> None:
        self._base_from_board, self._max_age_s = base_from_board, max_age_s
        self._newest: tuple[float, UncertainTransform] | None = None

    def observe(self, headset_from_board: BoardPose, captured_s: float) -> bool:
        """Take one sight of the board, by the time of its frame; False if it is poor or not newer."""
        if headset_from_board.rms_px > MAX_RMS_PX or (self._newest and captured_s <= self._newest[0]):
            return False
        self._newest = captured_s, compute_base_from_headset(self._base_from_board, headset_from_board)
        return True

    def base_from_headset_at(self, captured_s: float) -> UncertainTransform:
        """base_from_headset for a frame of that time. Raises `BoardLost` where the newest sight is too far from it."""
        if self._newest is None:
            raise BoardLost("the board has not been seen yet; look at it")
        age_s = abs(captured_s - self._newest[0])
        if not age_s <= self._max_age_s:
            raise BoardLost(
                f"the board was seen {1000 * age_s:.0f} ms away from this frame, {1000 * self._max_age_s:.0f} ms are "
                "allowed; keep it in view"
            )
        return self._newest[1]
