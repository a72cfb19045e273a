"""Tabulates a calibration over the picture, which corrects a gaze sample within microseconds. Pure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from calibration.gaze.calibrated import GazeCalibration

COLUMNS, ROWS = 61, 41
MARGIN_SHARE = 0.25
"""Widths and heights that the table extends beyond the picture, for biased gaze."""


class CorrectedGaze(NamedTuple):
    """Holds corrected gaze, px, its error radius, whether it is extrapolated, and the local px per degree."""

    x: float
    y: float
    radius_px: float
    is_extrapolated: bool
    px_per_degree: float


class GazeTable:
    """Interpolates the correction on a grid; beyond the grid it is that at the edge."""

    def __init__(self, calibration: GazeCalibration) -> None:
        width, height = calibration.view.size
        xs = np.linspace(-MARGIN_SHARE * width, (1 + MARGIN_SHARE) * width, COLUMNS)
        ys = np.linspace(-MARGIN_SHARE * height, (1 + MARGIN_SHARE) * height, ROWS)
        places = np.stack(np.meshgrid(xs, ys), -1).reshape(-1, 2)
        applied = calibration.apply(places)
        px_per_degree = calibration.view.px_per_degree(applied.px)
        columns = (applied.px - places, applied.radius_px, applied.is_extrapolated, px_per_degree)
        cells = np.column_stack(columns).reshape(ROWS, COLUMNS, 5)
        self._cells: list[list[list[float]]] = cells.tolist()  # plain floats: numpy is slow with single numbers
        self._x, self._y = float(xs[0]), float(ys[0])
        self._per_x, self._per_y = (COLUMNS - 1) / (xs[-1] - xs[0]), (ROWS - 1) / (ys[-1] - ys[0])

    def correct(self, x: float, y: float) -> CorrectedGaze:
        """Correct gaze at (x, y) px; both must be finite."""
        column_position = min(max((x - self._x) * self._per_x, 0.0), COLUMNS - 1.000001)
        row_position = min(max((y - self._y) * self._per_y, 0.0), ROWS - 1.000001)
        column, row = int(column_position), int(row_position)
        u, v = column_position - column, row_position - row
        a, b = self._cells[row][column], self._cells[row][column + 1]
        c, d = self._cells[row + 1][column], self._cells[row + 1][column + 1]
        dx, dy, radius, outside, px_per_degree = (
            (1 - v) * ((1 - u) * a[i] + u * b[i]) + v * ((1 - u) * c[i] + u * d[i]) for i in range(5)
        )
        return CorrectedGaze(x + dx, y + dy, radius, outside > 0.5, px_per_degree)
