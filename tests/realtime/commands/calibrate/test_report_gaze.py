"""The findings and figures of a gaze calibration report."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from calibration.gaze.calibrated import calibrate_gaze
from calibration.gaze.matching import GazePairs
from calibration.gaze.view import FlatView
from realtime.commands.calibrate.report_gaze import (
    GazeResult,
    assess_result,
    build_page,
    choose_magnification,
)

SIZE = (1000, 600)
VIEW = FlatView(SIZE)
PLACES = [(x, y) for y in (60, 300, 540) for x in (100, 500, 900)]
OTHERS = [(300, 180), (700, 180), (700, 420), (300, 420)]


def simulate_samples(places, *, off=(25.0, -10.0), lost=0, seed=0):
    rng, out = np.random.default_rng(seed), []
    for x, y in places:
        gaze = rng.normal(np.add((x, y), off), 2, (40, 2))
        out.append(GazePairs(f"at {x} {y}", np.arange(40) / 30, gaze, np.full((40, 2), (x, y), float), lost, 40 + lost))
    return out


def found(places=PLACES, others=OTHERS, *, spoil=None, other_off=None, missed=(), lost=0):
    pairs, checks = simulate_samples(places, lost=lost), simulate_samples(others, seed=1, lost=lost)
    if spoil is not None:
        pairs[spoil].gaze_px[:] += (200, 150)
    if other_off is not None:
        checks = simulate_samples(others, off=other_off, seed=1)
    made, fit, targets = calibrate_gaze(pairs, VIEW)
    if checks:
        made = made.with_validation(checks)
    picture = np.full((600, 1000, 3), 120, np.uint8)
    return GazeResult(made, fit, targets, pairs, checks, missed, picture, "camera:0", "g.json")


@pytest.mark.parametrize(
    ("change", "level", "message", "advice"),
    [
        ({}, "warn", "No camera calibration was given", "gazecast calibrate camera"),
        ({}, "pass", "gazecast run --source camera:0 --calibration g.json", "gazecast calibrate drift"),
        ({"others": []}, "warn", "not validated on other targets", "gazecast calibrate validate"),
        ({"spoil": 4}, "warn", "Probably not fixated, left out: at 500 300", "Repeat"),
        ({"missed": ("upper left",)}, "warn", "Too few samples at: upper left", "Keep them in the picture"),
        ({"lost": 30}, "warn", "too low in 43% of the samples", "Adjust the eye cameras"),
        (
            {"places": [(0.5 * x + 250, 0.5 * y + 150) for x, y in PLACES]},
            "warn",
            "cover 16% of the picture",
            "Come nearer",
        ),
        ({"other_off": (60.0, -10.0)}, "refuse", "of no use", "calibrate again"),
        ({"other_off": (45.0, -10.0)}, "warn", "is more than 1.5", "Adjust the headset"),
    ],
)
def test_each_finding_has_a_message_and_advice(change, level, message, advice):
    findings = assess_result(found(**change))
    assert any(f.level == level and message in f.message and advice in f.advice for f in findings), findings


def test_the_worst_comes_first_and_a_refused_result_is_not_recommended():
    findings = assess_result(found(other_off=(60.0, -10.0)))
    assert findings[0].level == "refuse"
    assert not any("gazecast run" in f.message for f in findings)


def test_the_page_has_all_figures_and_can_be_drawn():
    made = build_page(found(), "2026-01-01")
    assert [panel.title for panel in made.panels] == [
        "Before: gaze as the tracker reports it", "After: the same samples, calibrated", "Error over the picture",
        "Errors on the other targets",
    ]  # fmt: skip
    assert made.png().shape[1] > 1000
    assert dict(made.facts)["accuracy on other targets"].startswith(("2.6", "2.7"))  # 25 and 10 px of 10 px a degree
    alone = build_page(dataclasses.replace(found(others=[]), checks=()), "2026-01-01")
    assert len(alone.panels) == 3
    assert alone.png().size


def test_errors_are_enlarged_by_round_numbers():
    for size, grow in ((100.0, 1), (12.0, 2), (4.0, 5), (1.0, 20)):
        assert choose_magnification([np.array([[size, 0.0]])], 25.0) == grow
