"""From a mask, its frame and a depth image to `object3d`. Pure: time is that of the frames.

By depth where there is some; else where the line of sight meets the plane of a board that is seen, or by a size that
was told; else only the line of sight. Nothing is invented, and `reason` says why it is not better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibration import CalibrationError, CameraModel, RigidTransform, UncertainTransform
from calibration.boards import CalibrationBoard
from calibration.lens import Floats
from calibration.objects.boxes import OrientedBox, fit_minimal_box, fit_quick_box
from calibration.objects.cloud import CloudError, Depth, PointCloud, extract_cloud
from calibration.objects.place import SurfacePoint, compute_mask_ray, estimate_centroid, intersect_plane, locate_by_size
from calibration.objects.pose_filter import PoseFilter, SteadyPose
from calibration.objects.register import register_depth
from calibration.pose import BoardPose, estimate_pose
from realtime.comms.object3d import DepthRef, Numbers, Object3dMessage, ObjectPose
from realtime.config.objects import ObjectSettings
from realtime.robotics.robot_frame import HeadsetCamera, RobotFrame
from realtime.sources.depth import DepthFrame
from realtime.types import Frame, Mask, MaskResult

JITTER_M = 0.001
"""Of a mean of points from frame to frame, at one metre: the mask's edge moves more than the depth does."""
BOARD_JITTER_M = 0.002
"""Of a mean of points carried by a board's pose, from frame to frame."""
_BOARD_PX = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class DepthCamera:
    """A depth camera beside the colour camera."""

    camera: CameraModel
    colour_from_depth: RigidTransform


