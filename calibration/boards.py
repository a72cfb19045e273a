"""Parses, draws and detects chessboards and ChArUco boards.

A board's frame of reference: origin at its top left corner of corners, x along its columns, y along its rows, z into
the board, metres.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.errors import CalibrationError
from calibration.lens import Floats
from calibration.markers import get_marker_dictionary

BOARD_FORMAT = (
    "chessboard:COLUMNSxROWS:SQUARE with inner corners, such as chessboard:9x6:25mm, or "
    "charuco:COLUMNSxROWS:SQUARE:MARKER:DICTIONARY with squares, such as charuco:5x7:40mm:20mm:6X6_250"
)
MIN_CORNERS = 6
_UNITS = {"mm": 1e-3, "cm": 1e-2, "m": 1.0}


@dataclass(frozen=True, slots=True, eq=False)
class BoardDetection:
    """A board that was detected in one picture.

    name: of the picture. size: (width, height), px. ids: (N,) of the corners. object_points: (N, 3) m, board frame.
    points_px: (N, 2) px of the picture as captured.
    """

    name: str
    size: tuple[int, int]
    ids: NDArray[np.int_]
    object_points: Floats
    points_px: Floats


@dataclass(frozen=True, slots=True)
class CalibrationBoard:
    """A flat calibration board that is made of squares.

    columns, rows: of inner corners for a chessboard, of squares for ChArUco, as each is usually named.
    dictionary: OpenCV's name without DICT_. legacy: a ChArUco board drawn by OpenCV before 4.6 with even rows.
    """

    kind: Literal["chessboard", "charuco"]
    columns: int
    rows: int
    square_m: float
    marker_m: float = 0.0
    dictionary: str = ""
    legacy: bool = False

    def __post_init__(self) -> None:
        if min(self.columns, self.rows) < 3 or max(self.columns, self.rows) > 60:
            raise CalibrationError(f"a board has 3 to 60 columns and rows, got {self.columns} x {self.rows}")
        if not 1e-4 <= self.square_m <= 10:
            raise CalibrationError(f"squares of {self.square_m} m are no board's; say the unit, such as 25mm")
        if self.kind == "charuco":
            if not 0 < self.marker_m < self.square_m:
                raise CalibrationError(
                    f"the markers ({self.marker_m} m) must be smaller than the squares ({self.square_m} m)"
                )
            available = len(get_marker_dictionary(self.dictionary).bytesList)
            if available < self.columns * self.rows // 2:
                raise CalibrationError(
                    f"{self.dictionary} has {available} markers, a board of {self.columns} x {self.rows} squares needs "
                    f"{self.columns * self.rows // 2}; take a larger dictionary or a smaller board"
                )

    @property
    def corner_counts(self) -> tuple[int, int]:
        """(columns, rows) of the corners that can be detected."""
        return (self.columns, self.rows) if self.kind == "chessboard" else (self.columns - 1, self.rows - 1)

    @property
    def has_unique_orientation(self) -> bool:
        """Whether a picture determines the board's orientation; without that no pose can be estimated."""
        return self.kind == "charuco" or (self.columns + self.rows) % 2 == 1

    def corner_points(self) -> Floats:
        """(N, 3) of every corner, row by row, m, board frame."""
        columns, rows = self.corner_counts
        x, y = np.meshgrid(np.arange(columns), np.arange(rows))
        return np.column_stack([x.ravel(), y.ravel(), np.zeros(columns * rows)]).astype(np.float64) * self.square_m

    def detect(self, image: NDArray[np.uint8], name: str = "", *, quick: bool = False) -> BoardDetection | None:
        """Detect the board in a grey or BGR picture; None where too little of it is visible.

        quick: stop early where nothing resembles a board; for live pictures.
        """
        grey = image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
        found = self._detect_chessboard(grey, quick) if self.kind == "chessboard" else self._detect_charuco(grey)
        if found is None:
            return None
        ids, points = found
        if len(ids) < MIN_CORNERS or _is_collinear(self.corner_points()[ids]):
            return None
        return BoardDetection(name, (grey.shape[1], grey.shape[0]), ids, self.corner_points()[ids], points)

    def draw(self, px_per_m: float) -> NDArray[np.uint8]:
        """Draw the board as a grey picture with a white rim of one square."""
        if self.kind == "charuco":
            size = [round(side * self.square_m * px_per_m) for side in (self.columns, self.rows)]
            pattern = _charuco_detector(self).getBoard().generateImage(size)
        else:
            rows, columns = np.mgrid[: self.rows + 1, : self.columns + 1]
            side = max(1, round(self.square_m * px_per_m))
            pattern = np.kron(((rows + columns) % 2 * 255).astype(np.uint8), np.ones((side, side), np.uint8))
        margin = round(self.square_m * px_per_m)
        return np.pad(np.asarray(pattern, np.uint8), margin, constant_values=255)

    def _detect_charuco(self, grey: NDArray[np.uint8]) -> tuple[NDArray[np.int_], Floats] | None:
        corners, ids, _, _ = _charuco_detector(self).detectBoard(grey)
        if ids is None or len(ids) == 0:
            return None
        return np.asarray(ids, int).ravel(), np.asarray(corners, np.float64).reshape(-1, 2)

    def _detect_chessboard(self, grey: NDArray[np.uint8], quick: bool) -> tuple[NDArray[np.int_], Floats] | None:
        columns, rows = self.corner_counts
        flags = cv2.CALIB_CB_ADAPTIVE_THRESH | cv2.CALIB_CB_NORMALIZE_IMAGE
        found, corners = cv2.findChessboardCorners(
            grey, (columns, rows), flags=flags | (cv2.CALIB_CB_FAST_CHECK if quick else 0)
        )
        if not found:
            return None
        criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, 30, 1e-3)
        corners = cv2.cornerSubPix(grey, corners, (11, 11), (-1, -1), criteria)
        grid = np.asarray(corners, np.float64).reshape(rows, columns, 2)
        return np.arange(rows * columns), _order_corners(grid, grey).reshape(-1, 2)


