"""Tests calibrations of a screen: their error on other targets, and files that are damaged."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from calibration.errors import CalibrationError
from calibration.gaze.choreography import CHECK_PLACES, NINE_PLACES
from calibration.gaze.eye_features import EyeFeatures
from calibration.gaze.mapping import GazeFitError
from calibration.gaze.quality import QualityError
from calibration.gaze.screen_calibration import EyePairs, ScreenCalibration, calibrate_screen

SIZE, PX_MM, SAMPLES = (1920, 1080), 0.25, 20


def look_at(place, rng, *, gain=(1.0, 1.0), lid=0.0, noise_mm=6.0, distance_mm=600.0, count=SAMPLES):
    """Make the features of a person whose eyes have a gain of their own, and bend a little at the edges."""
    target_px = place[0] * SIZE[0], place[1] * SIZE[1]
    x, y = (target_px[0] - SIZE[0] / 2) * PX_MM, target_px[1] * PX_MM + 10
    features = []
    for _ in range(count):
        dx, dy = rng.normal(0, noise_mm, 2)
        screen = x / gain[0] * (1 + (x / 1500) ** 2) + 15 + dx, (1 - lid) * (y / gain[1] + x * y / 6000 - 30) + dy
        features.append(EyeFeatures(screen, distance_mm, 1.05, 0.35 - lid * y / 1500 + rng.normal(0, 0.003)))
    return EyePairs(f"{place}", np.arange(count) / 30, features, target_px, 0, count)


def calibrate(seed=0, **person):
    rng = np.random.default_rng(seed)
    fit = [look_at(place, rng, **person) for place in NINE_PLACES]
    checks = [look_at(place, rng, **person) for place in CHECK_PLACES]
    return calibrate_screen(fit, checks, SIZE, PX_MM)


@pytest.mark.parametrize(
    "person",
    [{}, {"gain": (1.7, 2.2)}, {"gain": (0.7, 0.5)}, {"gain": (-1.2, 1.3)}, {"distance_mm": 420.0, "noise_mm": 3.0}],
)
def test_the_error_on_other_targets_is_small_and_measured(person):
    calibration = calibrate(**person)
    rng = np.random.default_rng(7)
    errors = []
    for place in ((0.2, 0.5), (0.8, 0.2), (0.6, 0.85)):
        pairs = look_at(place, rng, **person)
        reported = [calibration.to_reported_px(features) for features in pairs.features]
        corrected = calibration.gaze.apply(reported).px
        errors.append(np.linalg.norm(np.median(corrected, axis=0) - pairs.target_px))
    assert np.mean(errors) < 0.8 * calibration.error_px + 10
    assert calibration.gaze.validation is not None
    assert 0 < calibration.gaze.validation.accuracy_deg < 2.5


def test_degrees_follow_from_the_irises_and_the_size_of_a_px():
    calibration = calibrate()
    assert calibration.distance_mm == pytest.approx(600 / 1.05)
    assert calibration.degree_px == pytest.approx(math.tan(math.radians(1)) * 600 / 1.05 / PX_MM)
    assert calibration.error_px == pytest.approx(calibration.gaze.radius_deg * calibration.degree_px)


def test_the_lids_are_used_only_where_they_help():
    assert calibrate(lid=0.0).model.lid_deg == 0
    assert calibrate(lid=0.7, noise_mm=12.0).model.lid_deg > 0


def test_a_target_that_was_not_looked_at_does_not_spoil_the_others():
    rng = np.random.default_rng(3)
    fit = [look_at(place, rng) for place in NINE_PLACES]
    elsewhere = look_at((0.1, 0.9), rng)
    fit[5] = EyePairs(fit[5].name, fit[5].time_s, elsewhere.features, fit[5].target_px, 0, SAMPLES)
    checks = [look_at(place, rng) for place in CHECK_PLACES]
    assert calibrate_screen(fit, checks, SIZE, PX_MM).gaze.radius_deg < 2.5


def test_too_little_is_refused_with_the_reason():
    rng = np.random.default_rng(0)
    checks = [look_at(place, rng) for place in CHECK_PLACES]
    with pytest.raises(GazeFitError, match="open eyes"):
        calibrate_screen([], checks, SIZE, PX_MM)
    with pytest.raises(GazeFitError, match="too few"):
        calibrate_screen([look_at(place, rng) for place in NINE_PLACES[:3]], checks, SIZE, PX_MM)
    with pytest.raises(QualityError):
        calibrate_screen([look_at(place, rng) for place in NINE_PLACES], [], SIZE, PX_MM)


def test_a_calibration_is_read_back_as_it_was():
    calibration = calibrate()
    back = ScreenCalibration.from_dict(json.loads(json.dumps(calibration.to_dict())))
    features = look_at((0.3, 0.6), np.random.default_rng(1)).features[0]
    assert back.to_reported_px(features) == pytest.approx(calibration.to_reported_px(features))
    assert back.error_px == pytest.approx(calibration.error_px)
    assert back.degree_px == pytest.approx(calibration.degree_px)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("model",), None), (("model", "gain"), [1]), (("model", "gain"), [0, 1]), (("model", "lid_deg"), "x"),
        (("model", "reference_mm"), -1), (("distance_mm",), float("inf")), (("gaze",), {}),
        (("gaze", "view", "degree_px"), -5), (("model", "offset_deg"), [float("nan"), 0]),
    ],
)  # fmt: skip
def test_a_damaged_calibration_is_refused(path, value):
    fields = json.loads(json.dumps(calibrate().to_dict()))
    inner = fields
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(CalibrationError):
        ScreenCalibration.from_dict(fields)
