"""Stands in for the networks that find a face: the eyes look where a picture has its white disc."""

from __future__ import annotations

import cv2
import numpy as np

from engines import Image
from engines.landmarks.face_landmarker import FaceLandmarks
from tests.calibration.gaze.faces import make_landmarks

SIZE = (320, 240)
WIDTH_MM, HEIGHT_MM = 400.0, 250.0
"""Size of the imagined screen, whose place the disc's place in the picture stands for."""


def draw_eyes(x: float, y: float, *, closed: bool = False) -> Image:
    """Draw eyes that look at x, y in 0..1 of the screen; red where they are closed."""
    image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    centre = round(16 * (40 + 240 * x)), round(16 * (40 + 160 * y))
    cv2.circle(image, centre, 16 * 14, (0, 0, 255) if closed else (255, 255, 255), -1, cv2.LINE_AA, 4)
    return image


class DiscFinder:
    """Finds landmarks whose eyes look where the disc is; none in a picture without a disc."""

    def find(self, image: Image) -> FaceLandmarks | None:
        """See `LandmarkFinder`."""
        bright = image[..., 2] > 127
        if not bright.any():
            return None
        ys, xs = np.nonzero(bright)
        scale = image.shape[1] / SIZE[0]
        x, y = (xs.mean() / scale - 40) / 240, (ys.mean() / scale - 40) / 160
        is_closed = image[bright][:, 0].mean() < 127
        target = (float((x - 0.5) * WIDTH_MM), float(y * HEIGHT_MM))
        return FaceLandmarks(*make_landmarks(target, opening=0.08 if is_closed else 0.3), 1.0)
