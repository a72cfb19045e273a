"""Simulates a table with boxes in a wearer's RGB-D camera, with noise and known ground truth. Pure.

Frames of reference: the robot's base lies on the table, x away from the wearer, y to the left, z up, metres; the
camera's is optical. The head sways slowly, and the eyes dwell on one box after another. A ChArUco board lies between
the boxes, from which a headset's pose in the base is estimated. The scene repeats, without a jump, after `PERIOD_S`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration import CalibrationRecord, PinholeCamera, RigidTransform, UncertainTransform, record
from calibration.boards import parse_board
from engines import Image, Mask
from realtime.simulation.wandering_gaze import GazeAim

SIZE = (640, 480)
FPS = 15.0
PERIOD_S = 16.0
CAMERA_NAME = "table"
BOARD = "charuco:5x4:36mm:27mm:4X4_50"
NOISE_M = 0.002
"""Standard deviation of depth at one metre; it grows with the square of the distance, as of stereo."""
HOLES = 0.01
_EDGE_M = 0.02  # a larger step in depth leaves a hole, as in a depth camera
_LOOKED_AT_M = (0.42, 0.0, 0.02)
_HEAD_M = (-0.10, 0.0, 0.62)
_TOP_M = (-0.2, 1.8, 1.0, -1.0)
"""The near, far, left and right edge of the table."""
_PX_PER_M = 1000.0
_SHADES = (0.86, 0.93, 1.0)  # of faces across a box's x, y, z

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class TableBox:
    """A box that stands on the table. sides_m: along its own x, y, z (up). colour: blue, green, red."""

    name: str
    base_from_box: RigidTransform
    sides_m: tuple[float, float, float]
    colour: tuple[int, int, int]

    @property
    def corners_m(self) -> Floats:
        """The corners in the base, (8, 3)."""
        half = np.array(self.sides_m) / 2
        return self.base_from_box.apply([half * (x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])


BOXES = tuple(
    TableBox(name, RigidTransform.from_rotvec([0, 0, math.radians(yaw_deg)], [x, y, sides_m[2] / 2]), sides_m, colour)
    for name, x, y, yaw_deg, sides_m, colour in (
        ("red", 0.50, 0.21, 25, (0.12, 0.07, 0.06), (50, 50, 190)),
        ("blue", 0.58, -0.02, -20, (0.09, 0.06, 0.10), (180, 100, 40)),
        ("yellow", 0.46, -0.25, 40, (0.14, 0.09, 0.05), (60, 190, 220)),
        ("green", 0.28, 0.24, 35, (0.08, 0.06, 0.09), (80, 150, 60)),
    )
)
BASE_FROM_BOARD = RigidTransform(np.array([[0, -1, 0], [-1, 0, 0], [0, 0, -1]]), np.array([0.35, 0.05, 0.0]))


@dataclass(frozen=True, slots=True, eq=False)
class TableView:
    """Holds the camera's view at `at_s` of the scene.

    image: (H, W, 3) BGR. depth: (H, W) uint16 mm, 0 for none. aim: of the eyes. masks: (4, H, W) bool, the ground
    truth for each of `BOXES`.
    """

    at_s: float
    image: Image
    depth: NDArray[np.uint16]
    aim: GazeAim
    masks: Mask


class TableClip:
    """A clip of the scene, `PERIOD_S` long."""

    size, fps = SIZE, FPS
    camera = PinholeCamera(SIZE, 580.0, 580.0, 319.5, 239.5)

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        rows, columns = np.indices(SIZE[::-1])
        x, y = (columns - self.camera.cx) / self.camera.fx, (rows - self.camera.cy) / self.camera.fy
        self._rays = np.stack([x, y, np.ones_like(x)], -1).astype(np.float32)
        self._grain = _make_grain(np.random.default_rng([seed, 1]))
        self._top = _draw_table(self._grain)

    @staticmethod
    def base_from_camera(at_s: float) -> RigidTransform:
        """Return the pose of the wearer's camera."""
        turn = 2 * math.pi * at_s / PERIOD_S
        sway = np.array([0.02 * math.sin(turn), 0.03 * math.sin(2 * turn), 0.01 * math.cos(turn)])
        place = sway + _HEAD_M
        forward = np.array(_LOOKED_AT_M) - place
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        return RigidTransform(np.column_stack([right, np.cross(forward, right), forward]), place)

    @staticmethod
    def get_target_index(at_s: float) -> int:
        """Return the index in `BOXES` of the box that the eyes fixate."""
        return int(at_s % PERIOD_S / PERIOD_S * len(BOXES))

    def render_views(self) -> Iterator[TableView]:
        """Render one pass through the scene."""
        before = -1
        for number in range(round(PERIOD_S * FPS)):
            target = self.get_target_index(number / FPS)
            yield self.render_view(number / FPS, jumped=target != before)
            before = target

    def render_view(self, at_s: float, *, jumped: bool = False) -> TableView:
        """Render the view at a time; deterministic."""
        base_from_camera = self.base_from_camera(at_s)
        image = self._render_table(base_from_camera)
        down = self._rays @ base_from_camera.rotation[2].astype(np.float32)
        depth = -np.float32(base_from_camera.translation_m[2]) / down
        hit = np.full(depth.shape, -1)
        for number, box in enumerate(BOXES):
            self._paint(box, number, base_from_camera, (image, depth, hit))
        middle = base_from_camera.inverse().apply([BOXES[self.get_target_index(at_s)].base_from_box.translation_m])
        x, y = self.camera.project(middle)[0].tolist()
        masks = np.stack([hit == number for number in range(len(BOXES))])
        image = np.asarray(cv2.GaussianBlur(image, (3, 3), 0.6), np.uint8)
        return TableView(at_s, image, self._measure(depth, round(at_s * FPS)), GazeAim(x, y, jumped), masks)

    def _render_table(self, base_from_camera: RigidTransform) -> Image:
        """Render the empty table by the homography of its plane."""
        near, _, left, _ = _TOP_M
        base_from_px = np.array([[0, -1 / _PX_PER_M, near], [-1 / _PX_PER_M, 0, left], [0, 0, 0], [0, 0, 1]])
        base_from_px[:2, 2] -= 0.5 / _PX_PER_M
        seen = self.camera.matrix @ base_from_camera.inverse().matrix[:3] @ base_from_px
        return np.asarray(
            cv2.warpPerspective(self._top, seen, SIZE, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), np.uint8
        )

    def _paint(
        self, box: TableBox, number: int, base_from_camera: RigidTransform,
        onto: tuple[Image, NDArray[np.float32], NDArray[np.int_]],
    ) -> None:  # fmt: skip
        """Paint a box where it is nearest; a ray is inside it between its three pairs of planes (slab method)."""
        corners = self.camera.project(base_from_camera.inverse().apply(box.corners_m), margin_px=1e4)
        low, high = np.floor(corners.min(0)).astype(int) - 1, np.ceil(corners.max(0)).astype(int) + 2
        part = slice(max(0, low[1]), max(0, high[1])), slice(max(0, low[0]), max(0, high[0]))
        image, depth, hit = (layer[part] for layer in onto)
        turn, half = box.base_from_box.rotation, np.array(box.sides_m) / 2
        origin = (base_from_camera.translation_m - box.base_from_box.translation_m) @ turn
        along = self._rays[part] @ (base_from_camera.rotation.T @ turn)
        with np.errstate(divide="ignore", invalid="ignore"):
            one, two = (-half - origin) / along, (half - origin) / along
        near, leave = np.minimum(one, two), np.maximum(one, two).min(-1)
        enter, face = near.max(-1), near.argmax(-1)
        met = (enter < leave) & (enter > 0) & (enter < depth)
        at = (origin + enter[..., None] * along).astype(np.float32) * 900 + 60 * (number + 1)
        u = np.where(face == 0, at[..., 1], at[..., 0]).astype(np.float32) % 512
        v = np.where(face == 2, at[..., 1], at[..., 2]).astype(np.float32) % 512
        grain = cv2.remap(self._grain, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        shade = np.array(_SHADES)[face][..., None]
        image[met] = np.clip(np.array(box.colour) * shade + 6 * grain[..., None], 0, 255)[met]
        depth[met], hit[met] = enter[met], number

    def _measure(self, depth: NDArray[np.float32], number: int) -> NDArray[np.uint16]:
        """Measure depth as a camera does: whole millimetres with noise, and holes, most of them at edges."""
        rng = np.random.default_rng([self._seed, 2, number])
        kernel = np.ones((3, 3), np.uint8)
        step = cv2.dilate(depth, kernel) - cv2.erode(depth, kernel)
        noisy = depth + NOISE_M * depth**2 * rng.standard_normal(depth.shape, np.float32)
        noisy[(step > _EDGE_M) | (rng.random(depth.shape, np.float32) < HOLES)] = 0
        return np.asarray(np.rint(1000 * noisy), np.uint16)


def _draw_table(grain: NDArray[np.float32]) -> Image:
    """Draw the table from above: wood, and the board on it, whose rows go from its top to the wearer's right."""
    near, far, left, right = _TOP_M
    wide, high = (round(side * _PX_PER_M) for side in (left - right, far - near))
    x, y = (axis.astype(np.float32) for axis in np.meshgrid(np.arange(wide), np.arange(high)))
    wood = cv2.remap(grain, y * 0.1 % 512, x * 0.5 % 512, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    image = np.clip(np.array([120, 150, 175], np.float32) + 9 * wood[..., None], 0, 255)
    board = parse_board(BOARD)
    sheet = board.draw(_PX_PER_M)[::-1]  # rows of the board come towards the wearer
    at = BASE_FROM_BOARD.apply([[-2 * board.square_m, board.corner_points()[-1, 1] + 2 * board.square_m, 0]])[0]
    row, column = round((at[0] - near) * _PX_PER_M), round((left - at[1]) * _PX_PER_M)
    image[row : row + sheet.shape[0], column : column + sheet.shape[1]] = 0.85 * sheet[..., None] + 20
    return np.asarray(image, np.uint8)


def _make_grain(rng: np.random.Generator) -> NDArray[np.float32]:
    """Make a (512, 512) tile of blots of several sizes, mean 0 and deviation 1, that repeats seamlessly."""
    rim = 64
    white = np.pad(rng.normal(size=(512, 512)), rim, mode="wrap")
    blots = sum((size * cv2.GaussianBlur(white, (0, 0), size) for size in (1.5, 6, 20)), np.zeros_like(white))
    blots = blots[rim:-rim, rim:-rim]
    return np.asarray((blots - blots.mean()) / blots.std(), np.float32)


def write_calibrations(folder: Path) -> tuple[Path, Path]:
    """Write exact `camera.json` and `robot.json` as `gazecast calibrate` does; return both paths."""
    camera = {"camera": TableClip.camera.to_dict()}
    robot = {"base_from_board": UncertainTransform.exact(BASE_FROM_BOARD).to_dict()}
    paths, made_at = (folder / "camera.json", folder / "robot.json"), datetime.now(UTC).isoformat(timespec="seconds")
    record.save_record(paths[0], CalibrationRecord("camera", "", CAMERA_NAME, SIZE, made_at, camera))
    record.save_record(paths[1], CalibrationRecord("handeye", "simulated", CAMERA_NAME, SIZE, made_at, robot))
    return paths
