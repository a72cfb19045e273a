"""Automatic settings of a run are replaced by numbers that suit the machine."""

from __future__ import annotations

import pytest

from engines import EngineSettings, load
from realtime.pipeline.adaptive_encoder import AdaptiveEncoder
from realtime.session.engine import resolve_tracker_settings
from realtime.tracking.motion.optical_flow import MotionSettings
from realtime.tracking.settings import TrackerSettings


class MeasuredEncoder(AdaptiveEncoder):
    """Knows its machine's speed only."""

    def __init__(self, slow: bool) -> None:
        self.slow = slow

    @property
    def is_slow(self) -> bool:
        return self.slow


@pytest.mark.parametrize(("slow", "side_px"), [(False, 360), (True, 256)])
def test_motion_is_measured_on_fewer_pixels_on_a_slow_machine(slow: bool, side_px: int) -> None:
    assert resolve_tracker_settings(TrackerSettings(), MeasuredEncoder(slow)).motion.side_px == side_px


def test_a_chosen_side_stays() -> None:
    chosen = TrackerSettings(motion=MotionSettings(side_px=320))
    assert resolve_tracker_settings(chosen, MeasuredEncoder(slow=True)) == chosen


def test_an_engine_without_a_choice_of_sides_has_the_usual_one() -> None:
    encoder, _ = load(EngineSettings(backend="fake"), None)
    assert resolve_tracker_settings(TrackerSettings(), encoder).motion.side_px == 360


@pytest.mark.parametrize("side_px", [-1, 1, 63])
def test_a_side_that_is_too_small_is_refused(side_px: int) -> None:
    with pytest.raises(ValueError, match="side_px must be at least 64, or 0 for automatic"):
        MotionSettings(side_px=side_px)
