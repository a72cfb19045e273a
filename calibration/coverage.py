"""Measures which parts of the picture and which board tilts the views cover. Pure.

Corners everywhere fix the lens; tilts fix the focal length, which a board that only ever faces the camera cannot.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from calibration.boards import BoardDetection
from calibration.camera import PinholeCamera
from calibration.errors import CalibrationError
from calibration.lens import Floats
from calibration.pose import estimate_pose

Tilt = Literal["facing", "left", "right", "top", "bottom"]
"""The board edge, as seen in the picture, that is farther away."""
_LEANING_TILTS: tuple[Tilt, ...] = ("left", "right", "top", "bottom")
ROWS, COLUMNS = 4, 6
MIN_CORNERS_PER_CELL = 6
MIN_VIEWS = 12
MIN_VIEWS_PER_TILT = 2
MIN_TILT_DEG = 18.0
_MIN_CHANGE_SHARE = 0.06
"""Mean shift of the corners, as a share of the picture's diagonal, below which a view is redundant."""


@dataclass(frozen=True, slots=True, eq=False)
class FieldCoverage:
    """Holds the coverage of a set of views. counts: (ROWS, COLUMNS) corners in each cell; tilts: views of each."""

    views: int
    counts: NDArray[np.int_]
    tilts: dict[Tilt, int]

    @property
    def share(self) -> float:
        """The completeness, 0..1."""
        cells = float(np.minimum(self.counts / MIN_CORNERS_PER_CELL, 1).mean())
        tilts = [min(self.tilts[tilt] / MIN_VIEWS_PER_TILT, 1.0) for tilt in _LEANING_TILTS]
        return (cells + sum(tilts) / len(tilts) + min(self.views / MIN_VIEWS, 1)) / 3

    @property
    def is_complete(self) -> bool:
        """Whether 90 % of the cells, every tilt and enough views are covered."""
        return not self.next_instruction

    @property
    def missing_tilts(self) -> tuple[Tilt, ...]:
        """The tilts with too few views."""
        return tuple(tilt for tilt in _LEANING_TILTS if self.tilts[tilt] < MIN_VIEWS_PER_TILT)

    @property
    def emptiest_cell(self) -> tuple[int, int] | None:
        """(row, column) of the cell that, with its neighbours, lacks most; None where 90 % have enough."""
        missing = np.maximum(MIN_CORNERS_PER_CELL - self.counts, 0)
        if (missing > 0).mean() <= 0.1:
            return None
        padded = np.pad(missing, 1)
        neighbourhood = sum(padded[i : i + ROWS, j : j + COLUMNS] for i in range(3) for j in range(3))
        row, column = divmod(int(np.argmax(np.where(missing > 0, neighbourhood, -1))), COLUMNS)
        return row, column

    @property
    def next_instruction(self) -> str:
        """The next instruction to the user, one sentence; "" when coverage is complete."""
        if self.emptiest_cell is not None:
            return f"move the board to the {describe_cell(*self.emptiest_cell)} of the picture"
        if self.missing_tilts:
            edge = self.missing_tilts[0]
            return f"lean the board so that its {edge} edge is farther away, by 20 to 40 degrees"
        if self.views < MIN_VIEWS:
            return f"add {MIN_VIEWS - self.views} more, nearer and farther"
        return ""


def measure_coverage(detections: Sequence[BoardDetection], size: tuple[int, int]) -> FieldCoverage:
    """Measure the coverage of views of (width, height)."""
    counts = np.zeros((ROWS, COLUMNS), int)
    tilts: dict[Tilt, int] = dict.fromkeys(get_args(Tilt), 0)
    for detection in detections:
        cells = np.floor((detection.points_px + 0.5) / size * (COLUMNS, ROWS)).astype(int)
        column, row = np.clip(cells, 0, (COLUMNS - 1, ROWS - 1)).T
        np.add.at(counts, (row, column), 1)
        tilt = estimate_tilt(detection)
        if tilt is not None:
            tilts[tilt] += 1
    return FieldCoverage(len(detections), counts, tilts)


def estimate_tilt(detection: BoardDetection) -> Tilt | None:
    """Estimate the board's tilt with an uncalibrated camera; None where there is no pose.

    An assumed field of view (60 degrees over the longer side) is good enough to distinguish tilted from facing.
    """
    width, height = detection.size
    focal = 0.87 * max(width, height)
    assumed_camera = PinholeCamera(detection.size, focal, focal, (width - 1) / 2, (height - 1) / 2)
    try:
        pose = estimate_pose(assumed_camera, detection.object_points, detection.points_px)
    except CalibrationError:
        return None
    angle_deg, edge = measure_tilt(pose.camera_from_board.rotation)
    return edge if angle_deg >= MIN_TILT_DEG else "facing"


def measure_tilt(rotation: Floats) -> tuple[float, Tilt]:
    """Measure a board's tilt, degrees, and find its far edge in the picture.

    rotation: of camera_from_board, (3, 3).
    """
    normal = rotation[:, 2] if rotation[2, 2] > 0 else -rotation[:, 2]
    angle = math.degrees(math.acos(min(1.0, float(normal[2]))))
    if abs(normal[0]) > abs(normal[1]):
        return angle, "left" if normal[0] > 0 else "right"
    return angle, "top" if normal[1] > 0 else "bottom"


def describe_cell(row: int, column: int) -> str:
    """Describe a cell's position in the picture in words."""
    vertical = "top" if row == 0 else "bottom" if row == ROWS - 1 else ""
    horizontal = "left" if column < COLUMNS / 3 else "right" if column >= 2 * COLUMNS / 3 else ""
    if vertical and horizontal:
        return f"{vertical} {horizontal} corner"
    return f"{vertical or horizontal} edge" if (vertical or column in (0, COLUMNS - 1)) else horizontal or "middle"


def is_new(detection: BoardDetection, accepted: Sequence[BoardDetection], *, share: float = _MIN_CHANGE_SHARE) -> bool:
    """Whether a view differs from every accepted view.

    share: minimal mean shift of its corners, as a share of the picture's diagonal.
    """
    min_shift_px = share * math.hypot(*detection.size)
    return all(_mean_shift_px(detection, other) > min_shift_px for other in accepted)


def is_steady(detection: BoardDetection, previous: BoardDetection | None, *, limit_px: float = 2.0) -> bool:
    """Whether the board hardly moved since the previous picture; motion blurs."""
    return previous is not None and _mean_shift_px(detection, previous) <= limit_px


def _mean_shift_px(first: BoardDetection, second: BoardDetection) -> float:
    """Compute the mean distance between common corners, px; infinite where there are none."""
    _, first_index, second_index = np.intersect1d(first.ids, second.ids, return_indices=True)
    if not len(first_index):
        return math.inf
    return float(np.hypot(*(first.points_px[first_index] - second.points_px[second_index]).T).mean())
