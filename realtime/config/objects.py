"""Defines the settings of depth and of objects in space. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from calibration.objects.cloud import CloudSettings


@dataclass(frozen=True, slots=True)
class DepthSettings:
    """Holds the settings of the depth source.

    source: source of depth: pupil: (the frames' own device), pupil://HOST:PORT or file:PATH; empty for none.
    scale_m: metres of one step of 16-bit depth, 0.000001 to 1, such as 0.0002 for TUM RGB-D (5000 steps a metre) or
        0.0001 for a RealSense D405; auto uses those that the device reports, else 0.001.
    tolerance_ms: largest difference in time between a depth frame and its frame, 0 to 10000 ms.
    wait_ms: longest wait of a mask for a depth frame that is on its way, 0 to 10000 ms.
    camera: calibration of a depth camera beside the colour camera; unset where depth is aligned with the frame.
    colour_from_depth: JSON file with translation_m and quaternion_xyzw from the depth camera to the colour camera;
        together with camera.
    """

    source: str = ""
    scale_m: float | Literal["auto"] = "auto"
    tolerance_ms: float = 25.0
    wait_ms: float = 40.0
    camera: Path | None = None
    colour_from_depth: Path | None = None

    def __post_init__(self) -> None:
        for name in ("tolerance_ms", "wait_ms"):
            if not 0 <= getattr(self, name) <= 10_000:
                raise ValueError(f"{name} must be 0 to 10000, got {getattr(self, name):g}")
        if self.scale_m != "auto" and not 1e-6 <= self.scale_m <= 1:
            raise ValueError(f"scale_m must be auto, or 0.000001 to 1 metre, got {self.scale_m:g}")
        if (self.camera is None) != (self.colour_from_depth is None):
            raise ValueError("camera and colour_from_depth belong together: the depth camera, and where it is")
        if self.camera is not None and not self.source:
            raise ValueError("camera is the depth camera's, and there is no source of depth")


@dataclass(frozen=True, slots=True)
class ObjectSettings:
    """Holds the settings of objects in space; with a camera, `object3d` is published.

    camera: calibration of the camera of the frames; unset for the model that the device of the frames reports, as a
        RealSense does; for other sources `object3d` is then disabled.
    frame_id: name of the camera's optical frame, ending with _optical_frame; empty for that of the camera's name.
    robot: file of `calibrate handeye`; unset for positions in the camera's frame alone.
    robot_frame: name of the robot's frame; empty for the name in the file of the robot (base, gripper).
    robot_by_board: the board is that of the file of the robot and locates a headset in the robot's base.
    board: board in view, as for `calibrate`; flat objects are located on its plane. Empty for none.
    size_m: longest side of the object, 0.001 to 100 m, if it is known beforehand; 0 if not.
    library: library that fits the box of an object at rest; open3d is slower and for comparison.
    most_points: number of points that are published, 0 to 100000.
    """

    camera: Path | None = None
    frame_id: str = ""
    robot: Path | None = None
    robot_frame: str = ""
    robot_by_board: bool = False
    board: str = ""
    size_m: float = 0.0
    library: Literal["numpy", "open3d"] = "numpy"
    most_points: int = 4096
    cloud: CloudSettings = field(default_factory=CloudSettings)

    def __post_init__(self) -> None:
        if self.frame_id and not re.fullmatch(r"(?!/)[A-Za-z0-9_/]{1,56}_optical_frame", self.frame_id):
            raise ValueError(
                "frame_id must be a name that ends with _optical_frame (REP 103) and begins with no / (tf2), got "
                f"{self.frame_id!r:.80}"
            )
        if not re.fullmatch(r"(?!/)[A-Za-z0-9_/]{0,64}", self.robot_frame):
            raise ValueError(
                f"robot_frame must be letters, digits, _ and /, and begin with no / (tf2), got {self.robot_frame!r:.80}"
            )
        if not (self.size_m == 0 or (math.isfinite(self.size_m) and 0.001 <= self.size_m <= 100)):
            raise ValueError(f"size_m must be 0.001 to 100 metres, or 0 where it is not known, got {self.size_m:g}")
        if not 0 <= self.most_points <= 100_000:
            raise ValueError(f"most_points must be 0 to 100000, got {self.most_points}")
        if self.robot_by_board and not (self.board and self.robot):
            raise ValueError("robot_by_board needs a board, and the robot's file that knows where it lies")
