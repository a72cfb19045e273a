"""Our messages -> ROS 2 messages, one by one. Pure.

Pixels are as everywhere here: the centre of the top-left pixel is (0, 0), as `CameraInfo` and OpenCV have it. A mask of
pixels x0 to x1 - 1 so has a box from x0 - 0.5 to x1 - 0.5.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
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
"""The class of what nobody has named: SAM finds things and does not name them."""
_ANY_ANGLE = math.pi**2 / 3
"""Variance of an angle of which nothing is known, rad^2."""
_FLOAT32 = 7  # PointField.FLOAT32


def make_header(stamp_ns: int, frame_id: str) -> Header:
    """stamp_ns: when the frame was captured, wall clock."""
    return make_message("std_msgs/msg/Header", stamp=make_time(stamp_ns), frame_id=frame_id)


def make_time(stamp_ns: int) -> Message:
    """Wall-clock nanoseconds as builtin_interfaces/Time."""
    return make_message("builtin_interfaces/msg/Time", sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)


# -- pictures ---------------------------------------------------------------------------------------------------------


def mask_image(message: MaskResult, header: Header) -> Message:
    """sensor_msgs/Image, mono8: 255 on the object, 0 elsewhere; all 0 while it is lost."""
    return _image(header, "mono8", _mask(message).astype(np.uint8) * np.uint8(255))


def label_image(message: MaskResult, header: Header) -> Message:
    """sensor_msgs/Image, 16UC1: the object's number as `label_value` has it, 0 elsewhere."""
    return _image(header, "16UC1", _mask(message).astype("<u2") * np.uint16(label_value(message.object)))


def label_value(thing: int) -> int:
    """An object's id as a pixel, 1 to 65535; after so many objects numbers come again."""
    return 1 + (thing - 1) % 65535


def compressed_image(data: bytes, kind: Literal["jpeg", "png"], header: Header) -> Message:
    """sensor_msgs/CompressedImage of a colour picture, named as image_transport does."""
    return make_message(
        "sensor_msgs/msg/CompressedImage",
        header=header,
        format=f"bgr8; {kind} compressed bgr8",
        data=np.frombuffer(data, np.uint8),
    )


def camera_info(camera: CameraModel, header: Header) -> Message:
    """sensor_msgs/CameraInfo; raises `Ros2Error` for a lens that ROS has no model for."""
    model, coefficients = distortion(camera)
    k, p = camera.matrix, np.column_stack([camera.matrix, np.zeros(3)])
    roi = make_message("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return make_message(
        "sensor_msgs/msg/CameraInfo", header=header, height=camera.size[1], width=camera.size[0],
        distortion_model=model, d=np.array(coefficients), k=k.ravel(), r=np.eye(3).ravel(), p=p.ravel(),
        binning_x=0, binning_y=0, roi=roi,
    )  # fmt: skip


