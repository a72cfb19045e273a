"""The report of a hand-eye calibration: verdict, findings, and figures."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from calibration.hand_eye import HandEyeResult, StationResidual, solve_hand_eye
from calibration.uncertain_transform import UncertainTransform
from realtime.commands.calibrate.report_hand_eye import assess_result, build_page, draw_corner_errors, list_facts
from tests.calibration.cameras import WEBCAM
from tests.calibration.test_hand_eye import stations


@pytest.fixture(scope="module")
def good() -> HandEyeResult:
    return solve_hand_eye(stations(sigma_m=5e-4, sigma_rad=1e-3), "eye-in-hand")


def test_a_good_result_passes(good: HandEyeResult) -> None:
    (finding,) = assess_result(good)
    assert finding.level == "pass"


@pytest.mark.parametrize(
    ("change", "level", "words"),
    [
        ({"rms_m": 0.005}, "warn", "disagree by 5.0 mm"),
        ({"rms_m": 0.05}, "refuse", "Check the setup"),
        ({"secondary_rotation_rad": math.radians(4)}, "warn", "about one axis"),
    ],
)
def test_the_worst_finding_decides_the_verdict(
    good: HandEyeResult, change: dict[str, float], level: str, words: str
) -> None:
    findings = assess_result(replace(good, **change))  # type: ignore[arg-type]
    assert findings[0].level == level
    assert words in findings[0].message + findings[0].advice


@pytest.mark.parametrize(("sigma_m", "level"), [(0.004, "warn"), (0.02, "refuse")])
def test_a_large_standard_deviation_is_reported(good: HandEyeResult, sigma_m: float, level: str) -> None:
    vague = replace(good, x=UncertainTransform(good.x.pose, np.diag([sigma_m**2, 0, 0, 0, 0, 0])))
    assert assess_result(vague)[0].level == level
    assert "gripper_from_camera has a standard deviation of" in assess_result(vague)[0].message


def test_few_dropped_and_skipped_poses_are_named(good: HandEyeResult) -> None:
    few = replace(good, residuals=(*good.residuals[:6], StationResidual("07", 0.02, 0.1, "20 mm off")))
    text = " ".join(finding.message for finding in assess_result(few, [("09.png", "no board found")]))
    assert "6 poses are few" in text
    assert "07 was dropped: 20 mm off" in text
    assert "09.png (no board found)" in text


@pytest.mark.parametrize("setup", ["eye-in-hand", "eye-to-hand"])
def test_the_page_has_its_figures_with_and_without_pictures(setup: str) -> None:
    taken = stations(setup, sigma_m=5e-4, sigma_rad=1e-3)  # type: ignore[arg-type]
    result = solve_hand_eye(taken, setup)  # type: ignore[arg-type]
    assert len(build_page("wrist", result, taken).panels) == 4
    corners = np.random.default_rng(0).uniform((0, 0), WEBCAM.size, (40, 2))
    corners[3] = np.nan
    errors = draw_corner_errors(WEBCAM.size, corners, corners + 0.3)
    page = build_page("wrist", result, taken, errors, compared=("Park", 1e-3, 1e-3))
    assert len(page.panels) == 6
    assert ("distance from Park", "1.00 mm, 0.057°") in page.facts
    assert page.png().shape[1] == 1224


def test_the_facts_name_both_transforms(good: HandEyeResult) -> None:
    names = [name for name, _ in list_facts(good)]
    assert "gripper_from_camera, mm" in names
    assert "base_from_board, mm" in names
