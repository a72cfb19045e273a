"""Locates an object in space from a mask, its frame and a depth image. Pure: time is that of the frames.

By depth where there is some; else where the line of sight meets the plane of a visible board, or by a configured size;
else only the line of sight. Nothing is invented, and `reason` explains why no better method was used.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from calibration import CalibrationError, CameraModel, RigidTransform, UncertainTransform
from calibration.boards import CalibrationBoard
from calibration.lens import Floats
from calibration.objects.boxes import OrientedBox, fit_minimal_box, fit_quick_box
from calibration.objects.cloud import CloudError, Depth, PointCloud, extract_cloud
from calibration.objects.place import SurfacePoint, compute_mask_ray, estimate_centroid, intersect_plane, locate_by_size
from calibration.objects.pose_filter import PoseFilter, SteadyPose
from calibration.objects.register import register_depth
from calibration.pose import BoardPose, estimate_pose
from realtime.comms.object3d import BoxKind, DepthRef, Numbers, Object3dMessage, ObjectPose
from realtime.config.objects import ObjectSettings
from realtime.robotics.robot_frame import HeadsetCamera, RobotFrame
from realtime.sources.depth import DepthFrame
from realtime.types import Frame, Mask, MaskResult

JITTER_M = 0.001
"""Jitter of a centroid from frame to frame at one metre: the mask's edge moves more than the depth does."""
BOARD_JITTER_M = 0.002
"""Jitter of a centroid that is transformed by a board's pose, from frame to frame."""
_MAX_BOARD_RMS_PX = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class DepthCamera:
    """A depth camera beside the colour camera."""

    camera: CameraModel
    colour_from_depth: RigidTransform


