"""Converts messages of gazecast into ROS 2 messages. Pure.

The centre of the top-left pixel is (0, 0), as for `CameraInfo` and OpenCV: the box of a mask of the pixels x0 to x1 - 1
reaches from x0 - 0.5 to x1 - 0.5.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from calibration import CameraModel, FisheyeCamera, PinholeCamera, RigidTransform
from realtime.comms.object3d import Object3dMessage, ObjectPose
from realtime.errors import Ros2Error
from realtime.robotics.ros2.message_types import make_message
from realtime.types import MaskResult

Header = Any
Message = Any
UNNAMED_CLASS = "object"
"""The class of an object without a label: SAM finds objects and does not name them."""
_ANY_ANGLE = math.pi**2 / 3
"""Variance of an unknown angle, rad^2."""
_FLOAT32 = 7  # PointField.FLOAT32


def make_header(stamp_ns: int, frame_id: str) -> Header:
    """Make a std_msgs/Header. stamp_ns: capture of the frame, wall clock."""
    sec, nanosec = divmod(stamp_ns, 10**9)
    return make_message("std_msgs/msg/Header", stamp={"sec": sec, "nanosec": nanosec}, frame_id=frame_id)


# -- pictures ---------------------------------------------------------------------------------------------------------


def mask_image(message: MaskResult, header: Header) -> Message:
    """Make a sensor_msgs/Image, mono8: 255 on the object, 0 elsewhere; all 0 while it is lost."""
    return _image(header, "mono8", _mask(message).astype(np.uint8) * np.uint8(255))


def label_image(message: MaskResult, header: Header) -> Message:
    """Make a sensor_msgs/Image, 16UC1: the `label_value` of the object, 0 elsewhere."""
    return _image(header, "16UC1", _mask(message).astype("<u2") * np.uint16(label_value(message.object)))


def label_value(object_id: int) -> int:
    """Return an object's id as a pixel, 1 to 65535; after that many objects values repeat."""
    return 1 + (object_id - 1) % 65535


def compressed_image(data: bytes, kind: Literal["jpeg", "png"], header: Header) -> Message:
    """Make a sensor_msgs/CompressedImage of a colour picture, its format named as image_transport does."""
    pixels = np.frombuffer(data, np.uint8)
    return make_message(
        "sensor_msgs/msg/CompressedImage", header=header, format=f"bgr8; {kind} compressed bgr8", data=pixels
    )


def camera_info(camera: CameraModel, header: Header) -> Message:
    """Make a sensor_msgs/CameraInfo; raises `Ros2Error` for a lens that ROS has no model for."""
    model, coefficients = distortion(camera)
    k, p = camera.matrix, np.column_stack([camera.matrix, np.zeros(3)])
    return make_message(
        "sensor_msgs/msg/CameraInfo", header=header, height=camera.size[1], width=camera.size[0],
        distortion_model=model, d=np.array(coefficients), k=k.ravel(), r=np.eye(3).ravel(), p=p.ravel(),
        binning_x=0, binning_y=0, roi={"x_offset": 0, "y_offset": 0, "height": 0, "width": 0, "do_rectify": False},
    )  # fmt: skip


def distortion(camera: CameraModel) -> tuple[str, tuple[float, ...]]:
    """Return the model's name in ROS and its coefficients, whose order is OpenCV's in both; raises `Ros2Error`."""
    own = camera.coefficients
    if isinstance(camera, FisheyeCamera):
        return "equidistant", own or (0.0,) * 4
    if isinstance(camera, PinholeCamera) and len(own) <= 5:
        return "plumb_bob", own + (0.0,) * (5 - len(own))
    if isinstance(camera, PinholeCamera) and len(own) == 8:
        return "rational_polynomial", own
    raise Ros2Error(
        f"a {type(camera).__name__} with {len(own)} lens coefficients has no model in ROS, which knows plumb_bob "
        "(up to 5), rational_polynomial (8) and equidistant (4); calibrate with one of those"
    )


def _mask(message: MaskResult) -> NDArray[np.bool_]:
    return np.zeros((message.frame.height, message.frame.width), bool) if message.mask is None else message.mask


def _image(header: Header, encoding: str, pixels: NDArray[Any]) -> Message:
    high, wide = pixels.shape
    return make_message(
        "sensor_msgs/msg/Image", header=header, height=high, width=wide, encoding=encoding, is_bigendian=0,
        step=wide * pixels.itemsize, data=np.ascontiguousarray(pixels).view(np.uint8).ravel(),
    )  # fmt: skip


# -- detections -------------------------------------------------------------------------------------------------------


