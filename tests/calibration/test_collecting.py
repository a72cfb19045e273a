"""Tests that steady, new live views are kept until there are enough."""

from __future__ import annotations

from dataclasses import replace

import pytest

from calibration import CalibrationError
from calibration.collecting import ViewCollector
from tests.calibration.cameras import WEBCAM
from tests.calibration.test_coverage import LEANS, view


def test_a_view_is_kept_once_it_is_steady() -> None:
    collector = ViewCollector(WEBCAM.size)
    assert collector.add_detection(None) == "no board"
    assert collector.add_detection(view(0.5)) == "moving"
    assert collector.add_detection(view(0.5)) == "taken"
    assert collector.add_detection(view(0.5)) == "seen already"
    assert collector.add_detection(view(0.5, offset_m=(0.1, 0))) == "moving"
    assert collector.add_detection(view(0.5, offset_m=(0.1, 0))) == "taken"
    assert len(collector.views) == 2
    assert collector.coverage.views == 2


def test_a_tilt_that_is_missing_is_new_at_the_same_place() -> None:
    collector = ViewCollector(WEBCAM.size)
    for turn in ((0.0, 0.0, 0.0), LEANS["left"]):
        collector.add_detection(view(0.7, turn))
        assert collector.add_detection(view(0.7, turn)) == "taken"
    assert collector.coverage.tilts["left"] == 1


def test_it_is_bounded() -> None:
    collector = ViewCollector(WEBCAM.size, max_views=3)
    for step in range(8):
        for _ in range(2):
            decision = collector.add_detection(view(0.5, offset_m=(-0.2 + 0.06 * step, 0)))
    assert decision == "full"
    assert len(collector.views) == 3
    assert collector.is_complete


def test_another_size_is_refused() -> None:
    collector = ViewCollector(WEBCAM.size)
    with pytest.raises(CalibrationError, match="1280 x 720"):
        collector.add_detection(replace(view(0.5), size=(1280, 720)))
