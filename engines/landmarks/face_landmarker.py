"""Finds the 468 points of one face and the points of its irises.

Kartynnik et al., Real-time facial surface geometry from monocular video on mobile GPUs, 2019; Ablavatski et al.,
Real-time pupil tracking from monocular video for digital puppetry, 2020. The networks are MediaPipe's (Apache-2.0), as
`gazecast models pull face_landmarks` fetches them. As there, the detector runs only while no face is followed: the
region of the next picture is that of this one's points.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engines.base import Image
from engines.landmarks.face_detector import SIDE, find_best_face
from engines.landmarks.network import compile_network, to_input, to_probability
from engines.landmarks.picture_region import PictureRegion, enclose_picture, enclose_points
from engines.weights import model_folder

MODEL = "face_landmarks"
FACE_SIDE, EYE_SIDE = 192, 64
FACE_POINTS = 468
MIN_PRESENCE = 0.5
FACE_SCALE, EYE_SCALE = 1.5, 2.3
RIGHT_CORNERS, LEFT_CORNERS = (33, 133), (362, 263)
"""Points of the corners of the person's right and left eye, in the order of increasing x."""


@dataclass(frozen=True, slots=True, eq=False)
class FaceLandmarks:
    """Holds the points of a face, px of the picture.

    points: (468, 3), the depth in px too, less is nearer. irises: (2, 5, 2), of the person's right eye, which is on the
    left in the picture, and of the left one: centre, then four points of the edge. eyes: (2, 16, 2) contours from the
    outer corner along the lower lid (0 to 8), and along the upper one (9 to 15). presence: 0 to 1.
    """

    points: NDArray[np.float64]
    irises: NDArray[np.float64]
    eyes: NDArray[np.float64]
    presence: float


class LandmarkFinder(Protocol):
    """A finder of the landmarks of one face in successive pictures."""

    def find(self, image: Image) -> FaceLandmarks | None:
        """Return the landmarks of the face; None without a face."""


class FaceLandmarker(LandmarkFinder):
    """A finder that follows one face from picture to picture; for one thread."""

    def __init__(self, folder: Path | None = None, *, threads: int = 1) -> None:
        """folder: with one folder of weights per model. Raises `ModelError`, `EngineUnavailable`."""
        weights = model_folder(MODEL, root=folder)
        self._detect = compile_network(weights / "face_detection_short_range.tflite", MODEL, threads)
        self._face = compile_network(weights / "face_landmark.tflite", MODEL, threads)
        self._iris = compile_network(weights / "iris_landmark.tflite", MODEL, threads)
        self._region: PictureRegion | None = None

    def find(self, image: Image) -> FaceLandmarks | None:
        """Return the landmarks of the face; None without a face."""
        region, self._region = self._region, None
        found = self._find_points(image, region) if region is not None else None
        if found is None and (region := self._find_face(image)) is not None:
            found = self._find_points(image, region)
        return found

    def _find_points(self, image: Image, region: PictureRegion) -> FaceLandmarks | None:
        """Find the points of the face in a region, which then is followed; None without one."""
        places, logit = self._face(to_input(region.crop(image, FACE_SIDE)))
        presence = to_probability(logit.ravel()[0])
        points = region.to_picture(places.reshape(FACE_POINTS, 3), FACE_SIDE)
        if presence < MIN_PRESENCE or not np.isfinite(points).all():
            return None
        self._region = enclose_points(points, RIGHT_CORNERS[0], LEFT_CORNERS[1], FACE_SCALE)
        eyes, irises = zip(
            self._find_iris(image, points[list(RIGHT_CORNERS)], is_left=False),
            self._find_iris(image, points[list(LEFT_CORNERS)], is_left=True),
            strict=True,
        )
        return FaceLandmarks(points, np.array(irises), np.array(eyes), presence)

    def _find_face(self, image: Image) -> PictureRegion | None:
        whole = enclose_picture(image)
        boxes, logits = self._detect(to_input(whole.crop(image, SIDE)) * 2 - 1)
        found = find_best_face(boxes[0], logits.ravel())
        return whole.place_region(found[0], SIDE) if found is not None else None

    def _find_iris(
        self, image: Image, corners: NDArray[np.float64], *, is_left: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the eye's contour, (16, 2), and its iris, (5, 2)."""
        region = replace(enclose_points(corners, 0, 1, EYE_SCALE), is_mirrored=is_left)
        contour, iris = self._iris(to_input(region.crop(image, EYE_SIDE)))
        return tuple(
            region.to_picture(found.reshape(-1, 3)[:count, :2], EYE_SIDE) for found, count in ((contour, 16), (iris, 5))
        )  # type: ignore[return-value]