def distortion(camera: CameraModel) -> tuple[str, tuple[float, ...]]:
    """The model's name in ROS and its coefficients, whose order is OpenCV's in both; raises `Ros2Error`."""
    given = camera.coefficients
    if isinstance(camera, FisheyeCamera):
        return "equidistant", given or (0.0,) * 4
    if isinstance(camera, PinholeCamera) and len(given) <= 5:
        return "plumb_bob", given + (0.0,) * (5 - len(given))
    if isinstance(camera, PinholeCamera) and len(given) == 8:
        return "rational_polynomial", given
    raise Ros2Error(
        f"a {type(camera).__name__} with {len(given)} lens coefficients has no model in ROS, which knows plumb_bob "
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


def detections_2d(message: MaskResult, header: Header, name: str = UNNAMED_CLASS) -> Message:
    """vision_msgs/Detection2DArray: the object, or none while it is lost. Its `id` is ours, its score `confidence`."""
    detections = []
    if (edges := message.box) is not None:
        x0, y0, x1, y1 = edges
        middle = make_message("vision_msgs/msg/Point2D", x=(x0 + x1 - 1) / 2, y=(y0 + y1 - 1) / 2)
        centre = make_message("vision_msgs/msg/Pose2D", position=middle, theta=0.0)
        box = make_message("vision_msgs/msg/BoundingBox2D", center=centre, size_x=float(x1 - x0), size_y=float(y1 - y0))
        results = [_hypothesis(name, message.confidence, _pose((0, 0, 0), (0, 0, 0, 1)), np.zeros(36))]
        detections.append(
            make_message(
                "vision_msgs/msg/Detection2D", header=header, results=results, bbox=box, id=str(message.object)
            )
        )
    return make_message("vision_msgs/msg/Detection2DArray", header=header, detections=detections)


def detections_3d(
    message: Object3dMessage, header: Header, name: str = UNNAMED_CLASS, confidence: float = 0.0
) -> Message:
    """vision_msgs/Detection3DArray: the object's box, or none where it has none: never one without depth.

    The hypothesis's pose is the centroid, with how well it is known; of the angles nothing is claimed.
    """
    detections, place = [], message.place
    if place.position is not None and place.orientation is not None and message.extents is not None:
        size = _xyz("Vector3", message.extents)
        box = make_message("vision_msgs/msg/BoundingBox3D", center=_pose(place.position, place.orientation), size=size)
        pose = _pose(place.centroid or place.position, place.orientation)
        results = [_hypothesis(name, confidence, pose, _covariance(place))]
        detections.append(
            make_message(
                "vision_msgs/msg/Detection3D", header=header, results=results, bbox=box, id=str(message.object)
            )
        )
    return make_message("vision_msgs/msg/Detection3DArray", header=header, detections=detections)


def _hypothesis(name: str, score: float, pose: Message, covariance: NDArray[np.float64]) -> Message:
    hypothesis = make_message("vision_msgs/msg/ObjectHypothesis", class_id=name, score=float(score))
    where = make_message("geometry_msgs/msg/PoseWithCovariance", pose=pose, covariance=covariance)
    return make_message("vision_msgs/msg/ObjectHypothesisWithPose", hypothesis=hypothesis, pose=where)


def _covariance(place: ObjectPose) -> NDArray[np.float64]:
    """(36,) x, y, z, and angles about fixed axes, row by row."""
    covariance = np.diag([0.0] * 3 + [_ANY_ANGLE] * 3)
    if place.centroid_covariance is not None:
        covariance[:3, :3] = np.reshape(place.centroid_covariance, (3, 3))
    return covariance.ravel()


# -- space ------------------------------------------------------------------------------------------------------------


def pose_stamped(place: ObjectPose, header: Header) -> Message | None:
    """geometry_msgs/PoseStamped: centre and axes of the box; None where they are not known."""
    if place.position is None or place.orientation is None:
        return None
    return make_message("geometry_msgs/msg/PoseStamped", header=header, pose=_pose(place.position, place.orientation))


def point_stamped(place: ObjectPose, header: Header) -> Message | None:
    """geometry_msgs/PointStamped: the centroid, which is known without depth, too, where a board or a size is."""
    if place.centroid is None:
        return None
    return make_message("geometry_msgs/msg/PointStamped", header=header, point=_xyz("Point", place.centroid))


def point_cloud(points: NDArray[np.float32], header: Header) -> Message:
    """sensor_msgs/PointCloud2 of (N, 3) points, m: x, y, z as float32, one row."""
    fields = [
        make_message("sensor_msgs/msg/PointField", name=axis, offset=4 * number, datatype=_FLOAT32, count=1)
        for number, axis in enumerate("xyz")
    ]
    return make_message(
        "sensor_msgs/msg/PointCloud2", header=header, height=1, width=len(points), fields=fields, is_bigendian=False,
        point_step=12, row_step=12 * len(points), is_dense=True,
        data=np.ascontiguousarray(points, "<f4").view(np.uint8).ravel(),
    )  # fmt: skip


def transforms(stamp_ns: int, chain: Iterable[tuple[str, str, RigidTransform]]) -> Message:
    """tf2_msgs/TFMessage of (parent, child, parent_from_child): where the child's frame is in the parent's."""
    stamped = []
    for parent, child, pose in chain:
        turn = _xyzw(pose.quaternion_xyzw.tolist())
        transform = make_message(
            "geometry_msgs/msg/Transform", translation=_xyz("Vector3", pose.translation_m.tolist()), rotation=turn
        )
        header = make_header(stamp_ns, parent)
        stamped.append(
            make_message("geometry_msgs/msg/TransformStamped", header=header, child_frame_id=child, transform=transform)
        )
    return make_message("tf2_msgs/msg/TFMessage", transforms=stamped)


def _pose(position: Sequence[float], orientation_xyzw: Sequence[float]) -> Message:
    return make_message("geometry_msgs/msg/Pose", position=_xyz("Point", position), orientation=_xyzw(orientation_xyzw))


def _xyz(kind: Literal["Point", "Vector3"], values: Sequence[float]) -> Message:
    x, y, z = map(float, values)
    return make_message(f"geometry_msgs/msg/{kind}", x=x, y=y, z=z)


def _xyzw(values: Sequence[float]) -> Message:
    x, y, z, w = map(float, values)
    return make_message("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w)
