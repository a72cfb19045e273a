"""Tests pixels to degrees and back, with and without a lens, in the picture and beyond it."""

from __future__ import annotations

import numpy as np
import pytest

from calibration import CalibrationError, FisheyeCamera, PinholeCamera, angles_deg
from calibration.gaze.view import CameraView, FlatView, view_from_dict

LENSES = {
    "pinhole": PinholeCamera((1280, 720), 650.0, 655.0, 630.0, 365.0, (-0.3, 0.1, 0.001, 0.0, 0.0)),
    "fisheye": FisheyeCamera((1280, 720), 520.0, 520.0, 640.0, 360.0, (0.02, -0.01, 0.0, 0.0)),
}
VIEWS = {**{name: CameraView(camera) for name, camera in LENSES.items()}, "flat": FlatView((1280, 720))}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_there_and_back(view):
    points = np.random.default_rng(0).uniform((0, 0), (1279, 719), (500, 2))
    assert np.abs(view.to_pixels(view.to_degrees(points)) - points).max() < 0.05


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_beyond_the_picture_it_goes_on_evenly(view):
    """Biased gaze at the edge may be reported outside; it must neither be lost nor jump."""
    out = np.column_stack([np.linspace(1200, 1500, 301), np.full(301, 200.0)])
    there = view.to_degrees(out)
    assert np.isfinite(there).all()
    steps = np.linalg.norm(np.diff(there, axis=0), axis=1)
    assert steps.max() < 2 * np.median(steps)
    assert np.abs(view.to_pixels(there) - out).max() < 25


@pytest.mark.parametrize("name", LENSES)
def test_degrees_are_true_angles_from_the_axis(name):
    camera, view = LENSES[name], VIEWS[name]
    pixel = np.array([[200.0, 650.0]])
    ray = camera.unproject(pixel)
    axis = np.array([[0.0, 0.0, 1.0]])
    assert np.linalg.norm(view.to_degrees(pixel)) == pytest.approx(angles_deg(ray, axis)[0], abs=1e-6)
    other = np.array([[900.0, 80.0]])
    between = view.angles_between_deg(view.to_degrees(pixel), view.to_degrees(other))
    assert between[0] == pytest.approx(angles_deg(ray, camera.unproject(other))[0], abs=1e-6)


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_it_can_be_written_and_read(view):
    assert view_from_dict(view.to_dict()) == view


def test_invalid_views_are_refused():
    with pytest.raises(CalibrationError, match="neither a camera nor a size"):
        view_from_dict({"size": "large"})


@pytest.mark.parametrize("name", LENSES)
def test_pixels_of_a_degree_are_those_of_the_camera(name):
    places = np.array([[640.0, 360.0], [100.0, 80.0], [1200.0, 400.0]])
    found = VIEWS[name].px_per_degree(places)
    assert np.allclose(found, [LENSES[name].px_per_degree((x, y)) for x, y in places], rtol=1e-4)
    assert np.isfinite(VIEWS[name].px_per_degree([[-500.0, 4000.0]])).all()
