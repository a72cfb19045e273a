"""Tests every camera model: round trips over the whole picture, and NaN outside the valid range."""

from __future__ import annotations

import json
import math

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from calibration import CalibrationError, CameraModel, FisheyeCamera, PinholeCamera, angles_deg, camera_from_dict
from tests.calibration.cameras import CAMERAS, CORE_WIDE, IDEAL, NEON, VERY_WIDE, WEBCAM
from tests.calibration.render import rays_by_opencv

ROUND_TRIP_PX = 0.1
every_camera = pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS.keys())


def whole_picture(camera: CameraModel, count: int = 60) -> np.ndarray:
    wide, high = camera.size
    x, y = np.meshgrid(np.linspace(-0.5, wide - 0.5, count), np.linspace(-0.5, high - 0.5, count))
    return np.column_stack([x.ravel(), y.ravel()])


@every_camera
def test_there_and_back_over_the_whole_picture(camera: CameraModel) -> None:
    pixels = whole_picture(camera)
    rays = camera.unproject(pixels)
    known = np.isfinite(rays).all(1)
    assert known.mean() > 0.985
    np.testing.assert_allclose(np.linalg.norm(rays[known], axis=1), 1, atol=1e-12)
    back = camera.project(rays[known] * np.linspace(0.1, 50, known.sum())[:, None], margin_px=1)
    assert np.abs(back - pixels[known]).max() < ROUND_TRIP_PX / 1000


@st.composite
def cameras(draw: st.DrawFn) -> CameraModel:
    """Draw any lens, plausible or not."""
    size = draw(st.sampled_from([(640, 480), (1280, 720), (1000, 1000)]))
    focal = draw(st.floats(0.2, 2.0)) * size[0]
    centre = [side * draw(st.floats(0.35, 0.65)) for side in size]
    k = st.floats(-0.6, 0.6)
    if draw(st.booleans()):
        numbers = tuple(draw(st.floats(-0.2, 0.2)) for _ in range(4))
        return FisheyeCamera(size, focal, focal * 1.01, *centre, numbers)
    count = draw(st.sampled_from([0, 4, 5, 8]))
    numbers = [draw(k) for _ in range(count)]
    numbers[2:4] = [value * 0.01 for value in numbers[2:4]]
    return PinholeCamera(size, focal, focal * 1.01, *centre, tuple(numbers))


@given(cameras())
def test_every_pixel_has_an_exact_ray_or_none(camera: CameraModel) -> None:
    pixels = whole_picture(camera, 25)
    rays = camera.unproject(pixels)
    known = np.isfinite(rays).all(1)
    assert np.isnan(rays[~known]).all()
    assert np.linalg.norm(rays[known], axis=1) == pytest.approx(1)
    back = camera.project(rays[known], margin_px=1)
    assert np.abs(back - pixels[known]).max(initial=0) < ROUND_TRIP_PX  # NaN would fail, too


@given(cameras(), st.lists(st.tuples(*[st.floats(-5, 5)] * 3), min_size=1, max_size=20))
def test_projected_points_come_back_as_the_same_ray_or_are_invalid(
    camera: CameraModel, points: list[tuple[float, float, float]]
) -> None:
    """A polynomial that folds back maps invalid rays into the picture; here it must not."""
    sizes = np.linalg.norm(points, axis=1)
    assume((sizes > 0.1).all())
    pixels = camera.project(points)
    visible = np.isfinite(pixels).all(1)
    assert camera.contains(pixels[visible]).all()
    back = camera.unproject(pixels[visible])
    # Where the polynomial is almost flat a pixel covers degrees; so compare in pixels.
    again = camera.project(back, margin_px=1)
    assert np.abs(again - pixels[visible]).max(initial=0) < ROUND_TRIP_PX
    assert angles_deg(back, np.array(points)[visible] / sizes[visible, None]).max(initial=0) < 1e-3 + 60 * (
        ROUND_TRIP_PX / min(camera.fx, camera.fy)
    )


@every_camera
def test_it_agrees_with_opencv(camera: CameraModel) -> None:
    rays = camera.unproject(whole_picture(camera, 20))
    rays = rays[np.isfinite(rays).all(1) & (rays[:, 2] > 0.05)]
    numbers = np.array(camera.coefficients or (0.0,) * 4)
    if isinstance(camera, FisheyeCamera):
        theirs, _ = cv2.fisheye.projectPoints(rays[:, None], np.zeros(3), np.zeros(3), camera.matrix, numbers)
    else:
        theirs, _ = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), camera.matrix, numbers)
    np.testing.assert_allclose(camera.project(rays, margin_px=1), theirs.reshape(-1, 2), atol=1e-6)


@every_camera
def test_points_outside_or_behind_are_invalid(camera: CameraModel) -> None:
    wide, high = camera.size
    outside = [(-1, 5), (5, -1), (wide, 5), (5, high), (1e9, 1e9), (math.nan, 5), (math.inf, 0), (-math.inf, 2)]
    assert np.isnan(camera.unproject(outside)).all()
    assert np.isnan(camera.project([(0, 0, -1), (0.1, 0.1, -1), (0, 0, 0), (math.nan, 0, 1)])).all()
    assert np.isfinite(camera.project([(0, 0, 1)])).all()


