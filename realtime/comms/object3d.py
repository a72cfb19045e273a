"""`object3d`: where in space is what is being looked at, as a value of the wire. Pure.

Metres and seconds. Frames of reference: `frame_id` names the camera's optical frame (x right, y down, z forward), which
everything but `robot` is in; `robot` says the same in the robot's frame. Quaternions are x, y, z, w as in ROS.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from calibration import CalibrationError, CameraModel, camera_from_dict
from realtime.comms.envelope import map_of, number, whole
from realtime.comms.mask_encoding import MAX_PIXELS
from realtime.comms.references import STATES, envelope, frame_ref
from realtime.errors import WireError
from realtime.types import FrameRef, State

Method3d = Literal["depth", "plane", "size", "ray", "none"]
"""What a place rests on. depth: measured. plane: the ray meets the plane of a board that is seen. size: the thing is as
large as we were told. ray: only the direction is known. none: lost, not even that."""
BoxKind = Literal["minimal", "pca"]
METHODS: tuple[Method3d, ...] = get_args(Method3d)
BOXES: tuple[BoxKind, ...] = get_args(BoxKind)
MAX_POINTS = 100_000
Numbers = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ObjectPose:
    """Where the thing is, in the frame of reference `frame_id`. None is what is not known.

    ray_origin (m), ray_direction (unit): the line of sight through the thing; all that there is with method ray.
    centroid: mean of the points that were seen, m. centroid_covariance: how well it is known, not how large the thing
        is: 9 numbers, row by row, m^2.
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
        """As a map: `ray` {origin, direction} and `pose` {position, orientation} or nil, the rest by name."""
        ray, pose = (self.ray_origin, self.ray_direction), (self.position, self.orientation)
        return {
            "frame_id": self.frame_id,
            "ray": None if None in ray else dict(zip(("origin", "direction"), map(_list, ray), strict=True)),
            "centroid": _list(self.centroid),
            "centroid_covariance": _list(self.centroid_covariance),
            "pose": None if None in pose else dict(zip(("position", "orientation"), map(_list, pose), strict=True)),
            "velocity": _list(self.velocity),
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any], where: str) -> ObjectPose:
        """Read a map; raises `WireError`."""
        name = fields.get("frame_id")
        if not isinstance(name, str):
            raise WireError(f"{where}.frame_id must be a string, got {type(name).__name__}")
        ray = {} if fields.get("ray") is None else map_of(fields, "ray")
        pose = {} if fields.get("pose") is None else map_of(fields, "pose")
        orientation = _vector(pose, "orientation", 4, "pose")
        if orientation is not None and abs(math.hypot(*orientation) - 1) > 1e-3:
            raise WireError(f"pose.orientation must be a unit quaternion, got {list(orientation)}")
        return cls(
            name,
            _vector(ray, "origin", 3, "ray"),
            _vector(ray, "direction", 3, "ray"),
            _vector(fields, "centroid", 3, where),
            _vector(fields, "centroid_covariance", 9, where),
            _vector(pose, "position", 3, "pose"),
            orientation,
            _vector(fields, "velocity", 3, where),
        )


@dataclass(frozen=True, slots=True)
class DepthRef:
    """The depth frame that was used. timestamp: on its source's clock. apart_ms: captured this much after `frame`.

    registered: it was moved from the depth camera's picture into the colour camera's.
    """

    timestamp: float
    apart_ms: float
    registered: bool


