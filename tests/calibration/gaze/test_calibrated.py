"""Tests a whole calibration: fitted through a lens, saved, applied to each gaze sample."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from calibration import CalibrationError, PinholeCamera
from calibration.gaze.calibrated import GazeCalibration, calibrate_gaze
from calibration.gaze.matching import GazePairs
from calibration.gaze.table import GazeTable
from calibration.gaze.view import CameraView, FlatView
from tests.calibration.gaze.trackers import GRID, INNER, Tracker

CAMERA = PinholeCamera((1280, 720), 1000.0, 1000.0, 640.0, 360.0, (-0.25, 0.05, 0.0, 0.0, 0.0))
VIEWS = {"camera": CameraView(CAMERA), "flat": FlatView((1280, 720))}


def make_pairs(places, tracker, view, rng, count=60):
    out = []
    for number, at in enumerate(places):
        gaze = view.to_pixels(tracker.samples(rng, at, count, target_sd=0.1))
        out.append(
            GazePairs(
                f"{number}", np.arange(count) / 200, gaze, np.repeat(view.to_pixels(at[None]), count, 0), 2, count + 2
            )
        )
    return out


@pytest.fixture(params=VIEWS, scope="module")
def made(request):
    view, rng = VIEWS[request.param], np.random.default_rng(8)
    tracker = Tracker.random(rng)
    calibration, _, targets = calibrate_gaze(make_pairs(GRID, tracker, view, rng), view)
    assert len(targets.names) == 9
    assert 0 < sum(targets.outliers) < 60
    return calibration.with_validation(make_pairs(INNER, tracker, view, rng)), tracker


def test_it_corrects_the_bias_and_knows_the_remaining_error(made):
    calibration, tracker = made
    gaze, truth = calibration.view.to_pixels(tracker.measure(INNER)), calibration.view.to_pixels(INNER)
    applied = calibration.apply(gaze)
    deg_px = calibration.view.px_per_degree(truth)
    assert (np.linalg.norm(gaze - truth, axis=1) / deg_px).mean() > 2
    assert (np.linalg.norm(applied.px - truth, axis=1) / deg_px).mean() < 0.3
    assert calibration.validation.verdict == "pass"
    assert not applied.is_extrapolated.any()
    assert np.allclose(
        applied.radius_px, calibration.validation.accuracy_deg * calibration.view.px_per_degree(applied.px)
    )


def test_far_from_the_targets_the_radius_grows(made):
    calibration, _ = made
    inside = calibration.apply(calibration.view.to_pixels(calibration.map.centre_deg[None]))
    corner = calibration.apply(np.array([[5.0, 715.0]]))
    assert corner.is_extrapolated[0]
    assert corner.radius_px[0] / inside.radius_px[0] > 1.2


def test_it_reads_back_from_its_dict(made):
    calibration, _ = made
    read = GazeCalibration.from_dict(json.loads(json.dumps(calibration.to_dict())))
    places = np.random.default_rng(0).uniform(0, 700, (50, 2))
    assert np.allclose(read.apply(places).px, calibration.apply(places).px)
    assert read.radius_deg == calibration.radius_deg


@pytest.mark.parametrize(
    "change",
    [
        {"drift_deg": [1]}, {"view": {}}, {"map": {"kind": "offset"}}, {"validation": 3}, {"drift_deg": [900, 1]},
        {"expected_deg": -1, "validation": None}, {"expected_deg": 1e999, "validation": None},
    ],
)  # fmt: skip
def test_invalid_calibrations_are_refused(made, change):
    with pytest.raises(CalibrationError, match=r"no gaze|neither a camera|no validation"):
        GazeCalibration.from_dict(made[0].to_dict() | change)


def test_a_map_with_huge_corrections_is_refused(made):
    fields = made[0].to_dict()
    wild = fields["map"] | {"weights": [[1e300, 1e300] for _ in fields["map"]["weights"]]}
    with pytest.raises(CalibrationError, match="more than 180 degrees"):
        GazeCalibration.from_dict(fields | {"map": wild})


def test_the_table_agrees_with_the_calibration(made):
    calibration, _ = made
    table = GazeTable(calibration)
    places = np.random.default_rng(1).uniform((-150, -100), (1430, 820), (300, 2))
    exact = calibration.apply(places)
    found = [table.correct(*map(float, place)) for place in places]
    assert np.abs(np.array([(f.x, f.y) for f in found]) - exact.px).max() < 1.0
    assert np.median(np.abs(np.array([f.radius_px for f in found]) / exact.radius_px - 1)) < 0.02
    assert np.mean(np.array([f.is_extrapolated for f in found]) == exact.is_extrapolated) > 0.97
    assert all(math.isfinite(value) for value in table.correct(1e6, -1e6))
