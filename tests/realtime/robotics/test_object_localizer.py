"""Tests that a mask and depth become `object3d`, and which method and reason remain without depth."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.solids import Solid, render_view
from calibration import CalibrationError, PinholeCamera, RigidTransform, UncertainTransform, record
from calibration.boards import parse_board
from calibration.objects import with_open3d
from realtime.comms.messages import MaskMessage
from realtime.config.objects import ObjectSettings
from realtime.robotics.object_localizer import DepthCamera, ObjectLocalizer
from realtime.robotics.robot_frame import FixedCamera, HeadsetCamera, load_robot_frame
from realtime.sources.depth import DepthFrame
from realtime.types import Frame, FrameRef, GazeRef, KeyframeRef, TimingNs
from tests.calibration.render import facing, photograph

CAMERA = PinholeCamera((320, 240), 260, 260, 159.5, 119.5)
BOX = Solid(RigidTransform.from_rotvec([0.5, 0.4, 0.3], [0.02, 0.01, 0.8]), (0.28, 0.18, 0.12))
SIGHT = render_view(CAMERA, BOX, np.random.default_rng(0), noise_m=0.001)
BASE_FROM_CAMERA = UncertainTransform(
    RigidTransform.from_rotvec([0, 0, math.pi / 2], [1.0, 0, 0.5]), np.diag([1e-6] * 6)
)


def frame(number=0, image=None):
    image = np.zeros((240, 320, 3), np.uint8) if image is None else image
    at_ns = 10_000_000_000 + number * 33_000_000
    return Frame(image, number, number / 30, at_ns, at_ns)


def message(of, mask=SIGHT.mask, state="locked", object_id=1):
    return MaskMessage(
        FrameRef(of.index, of.timestamp, *of.size), KeyframeRef(0, 0.0), GazeRef(0.0, 1, 1, 1, 5), 0.0, object_id,
        state, 0.9, 0.9, None if state == "lost" else mask, TimingNs(0, 0, 0, 0),
    )  # fmt: skip


def depth(of, image=SIGHT.depth, apart_s=0.004):
    return DepthFrame(image, of.timestamp + apart_s, of.captured_ns, apart_s)


def make_localizer(settings=None, **options):
    return ObjectLocalizer(CAMERA, "head_optical_frame", settings or ObjectSettings(), **options)


def test_a_box_in_depth_is_located_and_keeps_its_pose():
    localizer = make_localizer()
    located = []
    for number in range(12):
        now = frame(number)
        located.append(localizer.locate(now, message(now), depth(now), ""))
    last = located[-1]
    assert (last.method, last.box, last.reason, last.moving) == ("depth", "minimal", "", False)
    assert last.place.frame_id == "head_optical_frame"
    assert last.extents == pytest.approx(BOX.sides_m, rel=0.05)
    assert last.place.position == pytest.approx(BOX.pose.translation_m, abs=0.01)
    assert last.place.velocity == pytest.approx((0, 0, 0), abs=0.01)
    assert last.place.ray_direction is not None
    assert (last.depth.apart_ms, last.depth.registered) == (pytest.approx(4.0), False)
    assert (last.captured_ns, last.frame.index, last.camera) == (frame(11).captured_ns, 11, CAMERA)
    assert 0 < len(last.points) <= 4096
    assert last.points.dtype == np.float32
    for one, other in itertools.pairwise(located):
        assert np.dot(one.place.orientation, other.place.orientation) > 0.9999


def test_a_preview_gets_the_quick_box_and_points_are_capped():
    now = frame()
    located = make_localizer(ObjectSettings(most_points=100)).locate(now, message(now, state="preview"), depth(now), "")
    assert located.box == "pca"
    assert 50 < len(located.points) <= 100
    assert located.count > 1000


def test_another_object_does_not_inherit_the_last_ones_velocity():
    localizer = make_localizer()
    for number in range(10):
        now = frame(number)
        assert localizer.locate(now, message(now), depth(now), "").method == "depth"
    now = frame(10)
    assert localizer.locate(now, message(now, object_id=2), depth(now), "").place.velocity is None


@pytest.mark.parametrize(
    ("state", "image", "missing", "method", "expected"),
    [
        ("lost", None, "", "none", "the object is lost"),
        ("held", None, "no depth within 25 ms of this frame", "ray", "no depth within 25 ms"),
        ("locked", np.zeros((240, 320), np.float32), "", "ray", "0 % of the mask has depth"),
        ("locked", np.ones((120, 160), np.float32), "", "ray", "must be of one size"),
    ],
)
def test_without_depth_there_is_a_ray_and_the_reason(state, image, missing, method, expected):
    now = frame()
    located = make_localizer().locate(
        now, message(now, state=state), None if image is None else depth(now, image), missing
    )
    assert located.method == method
    assert expected in located.reason
    assert located.place.centroid is located.place.position is located.extents is None
    assert (located.place.ray_direction is None) == (method == "none")


@pytest.mark.parametrize("rows", [slice(0, 1), slice(100, 103)])
def test_a_thin_mask_with_little_depth_is_a_ray_with_a_reason(rows):
    mask, image = np.zeros((240, 320), bool), np.zeros((240, 320), np.float32)
    mask[rows], image[:, ::7] = True, 0.8
    now = frame()
    located = make_localizer().locate(now, message(now, mask), depth(now, image), "")
    assert (located.method, located.reason) == ("ray", "the depth in the mask is not one connected surface")


def test_a_box_that_open3d_does_not_find_is_the_quick_one(monkeypatch):
    def none(cloud, last=None):
        raise CalibrationError("Open3D finds no box")

    monkeypatch.setattr(with_open3d, "fit_open3d_box", none)
    now = frame()
    located = make_localizer(ObjectSettings(library="open3d")).locate(now, message(now), depth(now), "")
    assert (located.method, located.box) == ("depth", "pca")


def test_a_known_size_locates_an_object_without_depth():
    now = frame()
    y, x = np.mgrid[:240, :320]
    ball = (x - 159.5) ** 2 + (y - 119.5) ** 2 <= 20**2
    located = make_localizer(ObjectSettings(size_m=0.1, camera="unused")).locate(now, message(now, ball), None, "")
    assert located.method == "size"
    assert located.place.centroid == pytest.approx((0, 0, 0.1 / 2 * 260 / 20), rel=0.05)
    assert located.place.position is None


def test_a_visible_board_locates_objects_on_its_plane():
    board, camera = parse_board("charuco:5x7:36mm:26mm:5X5_100"), PinholeCamera((640, 480), 520, 520, 319.5, 239.5)
    camera_from_board = facing(board, 0.45, (0.4, 0.1, 0.0))
    there = camera_from_board.apply([0.2, 0.1, 0])
    x, y = camera.project([there])[0]
    mask = np.zeros((480, 640), bool)
    mask[round(y) - 3 : round(y) + 4, round(x) - 3 : round(x) + 4] = True
    localizer = ObjectLocalizer(camera, "head_optical_frame", ObjectSettings(), board=board)
    now = frame(image=photograph(camera, board, camera_from_board))
    located = localizer.locate(now, message(now, mask), None, "")
    assert (located.method, located.place.position) == ("plane", None)
    assert located.place.centroid == pytest.approx(there, abs=0.005)
    blind = frame(image=np.zeros((480, 640, 3), np.uint8))
    located = localizer.locate(blind, message(blind, mask), None, "")
    assert located.method == "ray"
    assert "the board is not visible" in located.reason


def test_places_are_transformed_to_the_robots_frame():
    now = frame()
    located = make_localizer(robot=FixedCamera(BASE_FROM_CAMERA, "base")).locate(now, message(now), depth(now), "")
    base = BASE_FROM_CAMERA.pose
    assert located.robot.frame_id == "base"
    assert located.robot.centroid == pytest.approx(base.apply(located.place.centroid))
    assert located.robot.ray_origin == pytest.approx((1.0, 0, 0.5))
    own, carried = (RigidTransform.from_quaternion(p.orientation, p.position) for p in (located.place, located.robot))
    assert (base @ own).distance_to(carried) == pytest.approx((0, 0), abs=1e-9)
    assert np.trace(np.reshape(located.robot.centroid_covariance, (3, 3))) > np.trace(
        np.reshape(located.place.centroid_covariance, (3, 3))
    )
    assert located.robot_from_camera_m == pytest.approx((1.0, 0, 0.5))


class WalkingHeadset(HeadsetCamera):
    """A headset that moves to the right at 0.3 m/s and sees the board."""

    def robot_from_camera(self, captured_s, board):
        return UncertainTransform(
            RigidTransform.from_rotvec([0, 0, 0], [0.3 * (captured_s - 10), 0, 0.5]), np.diag([1e-6] * 6)
        )


def test_an_object_at_rest_has_no_velocity_in_the_robots_base_while_the_head_moves():
    localizer, rng = make_localizer(robot=WalkingHeadset(BASE_FROM_CAMERA, "base")), np.random.default_rng(0)
    for number in range(14):
        now = frame(number)
        x_m = 0.07 - 0.3 * (now.captured_ns / 1e9 - 10)
        sight = render_view(
            CAMERA, Solid(RigidTransform.from_rotvec([0.5, 0.4, 0.3], [x_m, 0.01, 0.8]), BOX.sides_m), rng, noise_m=1e-3
        )
        located = localizer.locate(now, message(now, sight.mask), depth(now, sight.depth), "")
    assert located.place.velocity == pytest.approx((-0.3, 0, 0), abs=0.06)
    assert located.moving
    assert located.robot.velocity == pytest.approx((0, 0, 0), abs=0.03)


def test_depth_of_another_camera_is_registered():
    shift = RigidTransform.from_rotvec([0, 0, 0], [0.03, 0, 0])
    beside = render_view(
        CAMERA, Solid(shift.inverse() @ BOX.pose, BOX.sides_m), np.random.default_rng(0), noise_m=0.001
    )
    now = frame()
    located = make_localizer(beside=DepthCamera(CAMERA, shift)).locate(now, message(now), depth(now, beside.depth), "")
    assert located.depth.registered
    assert located.place.position == pytest.approx(BOX.pose.translation_m, abs=0.012)


def test_frames_of_another_size_are_refused():
    wrong = replace(frame(), image=np.zeros((480, 640, 3), np.uint8))
    with pytest.raises(CalibrationError, match="the camera's file is for 320 x 240, frames are 640 x 480"):
        make_localizer().locate(wrong, message(wrong), None, "")


def handeye(path, body, camera="world"):
    record.save_record(
        path, record.CalibrationRecord("handeye", "arm", camera, (320, 240), "2026-11-22T00:00:00+00:00", body)
    )
    return path


def test_a_robots_file_selects_the_frame(tmp_path):
    pose = BASE_FROM_CAMERA.to_dict()
    beside = load_robot_frame(handeye(tmp_path / "a.json", {"base_from_camera": pose}), "world", by_board=False)
    assert beside.frame_id == "base"
    inside = load_robot_frame(handeye(tmp_path / "b.json", {"gripper_from_camera": pose}), "world", by_board=False)
    assert inside.frame_id == "gripper"
    worn = load_robot_frame(handeye(tmp_path / "c.json", {"base_from_board": pose}), "headset", by_board=True)
    with pytest.raises(CalibrationError, match="has not been seen yet"):
        worn.robot_from_camera(1.0, None)
    for file, camera, expected in (
        ("a.json", "other", "was made with camera"),
        ("c.json", "world", "robot_by_board=true"),
    ):
        with pytest.raises(CalibrationError, match=expected):
            load_robot_frame(tmp_path / file, camera, by_board=False)
