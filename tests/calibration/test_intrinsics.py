"""Tests recovered intrinsics, their standard deviations, and rejected views."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from calibration import CalibrationError, CameraModel
from calibration.boards import BoardDetection, parse_board
from calibration.intrinsics import LensModel, calibrate_camera
from calibration.pose import project_board
from tests.calibration.cameras import CORE_WIDE, NEON, WEBCAM
from tests.calibration.render import facing, photograph
from tests.calibration.shared import PHOTOS, needs_photos

BOARD = parse_board("charuco:11x8:30mm:20mm:6X6_250")


def views(camera: CameraModel, count: int = 15, sigma_px: float = 0.1, seed: int = 0) -> list[BoardDetection]:
    """Simulate detections with noise, tilted and all over the picture."""
    rng, found = np.random.default_rng(seed), []
    # How wide the camera sees, to put the board everywhere in its picture.
    wide, high = camera.size
    edges = camera.normalize_points([(wide * 0.12, camera.cy), (camera.cx, high * 0.12)])
    while len(found) < count:
        distance = rng.uniform(0.3, 0.6)
        offset = rng.uniform(-1, 1, 2) * (abs(edges[0, 0]) * distance, abs(edges[1, 1]) * distance)
        pose = facing(BOARD, distance, tuple(rng.uniform((-0.6, -0.6, -3), (0.6, 0.6, 3))), tuple(offset))
        pixels = project_board(camera, pose, BOARD.corner_points()) + rng.normal(
            0, sigma_px, (len(BOARD.corner_points()), 2)
        )
        visible = camera.contains(pixels)
        if visible.sum() > 20:
            name = f"view{len(found):02}"
            found.append(
                BoardDetection(
                    name, camera.size, np.flatnonzero(visible), BOARD.corner_points()[visible], pixels[visible]
                )
            )
    return found


CASES = pytest.mark.parametrize(
    ("camera", "lens"), [(WEBCAM, "pinhole5"), (NEON, "pinhole8"), (CORE_WIDE, "fisheye")],
    ids=["webcam", "neon", "core wide"],
)  # fmt: skip


@CASES
def test_a_camera_is_recovered(camera: CameraModel, lens: LensModel) -> None:
    """Compared in pixels, because coefficients compensate for one another.

    A shift of all pixels is a rotation of the camera by some arc seconds, which the boards' poses absorb.
    """
    result = calibrate_camera(views(camera, 20), lens=lens)
    assert result.rms_px == pytest.approx(0.1 * 2**0.5, rel=0.1)
    assert not result.rejected_views
    x, y = np.meshgrid(np.linspace(0.08, 0.92, 20), np.linspace(0.08, 0.92, 20))
    rays = camera.unproject(np.column_stack([x.ravel(), y.ravel()]) * camera.size)
    shifts = result.camera.project(rays, margin_px=20) - camera.project(rays)
    off = np.hypot(*(shifts - np.median(shifts, axis=0)).T)
    assert off.max() < 1.6  # in the corners, where few views reach
    assert off.mean() < 0.25
    for name, value in (("fx", camera.fx), ("fy", camera.fy), ("cx", camera.cx), ("cy", camera.cy)):
        assert abs(getattr(result.camera, name) - value) < 4 * result.std[name], name


@CASES
def test_standard_deviations_match_repeated_fits(camera: CameraModel, lens: LensModel) -> None:
    exact = views(camera, 10, sigma_px=0)
    rng, visible, estimated = np.random.default_rng(5), [], []
    for _ in range(15):
        noisy = [replace(v, points_px=v.points_px + rng.normal(0, 0.2, v.points_px.shape)) for v in exact]
        result = calibrate_camera(noisy, lens=lens)
        visible.append([result.camera.fx, result.camera.fy, result.camera.cx, result.camera.cy])
        estimated.append([result.std[name] for name in ("fx", "fy", "cx", "cy")])
    ratios = np.std(visible, axis=0) / np.mean(estimated, axis=0)
    assert (ratios > 0.45).all(), ratios  # of 15 draws, 3 standard deviations either way
    assert (ratios < 1.6).all(), ratios


def test_standard_deviations_agree_with_opencv() -> None:
    detections = views(WEBCAM, 12)
    result = calibrate_camera(detections)
    objects = [d.object_points.astype(np.float32) for d in detections]
    pixels = [d.points_px.astype(np.float32) for d in detections]
    theirs = cv2.calibrateCameraExtended(objects, pixels, WEBCAM.size, np.eye(3), np.zeros(5))[5].ravel()[:9]
    np.testing.assert_allclose(list(result.std.values()), theirs, rtol=0.02)


def test_a_view_with_wrong_corners_is_named_and_dropped() -> None:
    detections = views(WEBCAM, 12)
    wrong = replace(
        detections[4], points_px=detections[4].points_px + np.linspace(0, 6, len(detections[4].ids))[:, None]
    )
    detections[4] = wrong
    result = calibrate_camera(detections)
    assert [view.name for view in result.rejected_views] == ["view04"]
    assert "times the median" in result.rejected_views[0].reason
    assert result.rms_px < 0.16 < result.before_rejection[0]
    assert len(result.accepted_views) == 11
    everything = calibrate_camera(detections, reject_outliers=False)
    assert not everything.rejected_views
    assert everything.rms_px == pytest.approx(result.before_rejection[0])


def test_a_view_of_another_size_is_named() -> None:
    detections = views(WEBCAM, 8)
    detections[2] = replace(detections[2], size=(1280, 960))
    result = calibrate_camera(detections)
    assert [view.name for view in result.rejected_views] == ["view02"]
    assert "1280 x 960" in result.rejected_views[0].reason


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_views_are_refused(count: int) -> None:
    with pytest.raises(CalibrationError, match="too few"):
        calibrate_camera(views(WEBCAM, count))


@pytest.mark.parametrize("lens", ["pinhole5", "pinhole8", "fisheye"])
def test_one_repeated_view_is_refused_or_uncertain(lens: LensModel) -> None:
    one = views(WEBCAM, 1)[0]
    try:
        result = calibrate_camera([replace(one, name=f"view{i}") for i in range(5)], lens=lens)
    except CalibrationError:
        return
    assert result.std["fx"] > 0.005 * result.camera.fx or result.coverage.next_instruction


def test_an_unknown_lens_is_refused() -> None:
    with pytest.raises(CalibrationError, match="pinhole5"):
        calibrate_camera(views(WEBCAM, 4), lens="pinhole14")  # type: ignore[arg-type]


def test_rendered_photos_give_the_camera_that_took_them() -> None:
    """Nothing but pixels: drawn, photographed, found and fitted."""
    board, rng, found = parse_board("charuco:5x7:40mm:20mm:6X6_250"), np.random.default_rng(3), []
    for number in range(8):
        turn, offset = rng.uniform((-0.5, -0.5, -3), (0.5, 0.5, 3)), rng.uniform((-0.1, -0.07), (0.1, 0.07))
        image = photograph(
            WEBCAM, board, facing(board, 0.45, tuple(turn), tuple(offset)), noise=2, seed=number, scale=1
        )
        detection = board.detect(image, f"{number}")
        if detection is not None:
            found.append(detection)
    result = calibrate_camera(found)
    assert len(result.accepted_views) >= 7
    assert result.rms_px < 0.3
    assert result.camera.fx == pytest.approx(WEBCAM.fx, abs=max(4 * result.std["fx"], 1))


@needs_photos
def test_the_chessboard_photos() -> None:
    board = parse_board("chessboard:9x6:25mm")
    photos = [board.detect(np.asarray(cv2.imread(str(path)), np.uint8), path.stem)
              for path in sorted((PHOTOS / "chessboard_9x6").glob("*.jpg"))]  # fmt: skip
    detections = [photo for photo in photos if photo is not None]
    assert len(detections) == 13
    everything = calibrate_camera(detections, reject_outliers=False)
    assert everything.rms_px == pytest.approx(0.41, abs=0.005)
    assert everything.camera.fx == pytest.approx(536, abs=0.5)
    result = calibrate_camera(detections)
    assert [view.name for view in result.rejected_views] == ["left02"]
    assert result.rms_px == pytest.approx(0.234, abs=0.005)
    assert result.before_rejection == pytest.approx((0.4087, 536.07), abs=0.01)
    # What was dropped was wrong: without it everything is surer.
    assert result.std["fx"] < 0.75 * everything.std["fx"]


@needs_photos
def test_the_charuco_photos() -> None:
    board = parse_board("charuco:5x7:40mm:20mm:6X6_250")
    photos = [board.detect(np.asarray(cv2.imread(str(path)), np.uint8), path.stem)
              for path in sorted((PHOTOS / "charuco_5x7").glob("*.jpg"))]  # fmt: skip
    detections = [photo for photo in photos if photo is not None]
    assert [len(detection.ids) for detection in detections] == [24] * 4
    result = calibrate_camera(detections)
    assert result.rms_px == pytest.approx(0.19, abs=0.005)
    assert result.std["fx"] > 5  # four photos that all lean the same way fix no focal length, and it says so
