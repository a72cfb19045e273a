"""Tests gaze on a monitor by the markers around it, also where they are old or disagree."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from calibration import CalibrationError, CameraModel
from calibration.markers import APRILTAG, detect_markers, get_marker_dictionary
from calibration.rigid import RigidTransform
from calibration.screen import MAX_MARKER_AGE_S, ScreenPlane, ScreenTracker
from tests.calibration.cameras import CORE_WIDE, NEON, WEBCAM

SIZE_M = (0.53, 0.30)
SCREEN = ScreenPlane.with_corner_markers(SIZE_M, 0.05, gap=0.01)
CAMERAS = pytest.mark.parametrize("camera", [NEON, CORE_WIDE, WEBCAM], ids=["neon", "core wide", "webcam"])


def pose(camera: CameraModel, turn: tuple[float, float, float] = (0.1, -0.25, 0.05)) -> RigidTransform:
    """camera_from_screen, the screen's middle before the camera, about half the picture wide."""
    distance = 1.1 * SIZE_M[0] / float(camera.normalize_points([(camera.size[0] * 0.95, camera.cy)])[0, 0])
    middle = RigidTransform(np.eye(3), np.array([-SIZE_M[0] / 2, -SIZE_M[1] / 2, 0]))
    return RigidTransform.from_rotvec(turn, [0.02, 0.01, distance]) @ middle


def markers_of(
    camera: CameraModel, camera_from_screen: RigidTransform, screen: ScreenPlane = SCREEN
) -> dict[int, np.ndarray]:
    def flat(points: np.ndarray) -> np.ndarray:
        return camera.project(camera_from_screen.apply(np.column_stack([points, np.zeros(len(points))])))

    return {number: flat(corners) for number, corners in screen.markers.items()}


def pixel_of(
    camera: CameraModel, camera_from_screen: RigidTransform, place: tuple[float, float]
) -> tuple[float, float]:
    x, y = camera.project([camera_from_screen.apply([*place, 0.0])])[0]
    return float(x), float(y)


@CAMERAS
@pytest.mark.parametrize("place", [(0.0, 0.0), (0.53, 0.0), (0.265, 0.15), (0.1, 0.28)])
def test_gaze_at_a_place_is_located_there(camera: CameraModel, place: tuple[float, float]) -> None:
    where = pose(camera)
    tracker = ScreenTracker(camera, SCREEN)
    assert tracker.update_markers(markers_of(camera, where), 1.0)
    gaze = tracker.locate_gaze(pixel_of(camera, where, place), 1.1)
    assert gaze is not None
    assert (gaze.x, gaze.y) == pytest.approx(place, abs=1e-5)
    assert gaze.age_s == pytest.approx(0.1)
    assert tracker.error_px < 0.01


def test_gaze_off_the_screen_is_reported() -> None:
    where = pose(NEON)
    tracker = ScreenTracker(NEON, SCREEN)
    tracker.update_markers(markers_of(NEON, where), 0.0)
    inside = tracker.locate_gaze(pixel_of(NEON, where, (0.2, 0.2)), 0.0)
    outside = tracker.locate_gaze(pixel_of(NEON, where, (-0.02, 0.2)), 0.0)
    assert inside is not None
    assert inside.is_on_screen
    assert outside is not None
    assert not outside.is_on_screen
    assert outside.x == pytest.approx(-0.02, abs=1e-5)


def test_the_detection_is_held_then_expires() -> None:
    where = pose(NEON)
    tracker = ScreenTracker(NEON, SCREEN)
    gaze = pixel_of(NEON, where, (0.2, 0.1))
    assert tracker.locate_gaze(gaze, 0.0) is None
    tracker.update_markers(markers_of(NEON, where), 5.0)
    assert tracker.locate_gaze(gaze, 5.0 + MAX_MARKER_AGE_S - 1e-6) is not None
    for at in (5.0 + MAX_MARKER_AGE_S + 1e-3, 4.9, math.nan):
        assert tracker.locate_gaze(gaze, at) is None


def test_late_gaze_uses_the_detection_of_its_own_time() -> None:
    """The head turns between two frames; the gaze belongs to the first and arrives after the second."""
    before = pose(NEON)
    after = RigidTransform.from_rotvec([0, 0.05, 0], [0, 0, 0]) @ before
    tracker = ScreenTracker(NEON, SCREEN)
    gaze = pixel_of(NEON, before, (0.2, 0.1))
    assert tracker.update_markers(markers_of(NEON, before), 1.0)
    assert tracker.update_markers(markers_of(NEON, after), 1.033)
    late, now = tracker.locate_gaze(gaze, 1.02), tracker.locate_gaze(gaze, 1.04)
    assert late is not None
    assert now is not None
    assert (late.x, late.y) == pytest.approx((0.2, 0.1), abs=1e-5)
    assert late.age_s == pytest.approx(0.02)
    assert math.hypot(now.x - 0.2, now.y - 0.1) > 0.01
    assert tracker.locate_gaze(gaze, 0.99) is None


def test_a_marker_that_does_not_fit_the_others_is_refused() -> None:
    """By 30 px: the homography absorbs most of the error of one of four markers."""
    where = pose(NEON)
    tracker = ScreenTracker(NEON, SCREEN)
    markers = markers_of(NEON, where)
    markers[2] = markers[2] + (30.0, -30.0)
    assert not tracker.update_markers(markers, 1.0)
    assert tracker.error_px > 3
    assert "another marker of the same number" in tracker.reason
    assert tracker.locate_gaze((800, 600), 1.0) is None
    markers[2] = markers[2] - (29.7, -29.7)
    assert tracker.update_markers(markers, 1.1)
    assert tracker.reason == ""


