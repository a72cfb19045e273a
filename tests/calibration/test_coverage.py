"""Tests coverage and its instructions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from calibration.boards import BoardDetection, parse_board
from calibration.coverage import (
    COLUMNS,
    MIN_VIEWS,
    ROWS,
    describe_cell,
    estimate_tilt,
    is_new,
    is_steady,
    measure_coverage,
    measure_tilt,
)
from calibration.pose import project_board
from calibration.rigid import RigidTransform
from tests.calibration.cameras import WEBCAM
from tests.calibration.render import facing

BOARD = parse_board("charuco:7x5:40mm:20mm:6X6_250")


def view(
    distance_m: float, turn: tuple[float, float, float] = (0, 0, 0), offset_m: tuple[float, float] = (0, 0)
) -> BoardDetection:
    """Compute a perfect detector's result."""
    pixels = project_board(WEBCAM, facing(BOARD, distance_m, turn, offset_m), BOARD.corner_points())
    visible = WEBCAM.contains(pixels)
    return BoardDetection("view", WEBCAM.size, np.flatnonzero(visible), BOARD.corner_points()[visible], pixels[visible])


LEANS = {"left": (0, 0.5, 0), "right": (0, -0.5, 0), "top": (-0.5, 0, 0), "bottom": (0.5, 0, 0), "facing": (0, 0, 0)}


@pytest.mark.parametrize("name", LEANS)
@pytest.mark.parametrize("roll", [0, math.pi])
def test_the_far_edge_is_named_for_any_roll_of_the_board(name: str, roll: float) -> None:
    turn = RigidTransform.from_rotvec(LEANS[name], np.zeros(3)) @ RigidTransform.from_rotvec([0, 0, roll], np.zeros(3))
    detection = view(0.6, tuple(turn.rotvec_rad))
    assert estimate_tilt(detection) == name
    # The far edge is where neighbouring corners are closest together.
    depths = turn.apply(
        np.array([[-1.0, 0, 0], [1, 0, 0], [0, -1, 0], [0, 1, 0]]) @ np.diag([math.cos(roll)] * 2 + [1])
    )
    farthest = ["left", "right", "top", "bottom"][int(np.argmax(depths[:, 2]))]
    assert name in (farthest, "facing")


def test_tilt_is_the_angle_from_facing() -> None:
    assert measure_tilt(RigidTransform.from_rotvec([0, math.radians(25), 1.0], np.zeros(3)).rotation)[
        0
    ] == pytest.approx(25, abs=2)
    assert measure_tilt(np.eye(3))[0] == 0


def test_no_views_cover_nothing() -> None:
    coverage = measure_coverage([], WEBCAM.size)
    assert coverage.share == 0
    assert not coverage.is_complete
    assert coverage.next_instruction


def test_the_missing_part_is_named() -> None:
    """Views everywhere but at the right."""
    views = [view(0.35, offset_m=(x, y)) for x in (-0.12, -0.05) for y in (-0.08, 0, 0.08)]
    coverage = measure_coverage(views, WEBCAM.size)
    _, column = coverage.emptiest_cell or (0, 0)
    assert column >= COLUMNS / 2
    assert "right" in coverage.next_instruction


def test_following_the_advice_ends() -> None:
    """Following the instructions completes the coverage, and not at once."""
    size, views, rng = WEBCAM.size, [], np.random.default_rng(0)
    coverage = measure_coverage(views, size)
    while coverage.next_instruction and len(views) < 60:
        at = coverage.emptiest_cell
        if at is not None:
            ray = WEBCAM.unproject([((at[1] + 0.5) * size[0] / COLUMNS, (at[0] + 0.5) * size[1] / ROWS)])[0]
            views.append(view(0.5, tuple(rng.uniform(-0.1, 0.1, 3)), tuple(0.5 * ray[:2] / ray[2])))
        elif coverage.missing_tilts:
            views.append(view(0.6, LEANS[coverage.missing_tilts[0]]))
        else:
            views.append(view(0.7))
        coverage = measure_coverage(views, size)
    assert coverage.is_complete
    assert MIN_VIEWS <= len(views) < 40
    assert coverage.share > 0.95


def test_facing_views_alone_are_never_enough() -> None:
    views = [view(0.4, offset_m=(x, y)) for x in (-0.18, -0.06, 0.06, 0.18) for y in (-0.12, -0.04, 0.04, 0.12)]
    coverage = measure_coverage(views, WEBCAM.size)
    assert coverage.emptiest_cell is None
    assert not coverage.is_complete
    assert "edge is farther away" in coverage.next_instruction


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ((0, 0), "top left corner"), ((3, 5), "bottom right corner"), ((0, 2), "top edge"), ((3, 3), "bottom edge"),
        ((1, 0), "left edge"), ((2, 5), "right edge"), ((1, 2), "middle"), ((1, 1), "left"),
    ],
)  # fmt: skip
def test_cells_have_names(cell: tuple[int, int], name: str) -> None:
    assert describe_cell(*cell) == name


def test_new_and_steady() -> None:
    here, near, there = view(0.5), view(0.5, offset_m=(0.001, 0)), view(0.5, offset_m=(0.1, 0))
    assert is_new(here, [])
    assert not is_new(near, [here])
    assert is_new(there, [here, near])
    assert is_steady(near, here)
    assert not is_steady(there, here)
    assert not is_steady(here, None)
