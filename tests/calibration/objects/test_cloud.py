"""Tests which points of a depth image belong to an object: bleeding, flying and missing pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.solids import Solid, render_view
from calibration import CalibrationError, FisheyeCamera, PinholeCamera, RigidTransform
from calibration.objects.cloud import CloudError, CloudSettings, compute_ray_grid, convert_to_metres, extract_cloud
from calibration.objects.place import estimate_centroid
from calibration.objects.register import register_depth

CAMERA = PinholeCamera((320, 240), 260, 260, 159.5, 119.5)
BOX = Solid(RigidTransform.from_rotvec([0.5, 0.4, 0.3], [0.02, 0.01, 0.8]), (0.28, 0.18, 0.12))


def test_depth_of_drivers_is_metres_and_0_where_there_is_none():
    assert convert_to_metres(np.array([[0, 1500, 65535]], np.uint16)).tolist() == [[0, 1.5, 0]]
    assert convert_to_metres(np.array([[np.nan, -1, np.inf, 2]], np.float32)).tolist() == [[0, 0, 0, 2]]
    with pytest.raises(CalibrationError, match="16UC1"):
        convert_to_metres(np.zeros((4, 4), np.uint8))


@pytest.mark.parametrize("camera", [
    PinholeCamera((320, 240), 260, 262, 158, 121, (-0.2, 0.05, 0.001, -0.002, 0.0)),
    FisheyeCamera((320, 240), 150, 150, 160, 120),
])  # fmt: skip
def test_points_project_back_onto_their_pixels(camera):
    mask = np.zeros((240, 320), bool)
    mask[60:180, 80:240] = True
    cloud = extract_cloud(mask, np.full((240, 320), 0.7, np.float32), camera)
    assert cloud.points[:, 2] == pytest.approx(0.7)  # along the axis, not the distance
    pixels = camera.project(cloud.points.astype(float))
    assert np.abs(pixels - np.rint(pixels)).max() < 0.01
    assert len(cloud.points) == mask.sum()


def test_a_mask_that_bleeds_onto_the_wall_gives_the_objects_points():
    view = render_view(CAMERA, BOX, np.random.default_rng(0), bleed_px=6, holes=0.1)
    cloud = extract_cloud(view.mask, view.depth, CAMERA)
    inside = np.abs(BOX.pose.inverse().apply(cloud.points)) < np.array(BOX.sides_m) / 2 + 0.01
    assert inside.all(1).mean() > 0.995
    assert len(cloud.points) > 0.9 * (view.exact & (view.depth > 0)).sum()
    assert cloud.valid_share == pytest.approx((view.depth[view.mask] > 0).mean())
    assert cloud.noise_m == pytest.approx(0.002, rel=0.2)


def test_handles_too_thin_for_the_eroded_mask_are_kept():
    depth = np.full((240, 320), 1.5, np.float32)
    mask = np.zeros((240, 320), bool)
    mask[100:160, 100:160] = True
    mask[128:132, 160:220] = True  # 4 px thick
    depth[mask] = 0.8
    assert len(extract_cloud(mask, depth, CAMERA).points) > 0.97 * mask.sum()


def test_an_object_split_by_an_occluder_stays_whole():
    depth = np.full((240, 320), 0.8, np.float32)
    mask = np.zeros((240, 320), bool)
    mask[60:180, 60:140] = mask[60:180, 170:240] = True
    depth[:, 145:165] = 0.7
    across = np.ptp(extract_cloud(mask, depth, CAMERA).points[:, 0])
    assert across == pytest.approx(0.8 * 179 / 260, rel=0.02)


def test_a_large_object_is_subsampled():
    mask = np.ones((240, 320), bool)
    settings = CloudSettings(most_pixels=5000)
    cloud = extract_cloud(mask, np.full(mask.shape, 2.0, np.float32), CAMERA, settings)
    assert len(cloud.points) < 5500
    assert estimate_centroid(cloud).point_m == pytest.approx([0, 0, 2], abs=0.02)


@pytest.mark.parametrize(
    ("depth", "reason"), [(0.0, "0 % of the mask has depth, 10 % are needed"), (None, "one connected surface")]
)
def test_a_missing_surface_raises(depth, reason):
    mask = np.zeros((240, 320), bool)
    mask[100:140, 100:140] = True
    image = np.full((240, 320), depth or 0, np.float32)
    if depth is None:
        image = np.random.default_rng(0).uniform(0.3, 9, (240, 320)).astype(np.float32)
    with pytest.raises(CloudError, match=reason):
        extract_cloud(mask, image, CAMERA)


def test_mismatched_sizes_are_refused():
    with pytest.raises(CalibrationError, match="must be registered first"):
        extract_cloud(np.ones((240, 320), bool), np.ones((480, 640), np.float32), CAMERA)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([0.0, 0.5, 0.98]), st.integers(1, 60))
def test_any_depth_under_any_mask_gives_points_or_our_error(seed, holes, side):
    rng = np.random.default_rng(seed)
    depth = rng.choice(np.array([0, 0.001, 0.5, 50, 1e6], np.float32), (240, 320)) * rng.random((240, 320), np.float32)
    depth[rng.random(depth.shape) < holes] = 0
    mask = np.zeros((240, 320), bool)
    mask[120 : 120 + side, 100 : 100 + 2 * side] = True
    try:
        cloud = extract_cloud(mask, depth, CAMERA)
    except CloudError:
        return
    assert np.isfinite(cloud.points).all()
    assert np.isfinite(cloud.voxel_centroids).all()


def test_registration_shows_the_other_cameras_view():
    """A near board before a wall, from a depth camera 5 cm to the side: nearest wins, nothing shines through."""
    beside, colour = PinholeCamera((160, 120), 130, 130, 79.5, 59.5), CAMERA
    depth = np.full((120, 160), 2.0, np.float32)
    depth[40:80, 60:100] = 1.0
    registered = register_depth(depth, beside, colour, RigidTransform.from_rotvec([0, 0, 0], [0.05, 0, 0]))
    x = colour.project([[(np.array([60, 99]) - 79.5)[i] / 130 + 0.05, 0, 1.0] for i in (0, 1)])[:, 0]
    board = registered[100:140, int(x[0]) + 2 : int(x[1]) - 1]
    assert board == pytest.approx(1.0)
    assert set(np.unique(registered).tolist()) <= {0.0, 1.0, 2.0}
    shadow = registered[100:140, int(x[0]) - 8 : int(x[0]) - 1]  # the wall's part that the depth camera did not see
    assert (shadow == 0).any()


def test_registration_with_itself_changes_nothing():
    depth = np.random.default_rng(3).uniform(0.5, 2, (240, 320)).astype(np.float32)
    assert np.array_equal(register_depth(depth, CAMERA, CAMERA, RigidTransform.identity()), depth)


def test_a_part_is_registered_as_it_is_in_the_whole():
    rng = np.random.default_rng(4)
    depth = rng.uniform(0.5, 2, (120, 160)).astype(np.float32)
    beside = PinholeCamera((160, 120), 120, 120, 80, 60)
    camera, shift = (
        PinholeCamera((320, 240), 260, 262, 158, 121, (-0.2, 0.05, 0, 0)),
        RigidTransform.from_rotvec([0, 0.05, 0], [0.05, 0, 0]),
    )
    whole = register_depth(depth, beside, camera, shift)
    part = register_depth(depth, beside, camera, shift, (100, 80, 180, 140))
    assert np.array_equal(part[80:140, 100:180], whole[80:140, 100:180])
    assert np.count_nonzero(part) < 0.5 * np.count_nonzero(whole)


def test_the_ray_grid_is_that_of_the_camera():
    assert compute_ray_grid(CAMERA)[7, 9] == pytest.approx([(9 - 159.5) / 260, (7 - 119.5) / 260])
