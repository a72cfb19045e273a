"""Renders a face that looks at known places: a photograph whose eyes are painted anew, with a head that moves a little.

The photograph is NASA's of Eileen Collins (public domain), which scikit-image carries. Only the landmarks of its lids
come from the networks that are measured; where the irises are painted follows from the place that is looked at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.base import Image
from engines.landmarks.face_landmarker import FaceLandmarker
from engines.pictures import read_picture

PICTURE = (1280, 720)
FOV_DEG = 60.0
SCREEN_PX, PX_MM = (1920, 1080), 0.2646
DISTANCE_MM = 550.0
IRIS_RADIUS_MM, EYEBALL_MM = 5.85, 10.5
UPSCALED = 8
"""Factor by which the photograph is enlarged before the eyes are painted."""
UPPER_LID, LOWER_LID = 0.8, 0.45
"""Shares of the iris's vertical motion that the lids follow."""
HEAD_SWAY_MM, HEAD_TURN_DEG = 6.0, 2.0
"""Standard deviations of the head's slow motion: of its place, and of its roll."""
NOISE_SD = 2.5
"""Of the camera, in grey levels."""


@dataclass(frozen=True)
class HeadPose:
    """Holds a displacement of the head, mm to the right and down of the person, its roll, degrees, and its distance."""

    x_mm: float = 0.0
    y_mm: float = 0.0
    roll_deg: float = 0.0
    distance_mm: float = DISTANCE_MM


class HeadMotion:
    """A head that sways slowly: an autoregressive process, one step for each picture."""

    KEPT = 0.97

    def __init__(self, noise: np.random.Generator, sway_mm: float = HEAD_SWAY_MM) -> None:
        self._noise, self._sway_mm, self._state = noise, sway_mm, np.zeros(4)

    def step(self) -> HeadPose:
        """Return the next pose."""
        self._state = self.KEPT * self._state + self._noise.normal(0, math.sqrt(1 - self.KEPT**2), 4)
        x, y, roll, distance = self._state
        turn = HEAD_TURN_DEG * self._sway_mm / HEAD_SWAY_MM
        return HeadPose(x * self._sway_mm, y * self._sway_mm, roll * turn, DISTANCE_MM + 1.5 * distance * self._sway_mm)


