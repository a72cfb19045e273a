"""Simulates the gripper of fetch_it.py: its motion without obstacles, its grasp of a box, and a drawing."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from numpy.polynomial.polynomial import polyder, polyval

from calibration import RigidTransform
from realtime.comms.object3d import Object3dMessage
from realtime.comms.request_client import RequestedFrame
from realtime.media.chart import AMBER, BLUE, GRID, INK, add_axes, new_figure, paste, render, write

HOME_M, OPEN_M, STANDOFF_M, MOST_M_S = np.array([0.15, 0.0, 0.3]), 0.14, 0.08, 0.5
CORNERS = np.indices((2, 2, 2)).reshape(3, 8).T - 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Grasp:
    """A grasp of a box. above_m: where the fingers still pass it. fingers_m: (2, 3), closed. corners_m: (8, 3)."""

    message: Object3dMessage
    frame_id: str
    centre_m: np.ndarray
    above_m: np.ndarray
    width_m: float
    fingers_m: np.ndarray
    corners_m: np.ndarray

    @classmethod
    def of(cls, message: Object3dMessage, frame_id: str = "") -> Self | None:
        """Plan a grasp from above in the robot's frame, or from the camera in its own; None without a pose."""
        place = next((p for p in (message.robot, message.place) if p and frame_id in ("", p.frame_id)), None)
        if place is None or place.position is None or place.orientation is None or message.extents is None:
            return None
        pose, extents_m = RigidTransform.from_quaternion(place.orientation, place.position), np.array(message.extents)
        up = np.array([0.0, 0.0, 1.0]) if place is message.robot else -pose.translation_m
        down = int(np.abs(up @ pose.rotation).argmax())  # of the box's axes, the one that the fingers come along
        along = min({0, 1, 2} - {down}, key=lambda axis: extents_m[axis])  # and the one that they close on
        approach = pose.rotation[:, down] * np.sign(up @ pose.rotation[:, down])
        above_m = pose.translation_m + approach * (extents_m[down] / 2 + STANDOFF_M)
        corners_m, ends = pose.apply(CORNERS * extents_m), np.outer([-0.5, 0.5], np.eye(3)[along] * extents_m)
        return cls(message, place.frame_id, pose.translation_m, above_m, extents_m[along], pose.apply(ends), corners_m)


class Gripper:
    """A point between two fingers that moves with the least jerk (Flash and Hogan, 1985)."""

    def __init__(self) -> None:
        self.path_m, self.plans, self.opening_m, self.goal_m = [HOME_M], 0, OPEN_M, HOME_M
        self._curve, self._began_s, self._lasts_s = np.vstack([HOME_M, np.zeros((5, 3))]), 0.0, 1.0

    def aim(self, goal_m: np.ndarray) -> None:
        """Plan a smooth motion to a goal from the present position and speed."""
        part, lasts_s = self._part(), self._lasts_s
        place, speed, push = (polyval(part, polyder(self._curve, m)) / lasts_s**m for m in range(3))
        lasts_s = max(0.3, 1.875 * float(np.linalg.norm(goal_m - place)) / MOST_M_S)
        start = np.array([place, speed * lasts_s, push * lasts_s**2 / 2])
        ends = goal_m - start.sum(0), -start[1] - 2 * start[2], -2 * start[2]
        self._curve = np.vstack([start, np.linalg.solve([[1, 1, 1], [3, 4, 5], [6, 12, 20]], ends)])
        self._began_s, self._lasts_s, self.goal_m, self.plans = time.monotonic(), lasts_s, goal_m, self.plans + 1

    def move(self) -> bool:
        """Move to the planned position of this time; False when it has arrived."""
        part = self._part()
        self.path_m.append(polyval(part, self._curve))
        return part < 1

    def go_home(self) -> None:
        """Return home and open the fingers."""
        self.aim(HOME_M)
        while self.move():
            time.sleep(0.02)
        self.path_m, self.plans, self.opening_m = [HOME_M], 0, OPEN_M

    def _part(self) -> float:
        return min(1.0, (time.monotonic() - self._began_s) / self._lasts_s)


def draw(out: Path, picture: RequestedFrame, grasp: Grasp, gripper: Gripper) -> bool:
    """Write the camera's picture, and the path from two sides, as a PNG."""
    figure = new_figure(1260, 440)
    write(figure, 30, 34, f"in {grasp.frame_id}, closed to {1000 * gripper.opening_m:.0f} mm", size=16, bold=True)
    light = np.where(picture.mask if picture.mask is not None else True, 1.0, 0.45)[..., None]
    paste(figure, 30, 70, cv2.resize((picture.image * light).astype(np.uint8), (440, 330)))
    middle_m, half_m = (HOME_M + grasp.centre_m) / 2, np.abs(HOME_M - grasp.centre_m).max() / 2 + 0.1
    path_m = np.array(gripper.path_m)
    for left, x, y in ((540, 0, 1), (920, 0, 2)):
        title = f"{'xyz'[x]} and {'xyz'[y]}, m"
        axes = add_axes(figure, left, 70, 320, 320, title=title, x_bins=5)
        axes.set(xlim=middle_m[x] + [-half_m, half_m], ylim=middle_m[y] + [-half_m, half_m])
        outline_m = cv2.convexHull(grasp.corners_m[:, [x, y]].astype(np.float32))[:, 0]
        axes.fill(*outline_m.T, color=GRID)
        axes.plot(*path_m[:, [x, y]].T, color=BLUE)
        axes.plot(*grasp.fingers_m[:, [x, y]].T, "o", color=AMBER)
        axes.plot(*HOME_M[[x, y]], "o", color=INK)
    return out.write_bytes(cv2.imencode(".png", render(figure))[1].tobytes()) > 0
