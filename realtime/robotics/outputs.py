"""Opens the outputs of a run for other programs: ROS 2 messages for Foxglove, a camera for LeRobot."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from realtime.config.access import Output
from realtime.config.schema import RunConfig
from realtime.infra.clock import wall_ns
from realtime.pipeline.observers import PipelineObserver
from realtime.robotics.lerobot_camera import LeRobotCamera
from realtime.robotics.object3d_observer import Object3dObserver
from realtime.robotics.ros2.topics import CAMERA_FRAME


def open_robot_outputs(
    config: RunConfig, objects: Object3dObserver | None, stack: ExitStack, report: Callable[[str], None]
) -> list[PipelineObserver]:
    """Open the configured outputs; `stack` closes them, `report` is called with a line about each one's address.

    objects: knows the camera and the name of its frame, where there is a calibration. Raises `SettingsError` where a
    library is missing, `TransportError` where an address cannot be used.
    """
    publish, host_to_wall_ns = config.publish, wall_ns()  # read once, so that all stamps of a frame are equal
    observers: list[PipelineObserver] = []
    if publish.foxglove:
        from realtime.robotics.ros2.foxglove import FoxgloveServer

        localizer = objects.find_localizer() if objects else None  # that of a device is known once it is connected
        camera = localizer.camera if localizer else None
        frame_id = localizer.frame_id if localizer else config.objects.frame_id or CAMERA_FRAME
        foxglove = FoxgloveServer(
            publish.foxglove, publish.stream, host_to_wall_ns, camera=camera, camera_frame=frame_id,
            jpeg_quality=publish.jpeg_quality, is_open="foxglove" in config.access.insecure,
        )  # fmt: skip
        stack.callback(foxglove.close)
        report(f"for Foxglove: {foxglove.address}{_warn_open('foxglove', config)}")
        observers.append(foxglove)
    if publish.lerobot:
        lerobot = LeRobotCamera(
            publish.lerobot, publish.stream, host_to_wall_ns, jpeg_quality=publish.jpeg_quality,
            is_open="lerobot" in config.access.insecure,
        )  # fmt: skip
        stack.callback(lerobot.close)
        report(f"for LeRobot: camera {publish.stream} at {lerobot.endpoint}{_warn_open('lerobot', config)}")
        observers.append(lerobot)
    return observers


def _warn_open(output: Output, config: RunConfig) -> str:
    return "; WARNING: open to all who can connect (--insecure)" if output in config.access.insecure else ""