def test_three_of_four_markers_do_and_two_do_not() -> None:
    where = pose(NEON)
    markers = markers_of(NEON, where)
    tracker = ScreenTracker(NEON, SCREEN)
    three = {number: markers[number] for number in (0, 1, 3)}
    assert tracker.update_markers(three, 1.0)
    gaze = tracker.locate_gaze(pixel_of(NEON, where, (0.5, 0.28)), 1.0)
    assert gaze is not None
    assert (gaze.x, gaze.y) == pytest.approx((0.5, 0.28), abs=1e-4)
    assert not tracker.update_markers({0: markers[0], 2: markers[2], 77: markers[1]}, 2.0)
    assert "2 of the screen's markers" in tracker.reason
    assert not tracker.update_markers({}, 2.0)


def test_jitter_of_corners_moves_the_gaze_little() -> None:
    """0.3 px of noise on 16 corners: less than 2 mm on a monitor half a metre wide."""
    where, rng = pose(NEON), np.random.default_rng(0)
    tracker, errors = ScreenTracker(NEON, SCREEN), []
    for number in range(60):
        noisy = {key: value + rng.normal(0, 0.3, (4, 2)) for key, value in markers_of(NEON, where).items()}
        assert tracker.update_markers(noisy, float(number))
        gaze = tracker.locate_gaze(pixel_of(NEON, where, (0.3, 0.1)), float(number))
        assert gaze is not None
        errors.append(math.hypot(gaze.x - 0.3, gaze.y - 0.1))
    assert max(errors) < 0.002


def test_without_undistortion_it_would_be_off() -> None:
    """Before a fisheye the same markers are refused when its lens is left out."""
    near = RigidTransform.from_rotvec([0, 0, 0], [-0.2, -0.15, 0.35])
    assert ScreenTracker(CORE_WIDE, SCREEN).update_markers(markers_of(CORE_WIDE, near), 0.0)
    assert not ScreenTracker(CORE_WIDE.without_distortion(), SCREEN).update_markers(markers_of(CORE_WIDE, near), 0.0)


def test_gaze_outside_the_picture_is_unknown() -> None:
    tracker = ScreenTracker(NEON, SCREEN)
    tracker.update_markers(markers_of(NEON, pose(NEON)), 0.0)
    for gaze in ((-10.0, 5.0), (math.nan, 5.0), (5.0, 1e9)):
        assert tracker.locate_gaze(gaze, 0.0) is None


def test_beyond_the_horizon_of_the_screen_is_unknown() -> None:
    """A screen that leans away has a vanishing line in the picture; what is above it hits its plane behind us."""
    where = RigidTransform.from_rotvec([-1.25, 0, 0], [0, 0.35, 0.8]) @ RigidTransform(
        np.eye(3), np.array([-0.265, -0.15, 0])
    )
    tracker = ScreenTracker(NEON, SCREEN)
    assert tracker.update_markers(markers_of(NEON, where), 0.0), tracker.reason
    assert tracker.locate_gaze((NEON.cx, 1000.0), 0.0) is not None
    assert tracker.locate_gaze((NEON.cx, 150.0), 0.0) is None


def test_markers_are_found_in_a_picture_of_a_monitor() -> None:
    """Drawn, warped as by a pinhole camera, detected and fixated: within 1 px of the monitor."""
    size_px, marker = (960, 540), 90
    screen = ScreenPlane.with_corner_markers(size_px, marker, gap=-marker - 20.0)
    monitor = np.full((size_px[1], size_px[0]), 255, np.uint8)
    for number, corners in screen.markers.items():
        left, top = corners[0].astype(int)
        tag = cv2.aruco.generateImageMarker(get_marker_dictionary(APRILTAG), number, marker)
        monitor[top : top + marker, left : left + marker] = tag
    camera = NEON.without_distortion()
    corners = np.array([[300, 250], [1250, 330], [1180, 900], [340, 860]], np.float32)
    places = np.array([[0, 0], [size_px[0], 0], size_px, [0, size_px[1]]], np.float32) - 0.5
    warp = cv2.getPerspectiveTransform(places, corners)
    photo = cv2.warpPerspective(monitor, warp, camera.size, flags=cv2.INTER_AREA, borderValue=60)
    markers = detect_markers(photo)
    assert set(markers) == {0, 1, 2, 3}
    tracker = ScreenTracker(camera, screen)
    assert tracker.update_markers(markers, 0.0), tracker.reason
    target = cv2.perspectiveTransform(np.array([[[700.0, 200.0]]]) - 0.5, warp)[0, 0]
    gaze = tracker.locate_gaze((float(target[0]), float(target[1])), 0.0)
    assert gaze is not None
    assert (gaze.x, gaze.y) == pytest.approx((700, 200), abs=1.0)


def test_a_duplicate_marker_is_ignored() -> None:
    tag = np.pad(cv2.aruco.generateImageMarker(get_marker_dictionary(APRILTAG), 5, 100), 40, constant_values=255)
    assert set(detect_markers(tag)) == {5}
    assert detect_markers(np.hstack([tag, tag])) == {}


def test_invalid_screens_are_refused() -> None:
    with pytest.raises(CalibrationError, match="3 markers"):
        ScreenPlane((1, 1), {0: np.zeros((4, 2))})
    with pytest.raises(CalibrationError, match="4 corners"):
        ScreenPlane((1, 1), {number: np.zeros((2, 2)) for number in range(4)})