def detections_2d(message: MaskResult, header: Header, class_name: str = UNNAMED_CLASS) -> Message:
    """Make a vision_msgs/Detection2DArray of the object, empty while it is lost.

    Its `id` is the object's, its score `confidence`.
    """
    if message.box is None:
        return make_message("vision_msgs/msg/Detection2DArray", header=header, detections=[])
    x0, y0, x1, y1 = message.box
    centre = {"position": {"x": (x0 + x1 - 1) / 2, "y": (y0 + y1 - 1) / 2}, "theta": 0.0}
    box = {"center": centre, "size_x": float(x1 - x0), "size_y": float(y1 - y0)}
    pose = {"pose": _pose((0, 0, 0), (0, 0, 0, 1)), "covariance": np.zeros(36)}
    detection = _detection(header, message.object, class_name, message.confidence, box, pose)
    return make_message("vision_msgs/msg/Detection2DArray", header=header, detections=[detection])


def detections_3d(
    message: Object3dMessage, header: Header, class_name: str = UNNAMED_CLASS, confidence: float = 0.0
) -> Message:
    """Make a vision_msgs/Detection3DArray of the object's box, empty without one: never a box without depth.

    The hypothesis's pose is the centroid with its covariance; its angles are marked as unknown.
    """
    place = message.place
    if place.position is None or place.orientation is None or message.extents is None:
        return make_message("vision_msgs/msg/Detection3DArray", header=header, detections=[])
    box = {"center": _pose(place.position, place.orientation), "size": _xyz(message.extents)}
    pose = {"pose": _pose(place.centroid or place.position, place.orientation), "covariance": _covariance(place)}
    detection = _detection(header, message.object, class_name, confidence, box, pose)
    return make_message("vision_msgs/msg/Detection3DArray", header=header, detections=[detection])


def _detection(
    header: Header, object_id: int, class_name: str, score: float, box: dict[str, Any], pose: dict[str, Any]
) -> dict[str, Any]:
    hypothesis = {"class_id": class_name, "score": float(score)}
    return {"header": header, "results": [{"hypothesis": hypothesis, "pose": pose}], "bbox": box, "id": str(object_id)}


def _covariance(place: ObjectPose) -> NDArray[np.float64]:
    """Return (36,): x, y, z, and angles about fixed axes, row by row."""
    covariance = np.diag([0.0] * 3 + [_ANY_ANGLE] * 3)
    if place.centroid_covariance is not None:
        covariance[:3, :3] = np.reshape(place.centroid_covariance, (3, 3))
    return covariance.ravel()


# -- space ------------------------------------------------------------------------------------------------------------


def pose_stamped(place: ObjectPose, header: Header) -> Message | None:
    """Make a geometry_msgs/PoseStamped: centre and axes of the box; None where they are unknown."""
    if place.position is None or place.orientation is None:
        return None
    return make_message("geometry_msgs/msg/PoseStamped", header=header, pose=_pose(place.position, place.orientation))


def point_stamped(place: ObjectPose, header: Header) -> Message | None:
    """Make a geometry_msgs/PointStamped of the centroid, which a board or a size gives also without depth."""
    if place.centroid is None:
        return None
    return make_message("geometry_msgs/msg/PointStamped", header=header, point=_xyz(place.centroid))


def point_cloud(points: NDArray[np.float32] | None, header: Header) -> Message | None:
    """Make a sensor_msgs/PointCloud2 of (N, 3) points, m: x, y, z as float32, one row; None without points."""
    if points is None or not len(points):
        return None
    fields = [{"name": axis, "offset": 4 * n, "datatype": _FLOAT32, "count": 1} for n, axis in enumerate("xyz")]
    return make_message(
        "sensor_msgs/msg/PointCloud2", header=header, height=1, width=len(points), fields=fields, is_bigendian=False,
        point_step=12, row_step=12 * len(points), is_dense=True,
        data=np.ascontiguousarray(points, "<f4").view(np.uint8).ravel(),
    )  # fmt: skip


def camera_transform(message: Object3dMessage, header: Header) -> Message | None:
    """Make a tf2_msgs/TFMessage from the robot's frame to the camera's, robot_from_camera; None where it is unknown."""
    if message.robot is None or message.robot_from_camera_m is None or message.robot_from_camera_xyzw is None:
        return None
    pose = RigidTransform.from_quaternion(message.robot_from_camera_xyzw, message.robot_from_camera_m)
    stamped = {
        "header": {"stamp": header.stamp, "frame_id": message.robot.frame_id},
        "child_frame_id": message.place.frame_id,
        "transform": {"translation": _xyz(pose.translation_m), "rotation": _xyzw(pose.quaternion_xyzw)},
    }
    return make_message("tf2_msgs/msg/TFMessage", transforms=[stamped])


def _pose(position: Sequence[float], orientation_xyzw: Sequence[float]) -> dict[str, Any]:
    return {"position": _xyz(position), "orientation": _xyzw(orientation_xyzw)}


def _xyz(values: Sequence[float] | NDArray[np.float64]) -> dict[str, float]:
    return dict(zip("xyz", map(float, values), strict=True))


def _xyzw(values: Sequence[float] | NDArray[np.float64]) -> dict[str, float]:
    return dict(zip("xyzw", map(float, values), strict=True))