@dataclass(frozen=True, slots=True, eq=False)
class Object3dMessage:
    """`object3d`: the thing of the `mask` message of the same `frame`, in space.

    object, state: as in that message. captured_ns: when the frame was taken, the host's monotonic clock; a header's
        stamp in ROS is this time, or `frame.timestamp` on the source's clock.
    method: what the place rests on; reason: why not something better, "" where it is depth.
    extents: sides of the box, m, longest first, of what the camera sees: the far side is not guessed.
    box: minimal where the thing was steady, pca while it moves or is not locked yet.
    moving: whether its velocity is told from 0. count: points that the box was made of, before `points` was thinned.
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
    stream: str = ""
    seq: int = 0
    published_ns: int = 0

    def to_fields(self) -> dict[str, Any]:
        """The map as published, envelope fields excepted; those of `place` stand beside the others."""
        points = np.zeros((0, 3), np.float32) if self.points is None else self.points
        robot = None
        if self.robot is not None:
            transform = {
                "translation": _list(self.robot_from_camera_m),
                "rotation": _list(self.robot_from_camera_xyzw),
            }
            robot = {**self.robot.to_fields(), "from_camera": transform}
        return {
            "frame": asdict(self.frame),
            "captured_ns": self.captured_ns,
            "object": self.object,
            "state": self.state,
            "method": self.method,
            "reason": self.reason,
            **self.place.to_fields(),
            "extents": _list(self.extents),
            "box": self.box,
            "moving": self.moving,
            "count": self.count,
            "valid": self.valid,
            "points": {
                "dtype": "<f4",
                "shape": list(points.shape),
                "data": np.ascontiguousarray(points, "<f4").tobytes(),
            },
            "voxel": self.voxel_m,
            "camera": None if self.camera is None else self.camera.to_dict(),
            "depth": None if self.depth is None else asdict(self.depth),
            "robot": robot,
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Object3dMessage:
        """Read a map; raises `WireError`."""
        state, method, box = fields.get("state"), fields.get("method"), fields.get("box")
        if state not in STATES:
            raise WireError(f"state {state!r}; known are {', '.join(STATES)}")
        if method not in METHODS:
            raise WireError(f"method {method!r}; known are {', '.join(METHODS)}")
        if box not in (None, *BOXES):
            raise WireError(f"box {box!r}; known are {', '.join(BOXES)} and nil")
        place = ObjectPose.from_fields(fields, "object3d")
        if (place.centroid is not None) != (method in ("depth", "plane", "size")):
            raise WireError(f"method {method} {'without' if place.centroid is None else 'with'} a centroid")
        robot = None if fields.get("robot") is None else map_of(fields, "robot")
        transform = map_of(robot, "from_camera") if robot else {}
        return cls(
            frame=frame_ref(map_of(fields, "frame")),
            captured_ns=whole(fields, "captured_ns", "object3d"),
            object=whole(fields, "object", "object3d"),
            state=state,
            method=method,
            place=place,
            reason=str(fields.get("reason", "")),
            extents=_vector(fields, "extents", 3, "object3d"),
            box=box,
            moving=fields.get("moving") is True,
            count=whole(fields, "count", "object3d"),
            valid=number(fields, "valid", "object3d"),
            points=_points(map_of(fields, "points")),
            voxel_m=number(fields, "voxel", "object3d"),
            camera=_camera(fields),
            depth=_depth(fields),
            robot=None if robot is None else ObjectPose.from_fields(robot, "robot"),
            robot_from_camera_m=_vector(transform, "translation", 3, "robot.from_camera"),
            robot_from_camera_xyzw=_vector(transform, "rotation", 4, "robot.from_camera"),
            **envelope(fields),
        )


def _list(vector: Sequence[float] | None) -> list[float] | None:
    return None if vector is None else [float(value) for value in vector]


def _vector(fields: Mapping[str, Any], key: str, length: int, where: str) -> Numbers | None:
    values = fields.get(key)
    if values is None:
        return None
    if not isinstance(values, list) or len(values) != length:
        raise WireError(f"{where}.{key} must be a list of {length} numbers, got {values!r:.80}")
    return tuple(number({key: value}, key, where) for value in values)


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


def _camera(fields: Mapping[str, Any]) -> CameraModel | None:
    if fields.get("camera") is None:
        return None
    try:
        camera = camera_from_dict(map_of(fields, "camera"))
    except CalibrationError as error:
        raise WireError(f"camera: {error}") from None
    if camera.size[0] * camera.size[1] > MAX_PIXELS:
        raise WireError(f"camera of {camera.size[0]} x {camera.size[1]} px; expected at most {MAX_PIXELS} pixels")
    return camera


def _depth(fields: Mapping[str, Any]) -> DepthRef | None:
    if fields.get("depth") is None:
        return None
    depth = map_of(fields, "depth")
    return DepthRef(
        number(depth, "timestamp", "depth"), number(depth, "apart_ms", "depth"), depth.get("registered") is True
    )
