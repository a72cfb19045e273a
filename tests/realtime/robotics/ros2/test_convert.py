"""Tests that rosbags reads the converted messages back from their bytes."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from calibration import CameraModel, FisheyeCamera, PinholeCamera, RigidTransform
from realtime.errors import Ros2Error
from realtime.robotics.ros2 import convert, message_types
from realtime.robotics.ros2.message_types import cdr, make_message, type_hash
from realtime.types import FrameRef
from tests.realtime.robotics.ros2.cdr_reader import CAMERA, FRAME_ID, SIZE, WALL_NS, mask, ray, solid

pytest.importorskip("rosbags", reason="ROS 2 messages need rosbags: pip install -e '.[robotics]'")

PUBLISHED = {
    "sensor_msgs/msg/Image": "d31d41a9a4c4bc8eae9be757b0beed306564f7526c88ea6a4588fb9582527d47",
    "sensor_msgs/msg/CompressedImage": "15640771531571185e2efc8a100baf923961a4d15d5569652e6cb6691e8e371a",
    "sensor_msgs/msg/CameraInfo": "b3dfd68ff46c9d56c80fd3bd4ed22c7a4ddce8c8348f2f59c299e73118e7e275",
    "sensor_msgs/msg/PointCloud2": "9198cabf7da3796ae6fe19c4cb3bdd3525492988c70522628af5daa124bae2b5",
    "geometry_msgs/msg/PoseStamped": "10f3786d7d40fd2b54367835614bff85d4ad3b5dab62bf8bca0cc232d73b4cd8",
    "tf2_msgs/msg/TFMessage": "e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087",
    "vision_msgs/msg/Detection3D": "ddd703be132ab0b69d33121f1bb034132bfbb3b0ac5f9fb1516005ba1c8a265b",
    "vision_msgs/msg/Detection3DArray": "793f5eab9595ac1c0da07873cc859db42eae51f0ee76056db8562515d830e018",
}
"""As `ros2 topic info --verbose` of ROS 2 Jazzy prints them, in what others have published."""


def through(message: Any) -> Any:
    return message_types.load_types().deserialize_cdr(cdr(message), message.__msgtype__)


def head() -> Any:
    return convert.make_header(WALL_NS, FRAME_ID)


@pytest.mark.parametrize("name", PUBLISHED)
def test_type_hashes_are_those_of_ros(name: str) -> None:
    assert type_hash(name) == f"RIHS01_{PUBLISHED[name]}"


def test_a_header_has_the_time_to_the_nanosecond() -> None:
    back = through(head())
    assert (back.stamp.sec, back.stamp.nanosec, back.frame_id) == (1_700_000_000, 123, FRAME_ID)


@given(pixels=hnp.arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40))), object_id=st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_masks_and_labels_keep_every_pixel(pixels: np.ndarray, object_id: int) -> None:
    frame = FrameRef(0, 0.0, pixels.shape[1], pixels.shape[0])
    message = dataclasses.replace(mask(object_id=object_id), frame=frame, mask=pixels)
    grey = through(convert.mask_image(message, head()))
    assert (grey.height, grey.width, grey.encoding, grey.step) == (*pixels.shape, "mono8", pixels.shape[1])
    np.testing.assert_array_equal(grey.data.reshape(pixels.shape), pixels * np.uint8(255))
    label = through(convert.label_image(message, head()))
    assert (label.encoding, label.step, label.is_bigendian) == ("16UC1", 2 * pixels.shape[1], 0)
    values = label.data.view("<u2").reshape(pixels.shape)
    np.testing.assert_array_equal(values, pixels * np.uint16(convert.label_value(object_id)))
    assert np.array_equal(values > 0, pixels)


def test_label_values_repeat_after_65535_objects() -> None:
    assert [convert.label_value(object_id) for object_id in (1, 2, 65535, 65536)] == [1, 2, 65535, 1]


def test_a_lost_object_is_an_empty_mask_and_no_detection() -> None:
    lost = mask(lost=True)
    assert not through(convert.mask_image(lost, head())).data.any()
    assert through(convert.mask_image(lost, head())).data.size == SIZE[0] * SIZE[1]
    assert through(convert.detections_2d(lost, head())).detections == []


def test_a_detection_is_the_box_round_the_pixels() -> None:
    (found,) = through(convert.detections_2d(mask(), head(), "cup")).detections
    middle, box = found.bbox.center.position, found.bbox
    # pixels 10 to 29 and 5 to 39: from 9.5 to 29.5 and from 4.5 to 39.5
    assert (middle.x, middle.y, box.size_x, box.size_y) == (19.5, 22.0, 20.0, 35.0)
    assert (found.id, found.results[0].hypothesis.class_id, found.results[0].hypothesis.score) == ("3", "cup", 0.8)


@pytest.mark.parametrize(
    ("camera", "model", "coefficients"),
    [
        (PinholeCamera(SIZE, 60, 61, 31, 23), "plumb_bob", [0.0] * 5),
        (PinholeCamera(SIZE, 60, 61, 31, 23, (0.1, -0.2, 0.01, 0.02)), "plumb_bob", [0.1, -0.2, 0.01, 0.02, 0.0]),
        (CAMERA, "plumb_bob", list(CAMERA.coefficients)),
        (PinholeCamera(SIZE, 60, 61, 31, 23, tuple(0.01 * n for n in range(8))), "rational_polynomial",
         [0.01 * n for n in range(8)]),
        (FisheyeCamera(SIZE, 60, 61, 31, 23, (0.1, 0.2, 0.3, 0.4)), "equidistant", [0.1, 0.2, 0.3, 0.4]),
    ],
)  # fmt: skip
def test_cameras(camera: CameraModel, model: str, coefficients: list[float]) -> None:
    info = through(convert.camera_info(camera, head()))
    assert (info.distortion_model, info.d.tolist(), info.width, info.height) == (model, coefficients, *SIZE)
    np.testing.assert_array_equal(info.k.reshape(3, 3), camera.matrix)
    np.testing.assert_array_equal(info.p.reshape(3, 4)[:, :3], camera.matrix)
    np.testing.assert_array_equal(info.r.reshape(3, 3), np.eye(3))


def test_a_lens_without_a_model_in_ros_is_refused() -> None:
    @dataclasses.dataclass(frozen=True, slots=True)
    class Prism(PinholeCamera):
        _LENS = PinholeCamera._LENS._replace(lengths=(12,))

    with pytest.raises(Ros2Error, match=r"Prism with 12 lens coefficients.*plumb_bob.*rational_polynomial.*equidist"):
        convert.camera_info(Prism(SIZE, 60, 61, 31, 23, (0.0,) * 12), head())


def test_a_box_in_space() -> None:
    (found,) = through(convert.detections_3d(solid(), head(), "cup", 0.8)).detections
    centre, size = found.bbox.center, found.bbox.size
    assert (centre.position.x, centre.position.y, centre.position.z) == (0.11, 0.21, 0.95)
    assert (centre.orientation.z, centre.orientation.w) == (np.sqrt(0.5), np.sqrt(0.5))
    assert (size.x, size.y, size.z) == (0.3, 0.2, 0.1)
    pose = found.results[0].pose
    assert (pose.pose.position.x, pose.pose.position.z) == (0.1, 0.9)
    covariance = pose.covariance.reshape(6, 6)
    np.testing.assert_array_equal(covariance[:3, :3].ravel(), solid().place.centroid_covariance)
    assert (np.diag(covariance)[3:] > 3).all()


def test_without_depth_nothing_is_invented() -> None:
    assert through(convert.detections_3d(ray(), head())).detections == []
    assert convert.pose_stamped(ray().place, head()) is None
    assert convert.point_stamped(ray().place, head()) is None


def test_points() -> None:
    cloud = through(convert.point_cloud(solid().points, head()))
    assert [(field.name, field.offset, field.datatype) for field in cloud.fields] == [
        ("x", 0, 7),
        ("y", 4, 7),
        ("z", 8, 7),
    ]
    assert (cloud.height, cloud.width, cloud.point_step, cloud.row_step, cloud.is_dense) == (1, 50, 12, 600, True)
    np.testing.assert_array_equal(cloud.data.view("<f4").reshape(-1, 3), solid().points)


def test_a_transform_maps_a_point_of_the_child_to_the_parent() -> None:
    pose = RigidTransform.from_rotvec((0.1, -0.5, 2.0), (1.0, 2.0, 3.0))
    to_robot = pose.translation_m.tolist(), pose.quaternion_xyzw.tolist()
    message = dataclasses.replace(solid(), robot_from_camera_m=to_robot[0], robot_from_camera_xyzw=to_robot[1])
    (found,) = through(convert.camera_transform(message, head())).transforms
    assert (found.header.frame_id, found.child_frame_id) == ("base_link", FRAME_ID)
    rotation, shift = found.transform.rotation, found.transform.translation
    back = RigidTransform.from_quaternion((rotation.x, rotation.y, rotation.z, rotation.w), (shift.x, shift.y, shift.z))
    np.testing.assert_allclose(back.apply([[0.3, 0.4, 0.5]]), pose.apply([[0.3, 0.4, 0.5]]), atol=1e-12)


def test_a_missing_library_is_reported_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    message_types.load_types.cache_clear()
    monkeypatch.setitem(sys.modules, "rosbags.typesys", None)
    with pytest.raises(Ros2Error, match=r"pip install -e '.\[robotics\]'"):
        make_message("std_msgs/msg/Header")
