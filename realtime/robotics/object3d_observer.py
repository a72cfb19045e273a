"""Publishes the place of an object in space as `object3d`, from the newest mask and its depth."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from calibration import CalibrationError, CameraModel, RigidTransform
from calibration.boards import parse_board
from calibration.formats import read_camera
from calibration.text import to_utf8
from realtime.config.objects import DepthSettings, ObjectSettings
from realtime.errors import SettingsError, SourceError
from realtime.pipeline.observers import FrameResult
from realtime.pipeline.publisher import MessagePublisher
from realtime.pipeline.result_worker import ResultWorker
from realtime.robotics.object_localizer import DepthCamera, ObjectLocalizer
from realtime.robotics.robot_frame import load_robot_frame
from realtime.sources.base import CameraSource
from realtime.sources.depth import DepthFrame, DepthSource

log = logging.getLogger(__name__)
MAX_WITHOUT_DEPTH_S = 2.0
"""After so long without a depth frame that is near in time, the lack of depth is reported."""


class Object3dObserver(ResultWorker):
    """An observer that publishes `object3d` for each mask that it keeps up with; it delays no mask."""

    name, dropped_name = "object3d", "superseded"
    join_timeout_s = 0.5

    def __init__(
        self,
        find_localizer: Callable[[], ObjectLocalizer | None],
        depth: DepthSource | None,
        settings: DepthSettings,
        publisher: MessagePublisher,
        *,
        every_frame: bool = False,
        refuse: Callable[[str], None] = log.error,
    ) -> None:
        """find_localizer: returns that of the newest frame's camera, None while the camera is unknown.

        every_frame: `on_mask` waits until the last mask was handled; for runs that are not in real time.

        refuse: called with the reason why this camera's calibration does not fit these frames.
        """
        super().__init__()
        self.find_localizer, self._depth, self._publisher = find_localizer, depth, publisher
        self._tolerance_s, self._wait_s = settings.tolerance_ms / 1000, settings.wait_ms / 1000
        self._every_frame, self._refuse = every_frame, refuse
        self._size_mismatch = ""
        self._without_depth_since_ns: int | None = None
        self._without_depth_s = 0.0

    def start(self) -> None:
        """Start to receive depth, and the thread."""
        if self._depth is not None:
            self._depth.start()
        super().start()

    def close(self) -> None:
        """End the thread and the depth source, within a second; may be called twice."""
        self._results.close()
        if self._depth is not None:
            self._depth.stop()
        super().close()

    def on_mask(self, result: FrameResult) -> None:
        """Replace the newest frame with its mask."""
        if result.result is not None:
            (self._results.put_when_empty if self._every_frame else self._results.put)(result)

    def drop_counts(self) -> Mapping[str, int]:
        """Count masks that a newer one replaced, masks that failed, and drops of the depth source."""
        counts = {"object3d.superseded": 0, "object3d.failed": 0, **super().drop_counts()}
        depth = self._depth.status().dropped if self._depth is not None else {}
        return counts | {f"depth.{reason}": count for reason, count in depth.items()}

    def problem(self) -> str:
        """Return why there is no depth, and the last error."""
        status = self._depth.status() if self._depth is not None else None
        no_depth = ""
        if status is not None and status.state != "running":
            no_depth = f"depth: {status.reason or status.state}"
        elif self._without_depth_s > MAX_WITHOUT_DEPTH_S:
            within_ms = 1000 * self._tolerance_s
            no_depth = f"depth: none within {within_ms:g} ms of a frame for {self._without_depth_s:.0f} s"
        return "; ".join(filter(None, (no_depth, self._size_mismatch, super().problem())))

    def handle(self, result: FrameResult | None) -> None:
        """Locate the object of a mask and publish it."""
        localizer = self.find_localizer()
        if result is None or result.result is None or localizer is None:
            return
        try:
            depth, missing = self._find_depth(result, localizer.depth_camera.size)
            message = localizer.locate(result.frame, result.result, depth, missing)
        except CalibrationError as error:
            self._refuse(str(error))
        else:
            self._publisher.publish("object3d", message.to_fields())

    def _find_depth(self, result: FrameResult, expected_size: tuple[int, int]) -> tuple[DepthFrame | None, str]:
        """Return the depth of a frame, or why there is none."""
        if self._depth is None or result.result is None or result.result.mask is None or result.result.is_guess:
            return None, ""
        at_ns = result.frame.captured_ns
        found = self._depth.find_nearest(result.frame, self._tolerance_s, self._wait_s)
        if found is not None:
            self._without_depth_since_ns, self._without_depth_s = None, 0.0
            self._size_mismatch = _describe_size_mismatch(found.depth.shape[1::-1], expected_size)
            return found, ""
        if self._without_depth_since_ns is None:
            self._without_depth_since_ns = at_ns
        self._without_depth_s = (at_ns - self._without_depth_since_ns) / 1e9
        return None, f"no depth within {1000 * self._tolerance_s:g} ms of this frame"


class DeviceLocalizer:
    """Builds the localizer of the camera that a device reports, anew when that is another one."""

    def __init__(self, device: CameraSource, build: Callable[[CameraModel], ObjectLocalizer]) -> None:
        self._device, self._build = device, build
        self._newest: ObjectLocalizer | None = None

    def __call__(self) -> ObjectLocalizer | None:
        """Return the localizer of the present camera; None while the device has not reported one."""
        camera = self._device.camera_model()
        if camera is not None and (self._newest is None or self._newest.camera != camera):
            self._newest = self._build(camera)
        return self._newest


def open_object3d(
    depth_source: DepthSource | None, depth: DepthSettings, objects: ObjectSettings, publisher: MessagePublisher,
    *, every_frame: bool, refuse: Callable[[str], None], device: CameraSource | None = None,
) -> Object3dObserver | None:  # fmt: skip
    """Create the observer of the settings, not yet started; None where there is no camera.

    depth_source: that of `depth.source`, opened. device: reports the camera where the settings have none.
    Raises `SettingsError`, `SourceError` or `CalibrationError`.
    """
    if objects.camera is None and device is None:
        if depth.source:
            raise SettingsError("depth needs the calibration of the frames' camera: give --camera FILE")
        if objects.robot or objects.board or objects.size_m:
            raise SettingsError("robot, board and size_m need the camera's calibration: give --camera FILE")
        return None
    if objects.library == "open3d":
        from calibration.objects.with_open3d import load_open3d

        load_open3d()
    find_localizer: Callable[[], ObjectLocalizer | None]
    if objects.camera is None:
        assert device is not None
        refuse = _fail_frame
        find_localizer = DeviceLocalizer(device, _prepare_localizer(depth, objects, device.camera_name, None))
    else:
        name, camera = read_camera(objects.camera)
        localizer = _prepare_localizer(depth, objects, name, name)(camera)
        size = getattr(depth_source, "size", None)
        if size is not None and (misfit := _describe_size_mismatch(size, localizer.depth_camera.size)):
            raise SourceError(misfit)

        def find_localizer() -> ObjectLocalizer:
            return localizer

    return Object3dObserver(find_localizer, depth_source, depth, publisher, every_frame=every_frame, refuse=refuse)


def _fail_frame(reason: str) -> None:
    """Count a frame that does not fit its device's camera: it was captured before the device changed that."""
    raise CalibrationError(reason)


