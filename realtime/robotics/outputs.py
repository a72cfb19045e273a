"""What a run publishes in others' formats, besides ours: ROS 2 messages for Foxglove, a camera for LeRobot."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from realtime.config.schema import Config
from realtime.infra.clock import wall_ns
from realtime.pipeline.observers import Tap
from realtime.robotics.lerobot_camera import LeRobotCamera
from realtime.robotics.object3d_observer import Space
from realtime.robotics.ros2.topics import CAMERA_FRAME


def open_formats(config: Config, space: Space | None, stack: ExitStack, tell: Callable[[str], None]) -> list[Tap]:
    """Those that are wanted; `stack` closes them, `tell` says where they are.

    space: which knows the camera and the name of its frame, where there is a calibration.
    Raises `SettingsError` where a library is missing, `TransportError` where an address cannot be used.
    """
    publish, host_to_wall_ns = config.publish, wall_ns()  # read once, that all stamps of a frame are the same
    taps: list[Tap] = []
    if publish.foxglove:
        from realtime.robotics.ros2.foxglove import Foxglove

        camera, frame_id = space.reference if space else (None, config.objects.frame_id or CAMERA_FRAME)
        foxglove = Foxglove(
            publish.foxglove, publish.stream, host_to_wall_ns, camera=camera, camera_frame=frame_id,
            jpeg_quality=publish.jpeg_quality,
        )  # fmt: skip
        stack.callback(foxglove.close)
        tell(f"for Foxglove: {foxglove.address}")
        taps.append(foxglove)
    if publish.lerobot:
        shown = LeRobotCamera(publish.lerobot, publish.stream, host_to_wall_ns, jpeg_quality=publish.jpeg_quality)
        stack.callback(shown.close)
        tell(f"for LeRobot: camera {publish.stream} at {shown.endpoint}")
        taps.append(shown)
    return taps
