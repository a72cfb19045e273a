"""Tests locations and their covariance, and refusals where there is none."""

import math

import cv2
import numpy as np
import pytest

from benchmarks.solids import Solid, render_view
from calibration import PinholeCamera, RigidTransform
from calibration.objects.cloud import extract_cloud
from calibration.objects.place import (
    LocationError,
    compute_mask_ray,
    estimate_centroid,
    intersect_plane,
    locate_by_size,
)

CAMERA = PinholeCamera((320, 240), 260, 260, 159.5, 119.5, (-0.1, 0.01, 0, 0))


def disc(x, y, radius):
    mask = np.zeros((240, 320), np.uint8)
    cv2.circle(mask, (x, y), radius, 1, -1)
    return mask > 0


def test_the_centroids_error_is_within_its_covariance():
    camera, far = PinholeCamera((320, 240), 260, 260, 159.5, 119.5), []
    solid = Solid(RigidTransform.from_rotvec([0.3, 0.2, 0.1], [0.05, 0, 0.9]), (0.2, 0.15, 0.1))
    clean = render_view(camera, solid, np.random.default_rng(0), noise_m=1e-5, holes=0, bleed_px=0)
    truth = extract_cloud(clean.exact, clean.depth, camera).points.mean(0)
    for seed in range(8):
        sight_ = render_view(camera, solid, np.random.default_rng(seed), holes=0.3, bleed_px=3)
        spot = estimate_centroid(extract_cloud(sight_.mask, sight_.depth, camera))
        away = spot.point_m - truth
        far.append(float(away @ np.linalg.solve(spot.covariance, away)))
        assert np.linalg.eigvalsh(spot.covariance).min() > 0
    assert np.mean(far) < 3  # a chi-square of 3 degrees of freedom


def test_the_ray_meets_the_mask_even_where_its_middle_is_a_hole():
    ring = disc(160, 120, 40) & ~disc(160, 120, 30)
    x, y = CAMERA.project([compute_mask_ray(ring, CAMERA)])[0]
    assert ring[round(y), round(x)]
    whole = CAMERA.project([compute_mask_ray(disc(100, 90, 20), CAMERA)])[0]
    assert whole == pytest.approx([100, 90], abs=0.01)
    with pytest.raises(LocationError, match="empty"):
        compute_mask_ray(np.zeros((240, 320), bool), CAMERA)


def test_a_disc_on_a_table_is_where_its_ray_meets_it():
    camera_from_table = RigidTransform.from_rotvec([-2.2, 0, 0], [0, 0.2, 1.0])  # a table seen from above and before
    there = camera_from_table.apply([0.1, 0.05, 0])
    x, y = CAMERA.project([there])[0]
    mask = disc(round(x), round(y), 6)
    spot = intersect_plane(mask, CAMERA, camera_from_table, np.diag([1e-6] * 3 + [1e-6] * 3))
    away = spot.point_m - there
    assert np.linalg.norm(away) < 0.01
    assert away @ np.linalg.solve(spot.covariance, away) < 9
    larger = intersect_plane(mask, CAMERA, camera_from_table, np.diag([1e-4] * 6))
    assert np.trace(larger.covariance) > np.trace(spot.covariance)


def test_a_plane_seen_from_its_edge_or_behind_gives_no_place():
    for pose in (
        RigidTransform.from_rotvec([math.pi / 2, 0, 0], [0, 0, 1]),
        RigidTransform.from_rotvec([0, 0, 0], [0, 0, -1]),
    ):
        with pytest.raises(LocationError, match="does not meet"):
            intersect_plane(disc(160, 120, 10), CAMERA, pose, np.zeros((6, 6)))


def test_a_ball_of_known_size_is_as_far_as_it_is():
    camera = PinholeCamera((320, 240), 260, 260, 159.5, 119.5)
    radius, far = 0.05, 0.8
    px = 260 * radius / math.sqrt(far**2 - radius**2)
    y, x = np.mgrid[:240, :320]
    ball = (x - 159.5) ** 2 + (y - 119.5) ** 2 <= px**2
    spot = locate_by_size(ball, camera, 2 * radius)
    assert spot.point_m == pytest.approx([0, 0, far], abs=0.02)
    assert 0.02 < math.sqrt(spot.covariance[2, 2]) < 0.15


def test_cut_off_or_tiny_masks_have_no_size():
    with pytest.raises(LocationError, match="edge"):
        locate_by_size(disc(0, 120, 30), CAMERA, 0.1)
    with pytest.raises(LocationError, match="too small"):
        locate_by_size(disc(160, 120, 2), CAMERA, 0.1)
