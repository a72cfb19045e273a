"""The table: what is seen agrees with where things are, and a device that plays it sends depth with its pictures."""

import cv2
import numpy as np
import pytest

from calibration.boards import parse_board
from calibration.formats import read_camera
from calibration.pose import estimate_pose
from realtime.robotics.robot_frame import load_robot_frame
from realtime.simulation.device import SimulatedTracker
from realtime.simulation.table_scene import (
    BASE_FROM_BOARD,
    BOARD,
    BOXES,
    CAMERA_NAME,
    FPS,
    PERIOD_S,
    SIZE,
    TableClip,
    write_calibrations,
)
from realtime.sources.pupil.device_sources import PupilDepth, PupilFrames
from tests.realtime.waiting import eventually

CLIP = TableClip()


@pytest.mark.parametrize("at_s", [0.0, 5.0, 9.5, 14.0])
def test_depth_puts_every_box_where_it_is(at_s):
    view = CLIP.render_view(at_s)
    for box, mask in zip(BOXES, view.masks, strict=True):
        assert mask.sum() > 3000
        inner = cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        rows, columns = np.nonzero(inner & (view.depth > 0))
        plane = CLIP.camera.normalize_points(np.column_stack([columns, rows]).astype(float))
        seen_m = np.column_stack([plane, np.ones(len(plane))]) * view.depth[rows, columns, None] / 1000
        own_m = box.base_from_box.inverse().apply(CLIP.base_from_camera(at_s).apply(seen_m))
        outside_m = np.abs(own_m) - np.array(box.sides_m) / 2
        assert np.abs(np.median(outside_m.max(1))) < 0.001  # on a face, with the noise to both sides
        assert np.quantile(outside_m.max(1), 0.99) < 0.008
        share = (view.depth[mask] > 0).mean()
        assert 0.8 < share < 1  # holes, most at edges


def test_the_eyes_dwell_on_each_box_and_the_scene_repeats():
    targets = [CLIP.get_target_index(n / FPS) for n in range(round(PERIOD_S * FPS))]
    assert sorted(set(targets)) == targets[:: len(targets) // len(BOXES)] == list(range(len(BOXES)))
    for at_s in (0.5, 4.5, 8.5, 12.5):
        view = CLIP.render_view(at_s)
        assert view.masks[CLIP.get_target_index(at_s)][round(view.aim.y), round(view.aim.x)]
    metres, turn = CLIP.base_from_camera(0.0).distance_to(CLIP.base_from_camera(PERIOD_S))
    assert metres < 1e-9
    assert turn < 1e-9


def test_the_board_gives_the_pose_of_the_head():
    for at_s in (0.0, 6.0):
        found = parse_board(BOARD).detect(CLIP.render_view(at_s).image)
        pose = estimate_pose(CLIP.camera, found.object_points, found.points_px)
        head = BASE_FROM_BOARD @ pose.camera_from_board.inverse()
        metres, turn = head.distance_to(CLIP.base_from_camera(at_s))
        assert metres < 0.03  # of 0.8 m, by a board of 18 cm
        assert turn < 0.04


def test_a_device_sends_the_depth_of_each_picture():
    device = SimulatedTracker(TableClip(), port=0)
    frames, depth = PupilFrames("127.0.0.1", device.port), PupilDepth("127.0.0.1", device.port, same_clock=True)
    seen, pairs = [], []

    def both():
        found = depth.find_nearest(seen[-1], 0.001, 0.5) if seen else None
        if found is not None:
            pairs.append((seen[-1], found))
        return bool(pairs)

    try:
        frames.start(seen.append)
        depth.start()
        device.start()
        eventually(both, "a frame and its depth")
    finally:
        frames.stop()
        depth.stop()
        device.stop()
    frame, found = pairs[0]
    assert found.apart_s == 0
    view = CLIP.render_view(frame.index / FPS)
    np.testing.assert_array_equal(found.depth, view.depth.astype(np.float32) / 1000)
    assert np.abs(frame.image.astype(int) - view.image).mean() < 4  # JPEG


def test_its_calibrations_are_valid_records(tmp_path):
    camera, robot = write_calibrations(tmp_path)
    assert read_camera(camera, SIZE) == (CAMERA_NAME, CLIP.camera)
    assert load_robot_frame(robot, CAMERA_NAME, by_board=True).frame_id == "base"
