"""The report of a camera calibration: verdict, findings, and figures."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from calibration.camera import CameraModel
from calibration.intrinsics import BoardView, IntrinsicsFit, calibrate_camera
from realtime.commands.calibrate.report_camera import (
    assess_result,
    build_page,
    compute_known_share,
    draw_lens,
    list_facts,
)
from tests.calibration.cameras import CAMERAS, IDEAL, NEON, WEBCAM
from tests.calibration.test_intrinsics import views


@pytest.fixture(scope="module")
def good() -> IntrinsicsFit:
    return calibrate_camera(views(WEBCAM, 25))


def format_findings(result: IntrinsicsFit, unseen: tuple[BoardView, ...] = ()) -> str:
    return " ".join(f"{finding.level}: {finding.message} {finding.advice}" for finding in assess_result(result, unseen))


def test_a_good_result_passes(good: IntrinsicsFit) -> None:
    assert assess_result(good)[0].level == "pass", format_findings(good)
    assert "Nothing is missing" in format_findings(good)


@pytest.mark.parametrize(
    ("change", "level", "words"),
    [
        ({"rms_px": 0.7}, "warn", "reprojection error is 0.70 px"),
        ({"rms_px": 3.0}, "refuse", "Check the board's columns"),
        ({"std": {"fx": 10.0, "fy": 1.0}}, "warn", "deviation of 1.9 %"),
        ({"std": {"fx": 1.0, "fy": 60.0}}, "refuse", "leaning by 20 to 40 degrees"),
    ],
)
def test_the_worst_finding_decides_the_verdict(
    good: IntrinsicsFit, change: dict[str, object], level: str, words: str
) -> None:
    worse = replace(good, **change)  # type: ignore[arg-type]
    assert assess_result(worse)[0].level == level
    assert words in format_findings(worse)


def test_dropped_and_empty_pictures_are_named_and_do_not_make_it_worse(good: IntrinsicsFit) -> None:
    bad = BoardView("left02", 54, 1.2, 4.8, "1.2 px, 6 times the median")
    worse = replace(good, views=(*good.views, bad))
    text = format_findings(worse, (BoardView("wall", 0, math.nan, math.nan, "no board found"),))
    assert assess_result(worse)[0].level == "pass"
    assert "left02 was dropped" in text
    assert "No board in 1 picture: wall" in text


def test_an_invalid_part_of_the_picture_is_reported(good: IntrinsicsFit) -> None:
    assert compute_known_share(WEBCAM) == 1
    assert 0.98 < compute_known_share(NEON) < 0.998
    assert "the rest is invalid" in format_findings(replace(good, camera=NEON))


def test_the_facts_carry_units_and_deviations(good: IntrinsicsFit) -> None:
    rows = dict(list_facts(good))
    assert rows["fx"].endswith(f"± {good.std['fx']:.2f} px")
    assert rows["field of view"].endswith("°")
    assert "px per degree" in rows["resolution at the centre"]
    assert str(round(good.before_rejection[1], 1)) in rows["before outlier rejection"]


@pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS.keys())
def test_every_lens_can_be_drawn(camera: CameraModel) -> None:
    image = draw_lens(camera)
    blank = draw_lens(IDEAL)
    assert image.shape == blank.shape
    assert np.ptp(image) > 0


def test_the_page_has_all_figures(good: IntrinsicsFit) -> None:
    assert len(build_page("scene", "2026-11-22", good).panels) == 6
