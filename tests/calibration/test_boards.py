"""Tests parsing, drawing and detecting boards in rendered and real pictures."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from calibration import CalibrationError
from calibration.boards import CalibrationBoard, parse_board
from calibration.pose import project_board
from tests.calibration.cameras import CORE_WIDE, WEBCAM
from tests.calibration.render import facing, photograph
from tests.calibration.shared import PHOTOS, needs_photos

CHESSBOARD = parse_board("chessboard:9x6:25mm")
CHARUCO = parse_board("charuco:5x7:40mm:20mm:6X6_250")
boards = pytest.mark.parametrize("board", [CHESSBOARD, CHARUCO], ids=["chessboard", "charuco"])


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("chessboard:9x6:25mm", CalibrationBoard("chessboard", 9, 6, 0.025)),
        ("chessboard:9x6:0.025", CalibrationBoard("chessboard", 9, 6, 0.025)),
        ("charuco:5x7:4cm:2cm:6X6_250", CalibrationBoard("charuco", 5, 7, 0.04, 0.02, "6X6_250")),
        (
            "charuco:5x7:40mm:20mm:DICT_6X6_250:legacy",
            CalibrationBoard("charuco", 5, 7, 0.04, 0.02, "DICT_6X6_250", True),
        ),
        ("charuco:5x7:40mm:20mm:apriltag_36h11", CalibrationBoard("charuco", 5, 7, 0.04, 0.02, "apriltag_36h11")),
    ],
)
def test_boards_are_named(spec: str, expected: CalibrationBoard) -> None:
    board = parse_board(spec)
    assert board.square_m == pytest.approx(expected.square_m)
    assert (board.kind, board.columns, board.rows, board.legacy) == (
        expected.kind, expected.columns, expected.rows, expected.legacy
    )  # fmt: skip


@pytest.mark.parametrize(
    "spec",
    [
        "", "chessboard", "chessboard:9x6", "chessboard:9x6:25inch", "chessboard:9:25mm", "chessboard:9x6:25mm:1",
        "charuco:5x7:40mm:20mm", "charuco:5x7:40mm:20mm:7X7_99", "charuco:5x7:20mm:40mm:6X6_250", "circles:4x11:20mm",
        "chessboard:2x6:25mm", "chessboard:9x999:25mm", "chessboard:9x6:25", "chessboard:9x6:0mm",
        "charuco:10x11:40mm:20mm:6X6_50",
    ],
)  # fmt: skip
def test_invalid_board_names_are_refused(spec: str) -> None:
    with pytest.raises(CalibrationError):
        parse_board(spec)


@boards
@pytest.mark.parametrize("turn", [(0, 0, 0), (0.4, -0.3, 0.2), (-0.3, 0.5, 2.8), (0.2, 0.3, -1.6)])
def test_a_board_is_found_where_it_is(board: CalibrationBoard, turn: tuple[float, float, float]) -> None:
    """Also upside down: the corners keep their numbers."""
    camera_from_board = facing(board, 0.45, turn)
    found = board.detect(photograph(WEBCAM, board, camera_from_board, noise=2), "here")
    assert found is not None
    assert len(found.ids) == math.prod(board.corner_counts)
    expected = project_board(WEBCAM, camera_from_board, found.object_points)
    assert np.hypot(*(found.points_px - expected).T).max() < 0.4


def test_a_fisheye_sees_it_at_its_edge() -> None:
    pose = facing(CHARUCO, 0.4, (0.2, -0.9, 0.1), (-0.45, 0.1))
    found = CHARUCO.detect(photograph(CORE_WIDE, CHARUCO, pose, scale=1), "edge")
    assert found is not None
    expected = project_board(CORE_WIDE, pose, found.object_points)
    assert np.hypot(*(found.points_px - expected).T).max() < 0.6


def test_a_board_that_is_partly_hidden_is_found_by_charuco_alone() -> None:
    image = photograph(WEBCAM, CHARUCO, facing(CHARUCO, 0.4))
    image[:, 400:] = 90
    found = CHARUCO.detect(image, "half")
    assert found is not None
    assert 6 <= len(found.ids) < 24
    assert CHESSBOARD.detect(image) is None


@boards
def test_no_board_is_detected_in_noise(board: CalibrationBoard) -> None:
    rng = np.random.default_rng(0)
    for image in (np.zeros((100, 100, 3), np.uint8), rng.integers(0, 255, (240, 320, 3), np.uint8)):
        assert board.detect(image, quick=True) is None


def test_one_row_of_corners_is_too_thin() -> None:
    image = photograph(WEBCAM, CHARUCO, facing(CHARUCO, 0.4))
    image[:, 330:] = 90
    assert CHARUCO.detect(image) is None


def test_which_boards_have_a_unique_orientation() -> None:
    assert CHARUCO.has_unique_orientation
    assert CHESSBOARD.has_unique_orientation
    assert not parse_board("chessboard:8x6:25mm").has_unique_orientation


@needs_photos
def test_the_photos_boards_are_found() -> None:
    for folder, board, corners in (("chessboard_9x6", CHESSBOARD, 54), ("charuco_5x7", CHARUCO, 24)):
        for path in sorted((PHOTOS / folder).glob("*.jpg")):
            found = board.detect(np.asarray(cv2.imread(str(path)), np.uint8), path.stem)
            assert found is not None, path.name
            assert len(found.ids) == corners, path.name


def test_a_drawn_board_is_what_opencv_draws() -> None:
    assert CHESSBOARD.draw(1000).shape == ((7 + 2) * 25, (10 + 2) * 25)
