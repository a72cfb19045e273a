"""Defines `object3d`, the message of an object's place in space, and reads it from a map. Pure.

Metres and seconds. Frames of reference: `frame_id` names the camera's optical frame (x right, y down, z forward), which
everything but `robot` is in; `robot` holds the same in the robot's frame. Quaternions are x, y, z, w as in ROS.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from realtime.comms.envelope import Envelope, PublishedMessage
from realtime.comms.mask_encoding import MAX_PIXELS
from realtime.errors import WireError
from realtime.types import Confirmation, FiniteFloat, FrameRef, State
from realtime.validation import read_value

if TYPE_CHECKING:
    from calibration import CameraModel

Method3d = Literal["depth", "plane", "size", "ray", "none"]
"""The method behind a place. depth: measured. plane: the ray meets the plane of a visible board. size: from the known
size of the object. ray: only the direction is known. none: lost, not even that."""
BoxKind = Literal["minimal", "pca"]
MAX_POINTS = 100_000
Numbers = tuple[float, ...]
_Finite = tuple[FiniteFloat, ...]
_Vector = Annotated[_Finite, msgspec.Meta(min_length=3, max_length=3, description="a list of 3 numbers")]
_Quaternion = Annotated[_Finite, msgspec.Meta(min_length=4, max_length=4, description="a list of 4 numbers")]
_Covariance = Annotated[_Finite, msgspec.Meta(min_length=9, max_length=9, description="a list of 9 numbers")]


class _Ray(msgspec.Struct):
    origin: _Vector | None = None
    direction: _Vector | None = None


class _Pose(msgspec.Struct):
    position: _Vector | None = None
    orientation: _Quaternion | None = None


class _Transform(msgspec.Struct):
    translation: _Vector | None = None
    rotation: _Quaternion | None = None


class _Place(msgspec.Struct):
    frame_id: str
    ray: _Ray | None = None
    centroid: _Vector | None = None
    centroid_covariance: _Covariance | None = None
    pose: _Pose | None = None
    velocity: _Vector | None = None


class _RobotPlace(_Place, kw_only=True):
    from_camera: _Transform


@dataclass(frozen=True, slots=True)
class ObjectPose:
    """The place of an object in the frame of reference `frame_id`; None where unknown.

    ray_origin (m), ray_direction (unit): the line of sight through the object; all that is known with method ray.
    centroid: mean of the measured points, m. centroid_covariance: the uncertainty of the centroid, not the size of
        the object: 9 numbers, row by row, m^2.
    position (m), orientation (quaternion xyzw): centre and axes of the box; x along the longest extent.
    velocity: of the centre, m/s.
    """

    frame_id: str
    ray_origin: Numbers | None = None
    ray_direction: Numbers | None = None
    centroid: Numbers | None = None
    centroid_covariance: Numbers | None = None
    position: Numbers | None = None
    orientation: Numbers | None = None
    velocity: Numbers | None = None

    def to_fields(self) -> dict[str, Any]:
        """Return as a map: `ray` {origin, direction} and `pose` {position, orientation} or nil, the rest by name."""
        return {
            "frame_id": self.frame_id,
            "ray": _pair(origin=self.ray_origin, direction=self.ray_direction),
            "centroid": _list(self.centroid),
            "centroid_covariance": _list(self.centroid_covariance),
            "pose": _pair(position=self.position, orientation=self.orientation),
            "velocity": _list(self.velocity),
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any], where: str) -> ObjectPose:
        """Read a map; raises `WireError`."""
        return cls._from_place(read_value(fields, _Place, WireError, where))

    @classmethod
    def _from_place(cls, place: _Place) -> ObjectPose:
        ray, pose = place.ray or _Ray(), place.pose or _Pose()
        if pose.orientation is not None and abs(math.hypot(*pose.orientation) - 1) > 1e-3:
            raise WireError(f"pose.orientation must be a unit quaternion, got {list(pose.orientation)}")
        return cls(
            place.frame_id, ray.origin, ray.direction, place.centroid, place.centroid_covariance, pose.position,
            pose.orientation, place.velocity,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class DepthRef:
    """The depth frame that was used. timestamp: s on its source's clock. apart_ms: captured this much after `frame`.

    registered: it was moved from the depth camera's picture into the colour camera's. scale_m: metres of one step,
    where it came in 16 bits.
    """

    timestamp: FiniteFloat
    apart_ms: FiniteFloat
    registered: bool = False
    scale_m: FiniteFloat | None = None


class _Object3dFields(_Place, kw_only=True):
    stream: str
    seq: int
    published_ns: int
    frame: FrameRef
    captured_ns: int
    object: int
    state: State
    method: Method3d
    reason: str = ""
    extents: _Vector | None = None
    box: BoxKind | None = None
    moving: bool = False
    count: int
    valid: FiniteFloat
    points: dict[str, Any]
    voxel: FiniteFloat
    camera: dict[str, Any] | None = None
    depth: DepthRef | None = None
    robot: _RobotPlace | None = None
    confirmed: Confirmation | None = None


_SAME_FIELDS = (
    "captured_ns", "object", "state", "method", "reason", "box", "moving", "count", "valid",
)  # fmt: skip
"""The fields that are the same in the message and in its map."""


@dataclass(frozen=True, slots=True, eq=False)
class Object3dMessage(PublishedMessage):
    """The object of the `mask` message of the same `frame`, in space; topic `object3d`.

    object, state, confirmed: as in that message. captured_ns: when the frame was taken, the host's monotonic clock; a
        header's stamp in ROS is this time, or `frame.timestamp` on the source's clock.
    method: the method behind the place; reason: why no better method was used, "" for depth.
    extents: sides of the box, m, longest first, of the visible part: the far side is not estimated.
    box: minimal where the object was steady, pca while it moves or is not locked yet.
    moving: whether its velocity differs from 0. count: points that the box was made of, before `points` was thinned.
    valid: share of the mask's pixels that have depth, 0..1.
    points: (N, 3) float32, m, in the camera's frame, at most one a voxel of `voxel_m`; empty without depth.
    camera: model, size and coefficients of the camera whose frame and pixels these are; None where it is not known.
    robot: the same in the robot's frame; robot_from_camera_*: the transform (for `points`), m and xyzw.
    """

    frame: FrameRef
    captured_ns: int
    object: int
    state: State
    method: Method3d
    place: ObjectPose
    reason: str = ""
    extents: Numbers | None = None
    box: BoxKind | None = None
    moving: bool = False
    count: int = 0
    valid: float = 0.0
    points: NDArray[np.float32] | None = None
    voxel_m: float = 0.0
    camera: CameraModel | None = None
    depth: DepthRef | None = None
    robot: ObjectPose | None = None
    robot_from_camera_m: Numbers | None = None
    robot_from_camera_xyzw: Numbers | None = None
    confirmed: Confirmation | None = None

    def to_fields(self) -> dict[str, Any]:
        """Return the map as published, without the envelope's fields; those of `place` are beside the others."""
        points = np.zeros((0, 3), np.float32) if self.points is None else self.points
        robot = None
        if self.robot is not None:
            robot_from_camera = {
                "translation": _list(self.robot_from_camera_m), "rotation": _list(self.robot_from_camera_xyzw)
            }  # fmt: skip
            robot = {**self.robot.to_fields(), "from_camera": robot_from_camera}
        data = np.ascontiguousarray(points, "<f4").tobytes()
        confirmed = {} if self.confirmed is None else {"confirmed": asdict(self.confirmed)}
        return {
            **{name: getattr(self, name) for name in _SAME_FIELDS},
            **confirmed,
            **self.place.to_fields(),
            "frame": asdict(self.frame),
            "extents": _list(self.extents),
            "points": {"dtype": "<f4", "shape": list(points.shape), "data": data},
            "voxel": self.voxel_m,
            "camera": None if self.camera is None else self.camera.to_dict(),
            "depth": None if self.depth is None else asdict(self.depth),
            "robot": robot,
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Object3dMessage:
        """Read a map; raises `WireError`."""
        read = read_value(fields, _Object3dFields, WireError)
        place = ObjectPose._from_place(read)
        if (place.centroid is not None) != (read.method in ("depth", "plane", "size")):
            raise WireError(f"method {read.method} {'without' if place.centroid is None else 'with'} a centroid")
        transform = read.robot.from_camera if read.robot else _Transform()
        return cls(
            frame=read.frame,
            extents=read.extents,
            depth=read.depth,
            confirmed=read.confirmed,
            place=place,
            points=_points(read.points),
            voxel_m=read.voxel,
            camera=_camera(read.camera),
            robot=None if read.robot is None else ObjectPose._from_place(read.robot),
            robot_from_camera_m=transform.translation,
            robot_from_camera_xyzw=transform.rotation,
            **{name: getattr(read, name) for name in (*_SAME_FIELDS, *Envelope.__struct_fields__)},
        )


def _list(vector: Sequence[float] | None) -> list[float] | None:
    return None if vector is None else [float(value) for value in vector]


def _pair(**vectors: Sequence[float] | None) -> dict[str, Any] | None:
    """Return two vectors as a map, or None where one is unknown."""
    return None if None in vectors.values() else {name: _list(vector) for name, vector in vectors.items()}


def _points(fields: Mapping[str, Any]) -> NDArray[np.float32]:
    shape, data = fields.get("shape"), fields.get("data")
    if fields.get("dtype") != "<f4" or not isinstance(data, bytes):
        raise WireError(f"points must be bytes of <f4, got {type(data).__name__} of {fields.get('dtype')!r:.20}")
    rows = shape[0] if isinstance(shape, list) and len(shape) == 2 and shape[1] == 3 else None
    if type(rows) is not int or not 0 <= rows <= MAX_POINTS or len(data) != 12 * rows:
        raise WireError(f"points of shape {shape!r:.40} in {len(data)} bytes; expected (N, 3), N up to {MAX_POINTS}")
    points = np.frombuffer(data, "<f4").reshape(rows, 3)
    if not np.isfinite(points).all():
        raise WireError("points must be finite")
    return points


def _camera(fields: dict[str, Any] | None) -> CameraModel | None:
    if fields is None:
        return None
    from calibration import CalibrationError, camera_from_dict  # needs OpenCV, which a subscriber to masks may lack

    try:
        camera = camera_from_dict(fields)
    except CalibrationError as error:
        raise WireError(f"camera: {error}") from None
    if camera.size[0] * camera.size[1] > MAX_PIXELS:
        raise WireError(f"camera of {camera.size[0]} x {camera.size[1]} px; expected at most {MAX_PIXELS} pixels")
    return camera