class RenderedFace:
    """Renders pictures of a webcam above the screen."""

    def __init__(self, models: Path | None = None) -> None:
        package = find_spec("skimage")
        if package is None or package.origin is None:
            raise SystemExit("the photograph is in scikit-image: pip install --no-deps scikit-image")
        photo = np.ascontiguousarray(read_picture(Path(package.origin).parent / "data/astronaut.png")[:260, 100:360])
        self._photo = cv2.resize(photo, None, fx=UPSCALED, fy=UPSCALED, interpolation=cv2.INTER_CUBIC)
        found = FaceLandmarker(models).find(self._photo)
        assert found is not None
        self._eyes = found.eyes
        self._middles = np.array([found.eyes[eye][[0, 8]].mean(0) for eye in (0, 1)])
        # the scale by the width of the eyes, as the irises of the photograph are not used: 26 mm from corner to corner
        self._px_mm = float(np.mean([np.linalg.norm(eye[8] - eye[0]) for eye in found.eyes])) / 26.0
        # the painted eyeballs are at rest where those of the photograph are: it looks past the camera
        self._rest = found.irises[:, 0].mean(0) - self._middles.mean(0)
        self._sclera = [self._sample_sclera(eye) for eye in (0, 1)]

    def _sample_sclera(self, eye: int) -> NDArray[np.float64]:
        mask = np.zeros(self._photo.shape[:2], np.uint8)
        cv2.fillPoly(mask, [_outline(self._eyes[eye])], 255)
        pixels = self._photo[mask > 0]
        bright = pixels[pixels.sum(1) >= np.percentile(pixels.sum(1), 70)]
        return np.asarray(bright.mean(0), np.float64)

    def render(
        self, target_px: tuple[float, float], pose: HeadPose, noise: np.random.Generator, *, closed: float = 0.0
    ) -> Image:
        """Render the face looking at a place of the screen. closed: 0 to 1, how far the lids are shut."""
        face = self._paint(target_px, pose, closed)
        focal = PICTURE[0] / 2 / math.tan(math.radians(FOV_DEG / 2))
        scale = focal / pose.distance_mm / self._px_mm
        middle = self._middles.mean(0)
        turn = cv2.getRotationMatrix2D((float(middle[0]), float(middle[1])), -pose.roll_deg, scale)
        # the person's right is the picture's left; the eyes are 90 mm below the camera
        across, down = -pose.x_mm * focal / pose.distance_mm, (pose.y_mm + 90) * focal / pose.distance_mm
        turn[:, 2] += (PICTURE[0] - 1) / 2 + across - middle[0], (PICTURE[1] - 1) / 2 + down - middle[1]
        shown = cv2.warpAffine(face, turn, PICTURE, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
        noisy = cv2.GaussianBlur(shown, (0, 0), 0.6) + noise.normal(0, NOISE_SD, shown.shape)
        return np.clip(noisy, 0, 255).astype(np.uint8)

    def _paint(self, target_px: tuple[float, float], pose: HeadPose, closed: float) -> Image:
        """Paint both eyes into the photograph, each turned towards the target.

        The head faces the middle of the screen: the eyes turn by the angle from there. Where the head is in the picture
        does not matter, see `calibration.gaze.eye_features.measure_eyes`.
        """
        picture = self._photo.copy()
        x_mm, y_mm = ((target_px[axis] - SCREEN_PX[axis] / 2) * PX_MM for axis in (0, 1))
        reach = math.sqrt(x_mm**2 + y_mm**2 + pose.distance_mm**2)
        roll = math.radians(pose.roll_deg)
        dx, dy = -x_mm / reach, y_mm / reach
        dx, dy = dx * math.cos(roll) + dy * math.sin(roll), dy * math.cos(roll) - dx * math.sin(roll)
        for eye in (0, 1):
            self._paint_eye(picture, eye, np.array([dx, dy]), closed)
        return picture

    def _paint_eye(self, picture: Image, eye: int, sines: NDArray[np.float64], closed: float) -> None:
        contour = self._eyes[eye].copy()
        upper, lower = contour[9:], contour[1:8]
        bulge = np.sin(np.linspace(0, np.pi, 9))[1:-1, None] * sines[1] * EYEBALL_MM * self._px_mm * (0, 1)
        lower += LOWER_LID * bulge
        upper += UPPER_LID * bulge
        upper += (lower - upper) * closed
        width = np.linalg.norm(contour[8] - contour[0])
        centre = self._middles[eye] + self._rest * (0, 1) + sines * EYEBALL_MM * self._px_mm
        low = (self._eyes[eye].min(0) - width / 2).astype(int)
        high = (self._eyes[eye].max(0) + width / 2).astype(int)
        patch = picture[low[1] : high[1], low[0] : high[0]]
        skin = _shut(patch, self._eyes[eye] - low)
        ball = np.empty(patch.shape, np.float64)
        ball[:] = self._sclera[eye]
        radius = IRIS_RADIUS_MM * self._px_mm
        at = tuple(round(float(value) * 16) for value in centre - low)
        for share, colour in ((1.0, (62, 74, 70)), (0.9, (96, 118, 104)), (0.42, (14, 14, 16))):
            cv2.circle(ball, at, int(radius * share * 16), colour, -1, cv2.LINE_AA, 4)
        glint = tuple(round(float(value) * 16) for value in centre - low - (0.2 * radius, 0.25 * radius))
        cv2.circle(ball, glint, int(radius * 0.13 * 16), (235, 235, 235), -1, cv2.LINE_AA, 4)
        open_mask = np.zeros(patch.shape[:2], np.float32)
        if closed < 0.9:
            cv2.fillPoly(open_mask, [_outline(contour - low)], 1.0, cv2.LINE_8)
        shade = cv2.GaussianBlur(open_mask, (0, 0), width * 0.02)[..., None]
        ball *= 0.72 + 0.28 * cv2.GaussianBlur(open_mask, (0, 0), width * 0.07)[..., None]
        painted = np.clip(skin * (1 - shade) + ball * shade, 0, 255).astype(np.uint8)
        lashes = np.round(contour[[0, *range(9, 16), 8]] - low).astype(np.int32)
        cv2.polylines(painted, [lashes], False, (38, 44, 62), int(width * 0.045), cv2.LINE_AA)
        patch[:] = painted


def _outline(contour: NDArray[np.float64]) -> NDArray[np.int32]:
    """Order the points of an eye's contour as a polygon."""
    return np.round(np.concatenate([contour[:9], contour[:8:-1]])).astype(np.int32)


def _shut(patch: Image, contour: NDArray[np.float64]) -> Image:
    """Paint skin over an eye."""
    mask = np.zeros(patch.shape[:2], np.uint8)
    cv2.fillPoly(mask, [_outline(contour)], 255)
    small = 4
    shape = (patch.shape[1] // small, patch.shape[0] // small)
    grown = cv2.dilate(cv2.resize(mask, shape, interpolation=cv2.INTER_NEAREST), np.ones((5, 5), np.uint8))
    filled = cv2.inpaint(cv2.resize(patch, shape, interpolation=cv2.INTER_AREA), grown, 3, cv2.INPAINT_TELEA)
    filled = cv2.resize(filled, (patch.shape[1], patch.shape[0]), interpolation=cv2.INTER_CUBIC)
    blend = cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), 6)[..., None]
    return np.asarray(patch * (1 - blend) + filled * blend, np.uint8)