class ObjectLocalizer:
    """A localizer of the selected object, frame by frame in the order of time; used by one thread."""

    def __init__(
        self,
        camera: CameraModel,
        frame_id: str,
        settings: ObjectSettings,
        *,
        beside: DepthCamera | None = None,
        robot: RobotFrame | None = None,
        board: CalibrationBoard | None = None,
    ) -> None:
        """camera: of masks and rays. frame_id: its optical frame. beside: the depth camera, unless it is the same."""
        self.camera, self.frame_id, self._settings = camera, frame_id, settings
        self._beside, self._robot, self._board = beside, robot, board
        self._filter, self._robot_filter, self._object = PoseFilter(), PoseFilter(), -1
        self._steady: SteadyPose | None = None
        self._quaternions: dict[str, Floats] = {}

    @property
    def depth_camera(self) -> CameraModel:
        """The camera of the depth images."""
        return self.camera if self._beside is None else self._beside.camera

    def locate(self, frame: Frame, result: MaskResult, depth: DepthFrame | None, missing: str) -> Object3dMessage:
        """Locate the object of a mask of this frame. missing: why there is no depth.

        Raises `CalibrationError` for frames that are not of the camera's size; no depth and no mask raises.
        """
        if frame.size != self.camera.size:
            (wide, high), size = self.camera.size, frame.size
            raise CalibrationError(
                f"the camera's file is for {wide} x {high}, frames are {size[0]} x {size[1]}; capture at that "
                "resolution or give the file for this one"
            )
        place = ObjectPose(self.frame_id)
        message = Object3dMessage(
            result.frame, frame.captured_ns, result.object, result.state, "none", place, camera=self.camera,
            confirmed=result.confirmed,
        )  # fmt: skip
        if result.is_guess:
            return replace(message, reason="the object is not known yet")
        if result.object != self._object:
            self._filter, self._robot_filter, self._object = PoseFilter(), PoseFilter(), result.object
            self._steady, self._quaternions = None, {}
        if result.mask is None or not result.mask.any():
            return replace(message, reason="the object is lost")
        try:
            ray = compute_mask_ray(result.mask, self.camera)
        except CalibrationError as error:
            return replace(message, reason=str(error))
        place = replace(place, ray_origin=(0.0,) * 3, ray_direction=_tuple(ray))
        message = self._locate_by_depth(replace(message, method="ray", place=place), result, depth, missing)
        board = None
        if self._board is not None and (message.method != "depth" or isinstance(self._robot, HeadsetCamera)):
            board = self._find_board(self._board, frame)
        if message.method != "depth":
            message = self._locate_without_depth(message, result.mask, board)
        return self._to_robot_frame(message, frame.captured_ns / 1e9, board)

    def _locate_by_depth(
        self, message: Object3dMessage, result: MaskResult, depth: DepthFrame | None, missing: str
    ) -> Object3dMessage:
        if depth is None or result.mask is None:
            return replace(message, reason=missing)
        try:
            cloud = extract_cloud(result.mask, self._register(depth, result.mask), self.camera, self._settings.cloud)
        except CloudError as error:
            return replace(message, reason=str(error), valid=error.valid_share)
        except CalibrationError as error:
            return replace(message, reason=str(error))
        spot = estimate_centroid(cloud)
        is_still = result.state != "preview" and not (self._steady and self._steady.is_moving)
        box, kind = self._fit_box(cloud, is_still)
        noise_m = JITTER_M * max(0.2, float(spot.point_m[2]) ** 2)
        self._steady = steady = self._filter.update(
            message.captured_ns / 1e9, box, spot.point_m, noise_m, len(cloud.points) * cloud.pixel_pitch_m**2
        )
        place = replace(
            message.place,
            centroid=_tuple(spot.point_m),
            centroid_covariance=_tuple(spot.covariance),
            position=_tuple(steady.pose.translation_m),
            orientation=self._continuous_quaternion("camera", steady.pose),
            velocity=_optional(_tuple, steady.velocity_m_s),
        )
        points, max_count = cloud.voxel_centroids, self._settings.most_points
        return replace(
            message,
            method="depth",
            place=place,
            extents=_tuple(steady.extents_m),
            box=kind,
            moving=steady.is_moving,
            count=len(cloud.points),
            valid=cloud.valid_share,
            points=points[:: math.ceil(len(points) / max_count)] if max_count else points[:0],
            voxel_m=cloud.voxel_m,
            depth=DepthRef(depth.timestamp, 1000 * depth.apart_s, self._beside is not None, depth.scale_m),
        )

    def _continuous_quaternion(self, frame: str, pose: RigidTransform) -> Numbers:
        """Return the one of the two equal quaternions that is nearer to the last: it can be interpolated."""
        new = pose.quaternion_xyzw
        if frame in self._quaternions and self._quaternions[frame] @ new < 0:
            new = -new
        self._quaternions[frame] = new
        return _tuple(new)

    def _fit_box(self, cloud: PointCloud, is_still: bool) -> tuple[OrientedBox, BoxKind]:
        rotation = self._filter.rotation
        if is_still and self._settings.library != "open3d":
            return fit_minimal_box(cloud, rotation), "minimal"
        if is_still:
            from calibration.objects.with_open3d import fit_open3d_box

            with suppress(CalibrationError):  # it finds no box of flat points
                return fit_open3d_box(cloud, rotation), "minimal"
        return fit_quick_box(cloud, rotation), "pca"

    def _register(self, depth: DepthFrame, mask: Mask) -> Depth:
        """Return the depth in the colour camera's image, within the mask's box."""
        if self._beside is None:
            return depth.depth
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        within = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
        return register_depth(depth.depth, self._beside.camera, self.camera, self._beside.colour_from_depth, within)

    def _locate_without_depth(self, message: Object3dMessage, mask: Mask, board: BoardPose | None) -> Object3dMessage:
        """Locate by the configured size, else by the board's plane, else only the line of sight."""
        reasons = [message.reason] if message.reason else []
        spot: SurfacePoint | None = None
        method = message.method
        if self._settings.size_m:
            try:
                spot, method = locate_by_size(mask, self.camera, self._settings.size_m), "size"
            except CalibrationError as error:
                reasons.append(str(error))
        if self._board is not None and board is None:
            reasons.append("the board is not visible")
        elif board is not None and spot is None:
            try:
                spot = intersect_plane(mask, self.camera, board.camera_from_board, board.covariance)
                method = "plane"
            except CalibrationError as error:
                reasons.append(str(error))
        message = replace(message, method=method, reason="; ".join(reasons) or "no depth, board or size is known")
        if spot is None:
            return message
        centroid, covariance = _tuple(spot.point_m), _tuple(spot.covariance)
        return replace(message, place=replace(message.place, centroid=centroid, centroid_covariance=covariance))

    def _find_board(self, board: CalibrationBoard, frame: Frame) -> BoardPose | None:
        found = board.detect(frame.image)
        if found is None:
            return None
        try:
            pose = estimate_pose(self.camera, found.object_points, found.points_px)
        except CalibrationError:
            return None
        return pose if pose.rms_px <= _MAX_BOARD_RMS_PX and np.isfinite(pose.covariance).all() else None

    def _to_robot_frame(self, message: Object3dMessage, captured_s: float, board: BoardPose | None) -> Object3dMessage:
        if self._robot is None:
            return message
        try:
            known = self._robot.robot_from_camera(captured_s, board)
        except CalibrationError as error:
            reasons = filter(None, (message.reason, f"not in the robot's frame: {error}"))
            return replace(message, reason="; ".join(reasons))
        robot = _transform_place(message.place, known, self._robot.frame_id)
        if robot.position is not None and robot.orientation is not None:
            pose = RigidTransform.from_quaternion(robot.orientation, robot.position)
            robot = replace(robot, orientation=self._continuous_quaternion("robot", pose))
            if isinstance(self._robot, HeadsetCamera):  # a moving camera measures a velocity of what stands
                box = OrientedBox(pose, np.array(message.extents))
                steady = self._robot_filter.update(captured_s, box, np.array(robot.centroid), BOARD_JITTER_M)
                robot = replace(robot, velocity=_optional(_tuple, steady.velocity_m_s))
        return replace(
            message,
            robot=robot,
            robot_from_camera_m=_tuple(known.pose.translation_m),
            robot_from_camera_xyzw=_tuple(known.pose.quaternion_xyzw),
        )


def _transform_place(place: ObjectPose, robot_from_camera: UncertainTransform, frame_id: str) -> ObjectPose:
    """Transform to the robot's frame; the centroid's covariance grows by that of the transform."""
    pose = robot_from_camera.pose
    covariance = position = orientation = None
    if place.centroid is not None and place.centroid_covariance is not None:
        rotated = pose.rotation @ np.reshape(place.centroid_covariance, (3, 3)) @ pose.rotation.T
        covariance = _tuple(rotated + robot_from_camera.point_covariance(np.array(place.centroid)))
    if place.position is not None and place.orientation is not None:
        box = pose @ RigidTransform.from_quaternion(place.orientation, place.position)
        position, orientation = _tuple(box.translation_m), _tuple(box.quaternion_xyzw)
    return ObjectPose(
        frame_id,
        ray_origin=_optional(pose.apply, place.ray_origin),
        ray_direction=_optional(pose.rotate, place.ray_direction),
        centroid=_optional(pose.apply, place.centroid),
        centroid_covariance=covariance,
        position=position,
        orientation=orientation,
        velocity=_optional(pose.rotate, place.velocity),
    )


def _optional(convert: Callable[[Any], Any], values: Any) -> Numbers | None:
    return None if values is None else _tuple(convert(values))


def _tuple(values: Floats) -> Numbers:
    return tuple(np.asarray(values, np.float64).ravel().tolist())
