"""Accuracy, precision, loss and bias of gaze with known errors, and the verdict."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from calibration.gaze.matching import GazePairs
from calibration.gaze.quality import GazeValidation, QualityError, validate_gaze
from calibration.gaze.view import FlatView

VIEW = FlatView((1000, 600))  # 10 px a degree
PLACES = ((-7.0, -4.0), (7.0, -4.0), (7.0, 4.0), (-7.0, 4.0))


def make_pairs(offset=(0.0, 0.0), sd=0.1, count=400, lost=0, places=PLACES, seed=0):
    rng = np.random.default_rng(seed)
    out = []
    for number, place in enumerate(places):
        target = np.tile(place, (count, 1))
        gaze = target + offset + rng.normal(0, sd, (count, 2))
        out.append(
            GazePairs(
                f"t{number}", np.arange(count) / 200, VIEW.to_pixels(gaze), VIEW.to_pixels(target), lost, count + lost
            )
        )
    return out


def judged(**how):
    return validate_gaze(make_pairs(**how), VIEW, lambda degrees: degrees)


def test_measures_match_the_simulated_errors():
    found = judged(offset=(0.8, -0.6), sd=0.1, lost=40)
    assert found.accuracy_deg == pytest.approx(1.0, abs=0.02)
    assert found.bias_deg == pytest.approx((0.8, -0.6), abs=0.02)
    assert found.precision_deg == pytest.approx(
        2 * 0.1, abs=0.01
    )  # two differences of two axes: sd * sqrt(2) * sqrt(2)
    assert found.bcea_deg2 == pytest.approx(2 * np.pi * 1.1394 * 0.1**2, rel=0.1)
    assert found.loss == pytest.approx(40 / 440)
    assert found.rate_hz == pytest.approx(200, rel=0.01)
    assert found.median_deg == pytest.approx(1.0, abs=0.03)
    assert found.verdict == "pass"


@pytest.mark.parametrize(
    ("how", "verdict", "reason"),
    [
        ({"offset": (1.2, 0)}, "pass", "1.2"),
        ({"offset": (1.8, 0)}, "warn", "1.5 is good"),
        ({"offset": (2.8, 0)}, "refuse", "of no use"),
        ({"lost": 200}, "warn", "33% of the samples were lost"),
        ({"places": PLACES[:2]}, "refuse", "only 2 of the other targets"),
    ],
)
def test_verdicts(how, verdict, reason):
    found = judged(**how)
    assert found.verdict == verdict
    assert reason in found.reason


def test_one_bad_target_is_not_averaged_away():
    pairs = make_pairs()
    pairs[2] = dataclasses.replace(pairs[2], gaze_px=pairs[2].gaze_px + np.array([40, 0]))
    found = validate_gaze(pairs, VIEW, lambda degrees: degrees)
    assert found.accuracy_deg < 1.5
    assert found.worst.name == "t2"
    assert found.verdict == "warn"
    assert "at t2" in found.reason


def test_a_target_that_moves_with_the_head_is_no_imprecision():
    moving = []
    for pairs in make_pairs(sd=0.05):
        shift = np.linspace(0, 60, len(pairs))[:, None] * (1, 0)
        moving.append(dataclasses.replace(pairs, gaze_px=pairs.gaze_px + shift, target_px=pairs.target_px + shift))
    assert validate_gaze(moving, VIEW, lambda degrees: degrees).precision_deg == pytest.approx(0.1, abs=0.01)


def test_outliers_are_counted_and_left_out():
    pairs = make_pairs()
    pairs[0].gaze_px[::20] += 300
    found = validate_gaze(pairs, VIEW, lambda degrees: degrees)
    assert found.targets[0].strays >= 20
    assert found.accuracy_deg < 0.2


def test_missing_targets_raise():
    with pytest.raises(QualityError, match="looked at long enough"):
        validate_gaze(make_pairs(count=3), VIEW, lambda degrees: degrees)


def test_it_can_be_written_and_read():
    found = judged()
    assert GazeValidation.from_dict(json.loads(json.dumps(found.to_dict()))) is not None
    read = GazeValidation.from_dict(found.to_dict())
    assert (read.accuracy_deg, read.bias_deg, read.verdict) == (found.accuracy_deg, found.bias_deg, found.verdict)
    with pytest.raises(QualityError, match="no validation"):
        GazeValidation.from_dict({"targets": []})
