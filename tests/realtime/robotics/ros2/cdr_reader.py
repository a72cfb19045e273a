"""Makes messages as a run publishes them, for tests of their translation to ROS 2."""

from __future__ import annotations

import numpy as np

from calibration import PinholeCamera
from realtime.comms.messages import MaskMessage
from realtime.comms.object3d import Object3dMessage, ObjectPose
from realtime.types import FrameRef, GazeRef, KeyframeRef, TimingNs

SIZE = (64, 48)
WALL_NS = 1_700_000_000_000_000_123
CAPTURED_NS = 1_000_000_007
CAMERA = PinholeCamera(SIZE, 60.0, 61.0, 31.5, 23.25, (0.1, -0.2, 0.001, 0.002, 0.03))
FRAME_ID = "headset_optical_frame"


def captured_ns(index: int) -> int:
    return CAPTURED_NS + index * 33_333_333


def mask(index: int = 0, object_id: int = 3, *, lost: bool = False) -> MaskMessage:
    """A mask of noise in the left part of the picture, different for each frame."""
    pixels = np.zeros((SIZE[1], SIZE[0]), bool)
    pixels[5:40, 10:30] = np.random.default_rng(index).random((35, 20)) > 0.3
    pixels[5, 10] = pixels[39, 29] = True
    return MaskMessage(
        FrameRef(index, index / 30, *SIZE), KeyframeRef(index, index / 30), GazeRef(0.0, 20.0, 20.0, 0.9, 8.0), 3.0,
        object_id, "lost" if lost else "locked", 0.9, 0.8, None if lost else pixels,
        TimingNs(1, captured_ns(index) + 4_000_000, 3, 4), captured_ns(index),
    )  # fmt: skip


def solid(index: int = 0, object_id: int = 3) -> Object3dMessage:
    """A box with depth, as seen by the camera of a robot."""
    orientation = (0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5))
    covariance = (4e-6, 1e-6, 0.0, 1e-6, 5e-6, 0.0, 0.0, 0.0, 6e-6)
    return Object3dMessage(
        FrameRef(index, index / 30, *SIZE), captured_ns(index), object_id, "locked", "depth",
        ObjectPose(FRAME_ID, (0.0,) * 3, (0.0, 0.0, 1.0), (0.1, 0.2, 0.9), covariance, (0.11, 0.21, 0.95), orientation,
            (0.0,) * 3),
        extents=(0.3, 0.2, 0.1), box="minimal", count=50, valid=0.9, voxel_m=0.005, camera=CAMERA,
        points=np.random.default_rng(index).normal(size=(50, 3)).astype(np.float32),
        robot=ObjectPose("base_link"), robot_from_camera_m=(1.0, 2.0, 3.0),
        robot_from_camera_xyzw=(0.5, -0.5, 0.5, -0.5),
    )  # fmt: skip


def ray(index: int = 0) -> Object3dMessage:
    """A direction without depth."""
    place = ObjectPose(FRAME_ID, (0.0,) * 3, (0.0, 0.0, 1.0))
    return Object3dMessage(
        FrameRef(index, index / 30, *SIZE), captured_ns(index), 3, "locked", "ray", place, "no depth", camera=CAMERA
    )
