"""The guidance image shows missing coverage, corners and accepted views."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from calibration.boards import BoardDetection
from calibration.collecting import ViewDecision
from calibration.coverage import measure_coverage
from realtime.commands.calibrate.board_guide import draw_guidance
from tests.calibration.cameras import WEBCAM
from tests.calibration.test_coverage import view

GREY = np.full((480, 640, 3), 100, np.uint8)


def test_only_missing_parts_are_tinted() -> None:
    left = [view(0.35, offset_m=(x, y)) for x in (-0.14, -0.07) for y in (-0.08, 0, 0.08)]
    out = draw_guidance(GREY, measure_coverage(left, WEBCAM.size), None, "no board")
    assert np.array_equal(GREY, np.full((480, 640, 3), 100))  # a copy was drawn on
    right, covered = out[150:300, 560:620].reshape(-1, 3), out[150:300, 120:180].reshape(-1, 3)
    assert right[:, 2].mean() > right[:, 0].mean() + 40  # amber
    assert np.abs(np.ptp(covered.mean(0))) < 1


def test_corners_and_a_taken_view_are_marked() -> None:
    detection = view(0.5)
    coverage = measure_coverage([detection], WEBCAM.size)
    out = draw_guidance(GREY, coverage, detection, "taken")
    x, y = detection.points_px[5].round().astype(int)
    assert out[y, x].tolist() == [255, 200, 60]
    assert out[2, 320].tolist() == [255, 200, 60]
    assert draw_guidance(GREY, coverage, detection, "moving")[2, 320].tolist() != [255, 200, 60]


@pytest.mark.parametrize("taken", get_args(ViewDecision))
@pytest.mark.parametrize("size", [(64, 48), (640, 480), (1920, 1080)])
def test_guidance_is_drawn_on_any_size_in_any_state(taken: ViewDecision, size: tuple[int, int]) -> None:
    image = np.zeros((size[1], size[0], 3), np.uint8)
    detection = BoardDetection("", size, np.arange(6), np.zeros((6, 3)), np.full((6, 2), 5.0))
    assert draw_guidance(image, measure_coverage([], size), detection, taken).shape == image.shape