class ObjectLocalizer:
    """What is looked at, frame by frame, in the order of time; used by one thread."""

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
        self._camera, self._frame_id, self._settings = camera, frame_id, settings
        self._beside, self._robot, self._board = beside, robot, board
        self._filter, self._there, self._object = PoseFilter(), PoseFilter(), -1
        self._steady: SteadyPose | None = None
        self._quaternions: dict[str, Floats] = {}

    @property
    def camera(self) -> CameraModel:
        """Whose pictures masks and rays belong to."""
        return self._camera

    @property
    def depth_camera(self) -> CameraModel:
        """Whose pictures depth must be."""
        return self._camera if self._beside is None else self._beside.camera

    @property
    def frame_id(self) -> str:
        """The name of its optical frame."""
        return self._frame_id

    def locate(self, frame: Frame, message: MaskResult, depth: DepthFrame | None, missing: str) -> Object3dMessage:
        """The message for a mask of this frame; missing: why there is no depth. Raises `CalibrationError`.

        That is for frames that are not of the camera's size; what the depth or a mask may be never raises.
        """
        if frame.size != self._camera.size:
            (wide, high), size = self._camera.size, frame.size
            raise CalibrationError(
                f"the camera's file is for {wide} x {high}, frames are {size[0]} x {size[1]}; capture at that "
                "resolution or give the file for this one"
            )
        said = Object3dMessage(
            message.frame, frame.captured_ns, message.object, message.state, "none", ObjectPose(self._frame_id),
            camera=self._camera,
        )  # fmt: skip
        if message.object != self._object:
            self._filter, self._there, self._object, self._steady = PoseFilter(), PoseFilter(), message.object, None
            self._quaternions.clear()
        if message.mask is None or not message.mask.any():
            return replace(said, reason="the thing was lost")
        try:
            ray = compute_mask_ray(message.mask, self._camera)
        except CalibrationError as error:
            return replace(said, reason=str(error))
        said = replace(said, method="ray", place=replace(said.place, ray_origin=(0.0,) * 3, ray_direction=_tuple(ray)))
        found = self._locate_by_depth(said, message, depth, missing)
        board = None
        if self._board is not None and (found.method != "depth" or isinstance(self._robot, HeadsetCamera)):
            board = self._find_board(self._board, frame)
        if found.method != "depth":
            found = self._locate_without_depth(found, message.mask, board)
        return self._to_robot_frame(found, frame.captured_ns / 1e9, board)

    def _locate_by_depth(
        self, said: Object3dMessage, message: MaskResult, depth: DepthFrame | None, missing: str
    ) -> Object3dMessage:
        if depth is None or message.mask is None:
            return replace(said, reason=missing)
        try:
            cloud = extract_cloud(message.mask, self._aligned(depth, message.mask), self._camera, self._settings.cloud)
        except CloudError as error:
            return replace(said, reason=str(error), valid=error.valid_share)
        except CalibrationError as error:
            return replace(said, reason=str(error))
        spot = estimate_centroid(cloud)
        still = message.state != "preview" and not (self._steady and self._steady.is_moving)
        box, kind = self._box(cloud) if still else (fit_quick_box(cloud, self._filter.rotation), "pca")
        noise_m = JITTER_M * max(0.2, float(spot.point_m[2]) ** 2)
        self._steady = steady = self._filter.update(
            said.captured_ns / 1e9, box, spot.point_m, noise_m, len(cloud.points) * cloud.pixel_pitch_m**2
        )
        place = replace(
            said.place,
            centroid=_tuple(spot.point_m),
            centroid_covariance=_tuple(spot.covariance),
            position=_tuple(steady.pose.translation_m),
            orientation=self._continued("camera", steady.pose),
            velocity=None if steady.velocity_m_s is None else _tuple(steady.velocity_m_s),
        )
        points = _thinned(cloud.voxel_centroids, self._settings.most_points)
        return replace(
            said,
            method="depth",
            place=place,
            extents=_tuple(steady.extents_m),
            box="minimal" if kind == "minimal" else "pca",
            moving=steady.is_moving,
            count=len(cloud.points),
            valid=cloud.valid_share,
            points=points,
            voxel_m=cloud.voxel_m,
            depth=DepthRef(depth.timestamp, 1000 * depth.apart_s, self._beside is not None),
        )

    def _continued(self, frame: str, pose: RigidTransform) -> Numbers:
        """The quaternion, of the two that mean the same the one nearer to the last: it can be interpolated."""
        new = pose.quaternion_xyzw
        if frame in self._quaternions and self._quaternions[frame] @ new < 0:
            new = -new
        self._quaternions[frame] = new
        return _tuple(new)

    def _box(self, cloud: PointCloud) -> tuple[OrientedBox, str]:
        if self._settings.library == "open3d":
            from calibration.objects.with_open3d import fit_open3d_box

            try:
                return fit_open3d_box(cloud, self._filter.rotation), "minimal"
            except CalibrationError:  # of flat points it finds none
                return fit_quick_box(cloud, self._filter.rotation), "pca"
        return fit_minimal_box(cloud, self._filter.rotation), "minimal"

    def _aligned(self, depth: DepthFrame, mask: Mask) -> Depth:
        """The depth in the colour camera's picture, as far as the mask goes."""
        if self._beside is None:
            return depth.depth
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        within = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
        return register_depth(depth.depth, self._beside.camera, self._camera, self._beside.colour_from_depth, within)

    def _locate_without_depth(self, said: Object3dMessage, mask: Mask, board: BoardPose | None) -> Object3dMessage:
        """By the size that was told, else by the board's plane, else only the line of sight."""
        reasons = [said.reason] if said.reason else []
        spots: list[tuple[str, SurfacePoint]] = []
        if self._settings.size_m:
            try:
                spots.append(("size", locate_by_size(mask, self._camera, self._settings.size_m)))
            except CalibrationError as error:
                reasons.append(str(error))
        if self._board is not None and board is None:
            reasons.append("the board is not seen")
        elif board is not None and not spots:
            try:
                spots.append(("plane", intersect_plane(mask, self._camera, board.camera_from_board, board.covariance)))
            except CalibrationError as error:
                reasons.append(str(error))
        said = replace(said, reason="; ".join(reasons) or "no depth, board or size is known")
        if not spots:
            return said
        name, spot = spots[0]
        place = replace(said.place, centroid=_tuple(spot.point_m), centroid_covariance=_tuple(spot.covariance))
        return replace(said, method="size" if name == "size" else "plane", place=place)

    def _find_board(self, board: CalibrationBoard, frame: Frame) -> BoardPose | None:
        found = board.detect(frame.image)
        if found is None:
            return None
        try:
            pose = estimate_pose(self._camera, found.object_points, found.points_px)
        except CalibrationError:
            return None
        return pose if pose.rms_px <= _BOARD_PX and np.isfinite(pose.covariance).all() else None

    def _to_robot_frame(self, said: Object3dMessage, captured_s: float, board: BoardPose | None) -> Object3dMessage:
        if self._robot is None:
            return said
        try:
            known = self._robot.robot_from_camera(captured_s, board)
        except CalibrationError as error:
            return replace(said, reason="; ".join(filter(None, (said.reason, f"not in the robot's frame: {error}"))))
        robot = _carried(said.place, known, self._robot.frame_id)
        if robot.position is not None and robot.orientation is not None:
            pose = RigidTransform.from_quaternion(robot.orientation, robot.position)
            robot = replace(robot, orientation=self._continued("robot", pose))
            if isinstance(self._robot, HeadsetCamera):
                robot = replace(robot, velocity=self._velocity_there(captured_s, said, robot, pose))
        return replace(
            said,
            robot=robot,
            robot_from_camera_m=_tuple(known.pose.translation_m),
            robot_from_camera_xyzw=_tuple(known.pose.quaternion_xyzw),
        )

    def _velocity_there(
        self, captured_s: float, said: Object3dMessage, robot: ObjectPose, pose: RigidTransform
    ) -> Numbers | None:
        """In the base of a robot, by the places there: of what stands, a head that moves sees a velocity."""
        box = OrientedBox(pose, np.array(said.extents))
        steady = self._there.update(captured_s, box, np.array(robot.centroid), BOARD_JITTER_M)
        return None if steady.velocity_m_s is None else _tuple(steady.velocity_m_s)


def _carried(place: ObjectPose, robot_from_camera: UncertainTransform, frame_id: str) -> ObjectPose:
    """The same in the robot's frame; the covariance grows by that of the transform."""
    pose = robot_from_camera.pose
    turn = pose.rotation
    covariance = None
    if place.centroid is not None and place.centroid_covariance is not None:
        own = np.reshape(place.centroid_covariance, (3, 3))
        covariance = _tuple(turn @ own @ turn.T + robot_from_camera.point_covariance(np.array(place.centroid)))
    position = orientation = None
    if place.position is not None and place.orientation is not None:
        box = pose @ RigidTransform.from_quaternion(place.orientation, place.position)
        position, orientation = _tuple(box.translation_m), _tuple(box.quaternion_xyzw)
    return ObjectPose(
        frame_id,
        None if place.ray_origin is None else _tuple(pose.apply(place.ray_origin)),
        None if place.ray_direction is None else _tuple(pose.rotate(place.ray_direction)),
        None if place.centroid is None else _tuple(pose.apply(place.centroid)),
        covariance,
        position,
        orientation,
        None if place.velocity is None else _tuple(pose.rotate(place.velocity)),
    )


def _thinned(points: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """At most so many, evenly taken."""
    return points[:: math.ceil(len(points) / most)] if most else points[:0]


def _tuple(values: Floats) -> Numbers:
    return tuple(np.asarray(values, np.float64).ravel().tolist())