def _prepare_localizer(
    depth: DepthSettings, objects: ObjectSettings, name: str, file_name: str | None
) -> Callable[[CameraModel], ObjectLocalizer]:
    """Return the maker of a camera's localizer. file_name: the camera's in other files; None where it has none."""
    frame_id = objects.frame_id or f"{re.sub(r'[^A-Za-z0-9]+', '_', name).strip('_') or 'camera'}_optical_frame"
    beside = None
    if depth.camera is not None and depth.colour_from_depth is not None:
        beside = _load_depth_camera(read_camera(depth.camera)[1], depth.colour_from_depth)
    robot = None
    if objects.robot is not None:
        robot = load_robot_frame(
            objects.robot, file_name, by_board=objects.robot_by_board, frame_id=objects.robot_frame
        )
    board = parse_board(objects.board) if objects.board else None
    if board is not None and not board.has_unique_orientation:
        raise SettingsError(f"{objects.board} is the same upside down and so has no unique pose; use ChArUco")
    return partial(ObjectLocalizer, frame_id=frame_id[-64:], settings=objects, beside=beside, robot=robot, board=board)


def _describe_size_mismatch(size: tuple[int, ...], expected: tuple[int, int]) -> str:
    """Explain why depth images of this (width, height) do not fit; empty where they do."""
    if tuple(size) == expected:
        return ""
    return (
        f"depth is {size[0]} x {size[1]}, its camera {expected[0]} x {expected[1]}; align it with the picture, or "
        "give depth.camera and depth.colour_from_depth"
    )


def _load_depth_camera(camera: CameraModel, path: Path) -> DepthCamera:
    try:
        fields = msgspec.json.decode(to_utf8(path.read_bytes()), type=dict[str, Any])
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror or error}") from None
    except msgspec.ValidationError:
        raise SettingsError(f"{path} must be an object with translation_m and quaternion_xyzw") from None
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path} is not JSON: {error}") from None
    try:
        return DepthCamera(camera, RigidTransform.from_dict(fields))
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from None
