"""The thread that places what is looked at: takes the newest mask, finds its depth, publishes `object3d`."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable, Mapping

from calibration import CalibrationError, CameraModel, RigidTransform
from calibration.boards import parse_board
from calibration.formats import read_camera
from realtime.config.objects import DepthSettings, ObjectSettings
from realtime.errors import SettingsError, SourceError
from realtime.infra.channels import Latest
from realtime.infra.error_guard import describe_error
from realtime.pipeline.observers import FrameResult, PipelineObserver
from realtime.pipeline.publisher import MessagePublisher
from realtime.robotics.object_localizer import DepthCamera, ObjectLocalizer
from realtime.robotics.robot_frame import load_robot_frame
from realtime.sources.depth import DepthFrame, DepthSource

log = logging.getLogger(__name__)
JOIN_S = 0.5
MAX_WITHOUT_DEPTH_S = 2.0
"""After so long without any depth that is near in time, this is somebody's trouble, not a frame's."""


class Object3dObserver(PipelineObserver):
    """Publishes `object3d` for each mask that it keeps up with; a mask is never waited for, nor slowed."""

    name = "object3d"

    def __init__(
        self,
        placer: ObjectLocalizer,
        depth: DepthSource | None,
        settings: DepthSettings,
        broadcast: MessagePublisher,
        *,
        every_frame: bool = False,
        refuse: Callable[[str], None] = log.error,
    ) -> None:
        """every_frame: let whoever shows frames wait until the last was placed, where time does not press.

        refuse: told why this camera's calibration cannot be used with these frames.
        """
        self._placer, self._depth, self._broadcast = placer, depth, broadcast
        self._tolerance_s, self._wait_s = settings.tolerance_ms / 1000, settings.wait_ms / 1000
        self._every_frame, self._refuse = every_frame, refuse
        self._slot: Latest[FrameResult] = Latest()
        self._trouble = self._misfit = ""
        self._failed = 0
        self._alone_since_ns: int | None = None
        self._alone_s = 0.0
        self._thread = threading.Thread(target=self._work, name="gazecast-object3d", daemon=True)

    @property
    def reference(self) -> tuple[CameraModel, str]:
        """The camera that all is said of, and the name of its optical frame."""
        return self._placer.camera, self._placer.frame_id

    def start(self) -> None:
        """Begin to receive depth and to work."""
        if self._depth is not None:
            self._depth.start()
        self._thread.start()

    def stop(self) -> None:
        """End within a second; twice is fine."""
        self._slot.close()
        if self._depth is not None:
            self._depth.stop()
        if self._thread.is_alive():
            self._thread.join(JOIN_S)

    def on_mask(self, shown: FrameResult) -> None:
        """Take the newest frame with its mask."""
        if shown.result is None:
            return
        if self._every_frame:
            self._slot.put_when_empty(shown)
        else:
            self._slot.put(shown)

    def drop_counts(self) -> Mapping[str, int]:
        """Masks that a newer one overtook, those that failed, and what the depth source dropped."""
        lost = {"object3d.superseded": self._slot.dropped, "object3d.failed": self._failed}
        if self._depth is not None:
            lost |= {f"depth.{why}": count for why, count in self._depth.status().dropped.items()}
        return lost

    def problem(self) -> str:
        """Why there is no depth, and what went wrong last."""
        status = self._depth.status() if self._depth is not None else None
        silent = "" if status is None or status.state == "running" else f"depth: {status.reason or status.state}"
        if not silent and self._alone_s > MAX_WITHOUT_DEPTH_S:
            silent = f"depth: none within {1000 * self._tolerance_s:g} ms of a frame for {self._alone_s:.0f} s"
        return "; ".join(filter(None, (silent, self._misfit, self._trouble)))

    def _work(self) -> None:
        while (shown := self._slot.get()) is not None or not self._slot.is_closed:
            if shown is None or shown.result is None:
                continue
            try:
                depth, missing = self._depth_of(shown)
                said = self._placer.locate(shown.frame, shown.result, depth, missing)
                self._broadcast.publish("object3d", said.to_fields())
                self._trouble = ""
            except CalibrationError as error:
                self._refuse(str(error))
            except Exception as error:  # one frame's trouble must not end the others
                self._failed += 1
                if self._trouble != (told := f"object3d: {describe_error(error)}"):
                    log.warning("%s", told, exc_info=log.isEnabledFor(logging.DEBUG))
                self._trouble = told

    def _depth_of(self, shown: FrameResult) -> tuple[DepthFrame | None, str]:
        if self._depth is None or shown.result is None or shown.result.mask is None:
            return None, ""
        found, at_ns = self._depth.find_nearest(shown.frame, self._tolerance_s, self._wait_s), shown.frame.captured_ns
        if found is not None:
            self._alone_since_ns, self._alone_s = None, 0.0
            self._misfit = _describe_size_mismatch(found.depth.shape[1::-1], self._placer.depth_camera.size)
            return found, ""
        self._alone_since_ns = at_ns if self._alone_since_ns is None else self._alone_since_ns
        self._alone_s = (at_ns - self._alone_since_ns) / 1e9
        return None, f"no depth within {1000 * self._tolerance_s:g} ms of this frame"


def open_object3d(
    depth_source: DepthSource | None, depth: DepthSettings, objects: ObjectSettings, broadcast: MessagePublisher,
    *, every_frame: bool, refuse: Callable[[str], None],
) -> Object3dObserver | None:  # fmt: skip
    """What the settings say, not yet started; None where nothing of it is wanted.

    depth_source: opened as `depth.source` says. Raises `SettingsError`, `SourceError` or `CalibrationError`.
    """
    if objects.camera is None:
        if depth.source:
            raise SettingsError("depth needs the calibration of the frames' camera: give --camera FILE")
        return None
    if objects.library == "open3d":
        from calibration.objects.with_open3d import load_open3d

        load_open3d()
    name, camera = read_camera(objects.camera)
    frame_id = objects.frame_id or f"{re.sub(r'[^A-Za-z0-9]+', '_', name).strip('_') or 'camera'}_optical_frame"
    beside = _load_depth_camera(depth) if depth.camera is not None else None
    robot = None
    if objects.robot is not None:
        robot = load_robot_frame(objects.robot, name, by_board=objects.robot_by_board, frame_id=objects.robot_frame)
    board = parse_board(objects.board) if objects.board else None
    if board is not None and not board.has_unique_orientation:
        raise SettingsError(f"{objects.board} looks the same upside down and fixes no pose; use ChArUco")
    placer = ObjectLocalizer(camera, frame_id[-64:], objects, beside=beside, robot=robot, board=board)
    size = getattr(depth_source, "size", None)
    if size is not None and (misfit := _describe_size_mismatch(size, placer.depth_camera.size)):
        raise SourceError(misfit)
    return Object3dObserver(placer, depth_source, depth, broadcast, every_frame=every_frame, refuse=refuse)


def _describe_size_mismatch(size: tuple[int, ...], expected: tuple[int, int]) -> str:
    """What is wrong with depth pictures of that (width, height), "" where nothing is."""
    if tuple(size) == expected:
        return ""
    return (
        f"depth is {size[0]} x {size[1]}, its camera {expected[0]} x {expected[1]}; align it with the picture, or "
        "give depth.camera and depth.colour_from_depth"
    )


def _load_depth_camera(depth: DepthSettings) -> DepthCamera:
    assert depth.camera is not None
    assert depth.colour_from_depth is not None
    _, camera = read_camera(depth.camera)
    path = depth.colour_from_depth
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path} is not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise SettingsError(f"{path} must be an object with translation_m and quaternion_xyzw")
    try:
        return DepthCamera(camera, RigidTransform.from_dict(fields))
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from None
