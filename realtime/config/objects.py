"""What `object3d` can be told. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from calibration.objects import CloudSettings


@dataclass(frozen=True, slots=True)
class DepthSettings:
    """Where depth comes from.

    source: pupil: (the frames' own device), pupil://HOST:PORT, file:PATH (`realtime.sources.depth`); empty for none.
    tolerance_ms: how far apart a depth frame and the picture may have been taken.
    wait_ms: how long a mask is waited with for a depth frame that is still on its way.
    camera, colour_from_depth: where depth comes from a camera beside the colour camera: its calibration, and a JSON
        file with translation_m and quaternion_xyzw. Without them depth must be aligned with the picture.
    """

    source: str = ""
    tolerance_ms: float = 25.0
    wait_ms: float = 40.0
    camera: Path | None = None
    colour_from_depth: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        for name in ("tolerance_ms", "wait_ms"):
            if not 0 <= getattr(self, name) <= 10_000:
                raise ValueError(f"{name} must be 0 to 10000, got {getattr(self, name):g}")
        if (self.camera is None) != (self.colour_from_depth is None):
            raise ValueError("camera and colour_from_depth belong together: the depth camera, and where it is")
        if self.camera is not None and not self.source:
            raise ValueError("camera is the depth camera's, and there is no source of depth")


@dataclass(frozen=True, slots=True)
class ObjectSettings:
    """How a mask becomes a thing in space; with `camera`, `object3d` is published.

    camera: calibration of the camera of the frames. frame_id: of its optical frame; empty for its name's.
    robot: a file of `calibrate handeye`; robot_frame: its frame's name, empty for what the file says (base, gripper).
    board: that lies in view, as for `calibrate`: its plane says where flat things on it are; and with
    robot_by_board: it is the board of the file, which says where a headset is in the robot's base.
    size_m: the longest side of what is looked at, if that is known beforehand; 0 if not.
    library: that fits the box round what stands still; open3d is slower and for comparison.
    most_points: that are published.
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
        """Refuse what cannot be meant."""
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
        if (self.robot or self.board or self.size_m) and self.camera is None:
            raise ValueError("robot, board and size_m need the camera's calibration: give --camera FILE")