def parse_board(spec: str) -> CalibrationBoard:
    """Parse a board's name; `CalibrationError` states the expected form."""
    kind, *parts = spec.strip().split(":")
    legacy = bool(parts) and parts[-1] == "legacy"
    parts = parts[:-1] if legacy else parts
    wanted = {"chessboard": 2, "charuco": 4}.get(kind)
    shape = re.fullmatch(r"(\d{1,3})x(\d{1,3})", parts[0]) if parts else None
    if wanted != len(parts) or shape is None:
        raise CalibrationError(f"{spec!r} is no board; expected {BOARD_FORMAT}")
    columns, rows = int(shape[1]), int(shape[2])
    if kind == "chessboard":
        return CalibrationBoard("chessboard", columns, rows, _parse_length_m(spec, parts[1]))
    return CalibrationBoard(
        "charuco", columns, rows, _parse_length_m(spec, parts[1]), _parse_length_m(spec, parts[2]), parts[3], legacy
    )


def _parse_length_m(spec: str, text: str) -> float:
    match = re.fullmatch(r"(\d*\.?\d+)\s*(mm|cm|m)?", text)
    if match is None:
        raise CalibrationError(f"{spec!r}: {text!r} is no length; expected one such as 25mm, 2.5cm or 0.025 (metres)")
    return float(match[1]) * _UNITS[match[2] or "m"]


@functools.lru_cache(maxsize=8)
def _charuco_detector(board: CalibrationBoard) -> cv2.aruco.CharucoDetector:
    shape = cv2.aruco.CharucoBoard(
        (board.columns, board.rows), board.square_m, board.marker_m, get_marker_dictionary(board.dictionary)
    )
    shape.setLegacyPattern(board.legacy)
    return cv2.aruco.CharucoDetector(shape)


def _is_collinear(points: Floats) -> bool:
    """Whether the corners are (nearly) collinear, so that they determine no plane."""
    spread = np.linalg.svd(points[:, :2] - points[:, :2].mean(0), compute_uv=False)
    return bool(spread[1] < 0.05 * spread[0])


def _order_corners(grid: Floats, grey: NDArray[np.uint8]) -> Floats:
    """Order a chessboard's (rows, columns, 2) corners the same way in every picture.

    OpenCV begins at either end. The order is changed so that x turns to y clockwise, as printed, and the square
    next to the first corner is black; a board whose squares look the same from both ends keeps its order.
    """
    along, down = grid[:, -1] - grid[:, 0], grid[-1] - grid[0]
    if np.cross(np.append(along.mean(0), 0), np.append(down.mean(0), 0))[2] < 0:
        grid = grid[:, ::-1]
    centres = (grid[:-1, :-1] + grid[1:, :-1] + grid[:-1, 1:] + grid[1:, 1:]) / 4
    x, y = (np.clip(np.rint(centres[..., axis]).astype(int), 0, grey.shape[1 - axis] - 1) for axis in (0, 1))
    shades = grey[y, x].astype(np.float64)
    even = np.add.outer(np.arange(shades.shape[0]), np.arange(shades.shape[1])) % 2 == 0
    same_both_ends = (grid.shape[0] + grid.shape[1]) % 2 == 0
    swap = not same_both_ends and shades[even].mean() > shades[~even].mean()
    return grid[::-1, ::-1] if swap else grid