def test_a_margin_admits_points_a_little_outside() -> None:
    assert np.isfinite(WEBCAM.unproject([(-20, 200)], margin_px=30)).all()
    assert np.isnan(WEBCAM.unproject([(-40, 200)], margin_px=30)).all()


def test_a_fisheye_covers_rays_behind_itself() -> None:
    rays = VERY_WIDE.unproject([(499.5, 10), (499.5, 499.5)])
    assert rays[0, 2] < 0
    np.testing.assert_allclose(rays[1], (0, 0, 1), atol=1e-12)


def test_the_real_neon_is_invalid_in_its_corners() -> None:
    """Its polynomial stops increasing at 66 degrees; OpenCV still returns a ray there."""
    corner = [(0.0, 0.0)]
    assert np.isnan(NEON.unproject(corner)).all()
    assert np.isfinite(rays_by_opencv(NEON, np.array(corner))).all()
    assert math.degrees(NEON.max_angle_rad) == pytest.approx(66.4, abs=0.2)


@pytest.mark.parametrize(("camera", "expected"), [(NEON, 15.5), (CORE_WIDE, 13.9), (IDEAL, 900 * math.pi / 180)])
def test_pixels_per_degree_at_the_centre(camera: CameraModel, expected: float) -> None:
    assert camera.px_per_degree() == pytest.approx(expected, rel=0.01)


@every_camera
def test_pixels_per_degree_elsewhere_is_what_a_degree_covers(camera: CameraModel) -> None:
    place = camera.size[0] * 0.3, camera.size[1] * 0.35
    ray = camera.unproject([place])[0]
    turns = [cv2.Rodrigues(np.radians(0.5) * np.cross(ray, axis) / np.linalg.norm(np.cross(ray, axis)))[0]
             for axis in np.eye(3)]  # fmt: skip
    steps = [np.hypot(*(camera.project([turn @ ray])[0] - place)) * 2 for turn in turns]
    assert min(steps) * 0.9 < camera.px_per_degree(place) < max(steps) * 1.1
    assert math.isnan(camera.px_per_degree((-50, -50)))


def test_undistortion_straightens_lines() -> None:
    x = np.linspace(-0.35, 0.35, 200)
    line = np.column_stack([x, np.full(200, 0.3), np.ones(200)])
    image = np.zeros((480, 640), np.uint8)
    pixels = WEBCAM.project(line)
    cv2.polylines(image, [np.rint(pixels * 16).astype(np.int32)], False, 255, 2, cv2.LINE_AA, 4)
    rows, columns = np.nonzero(WEBCAM.undistort(image) > 120)
    bent_rows, bent_columns = np.nonzero(image > 120)
    off = np.abs(rows - np.polyval(np.polyfit(columns, rows, 1), columns)).max()
    was = np.abs(bent_rows - np.polyval(np.polyfit(bent_columns, bent_rows, 1), bent_columns)).max()
    assert off < 1.6 < was
    expected = WEBCAM.without_distortion().project(line[:1])[0]
    assert np.abs(np.column_stack([columns, rows]) - expected).sum(1).min() < 2


def test_undistorting_agrees_with_opencv_and_wants_the_right_size() -> None:
    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 3)
    theirs = cv2.undistort(image, WEBCAM.matrix, np.array(WEBCAM.coefficients))
    ours = WEBCAM.undistort(image)
    inner = (slice(40, -40), slice(40, -40))
    assert np.abs(ours[inner].astype(int) - theirs[inner]).max() <= 2
    with pytest.raises(CalibrationError, match="640 x 480"):
        WEBCAM.undistort(image[:, :320])


@every_camera
def test_it_is_written_as_json_and_read_back(camera: CameraModel) -> None:
    assert camera_from_dict(json.loads(json.dumps(camera.to_dict()))) == camera


@pytest.mark.parametrize(
    "change",
    [
        {"model": "lightfield"}, {"size": [640]}, {"size": [0, 480]}, {"size": [640.5, 480]}, {"fx": 0}, {"fx": "wide"},
        {"fy": math.nan}, {"coefficients": [0.1, 0.2]}, {"coefficients": [0.0] * 14}, {"coefficients": None},
        {"cx": math.inf}, {"size": None},
    ],
)  # fmt: skip
def test_invalid_cameras_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(CalibrationError):
        camera_from_dict({**WEBCAM.to_dict(), **change})


def test_a_missing_number_is_named() -> None:
    fields = WEBCAM.to_dict()
    del fields["fy"]
    with pytest.raises(CalibrationError, match="fy"):
        camera_from_dict(fields)


@given(st.floats(1e-7, math.pi))
def test_angles_are_exact_at_every_size(angle: float) -> None:
    ray = np.array([[math.sin(angle), 0, math.cos(angle)]])
    assert angles_deg([[0, 0, 1]], ray)[0] == pytest.approx(math.degrees(angle), rel=1e-6)
