"""Finds the 21 points of hands.

Zhang et al., MediaPipe Hands: on-device real-time hand tracking, 2020. The networks are MediaPipe's (Apache-2.0), as
`gazecast models pull hands` fetches them. As there, a hand that was found is followed: the region of the next picture
is that of this one's points, and the palm detector runs in every picture only while there is no hand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engines.base import Image
from engines.landmarks.network import compile_network, to_input
from engines.landmarks.palm_detector import SIDE, find_palms
from engines.landmarks.picture_region import PictureRegion, enclose_picture
from engines.weights import model_folder

MODEL = "hands"
HAND_SIDE = 224
HAND_POINTS = 21
WRIST, THUMB_TIP, INDEX_ROOT, INDEX_TIP, MIDDLE_ROOT, RING_ROOT, LITTLE_ROOT = 0, 4, 5, 8, 9, 13, 17
"""Numbers of points: of each finger the root (the metacarpophalangeal joint) and the tip."""
_PALM_POINTS = [0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18]
"""Those whose region the next picture is searched in; the tips move too fast."""
MIN_PRESENCE = 0.5
NEXT_SCALE, NEXT_SHIFT = 2.0, -0.1
"""The region in the next picture: its side and its shift towards the fingers, as multiples of those points' box."""
MAX_HANDS = 2
DETECTION_INTERVAL = 3
"""Pictures after which another hand is looked for while one is followed; the detector takes half of the time."""
SAME_HAND = 0.5
"""Two regions whose centres are nearer than this share of the larger side are of the same hand."""


@dataclass(frozen=True, slots=True, eq=False)
class HandLandmarks:
    """Holds the points of a hand.

    points: (21, 3) px of the picture, the depth in px too, less is nearer. presence: 0 to 1. number: the same while a
    hand is followed.
    """

    points: NDArray[np.float64]
    presence: float
    number: int = 0


class HandFinder(Protocol):
    """A finder of hands in successive pictures."""

    def find(self, image: Image) -> tuple[HandLandmarks, ...]:
        """Return the hands of the picture."""


class HandLandmarker(HandFinder):
    """A finder that follows up to `MAX_HANDS` hands from picture to picture; for one thread."""

    def __init__(self, folder: Path | None = None, *, threads: int = 1) -> None:
        """folder: with one folder of weights per model. Raises `ModelError`, `EngineUnavailable`."""
        weights = model_folder(MODEL, root=folder)
        self._detect = compile_network(weights / "palm_detection_full.tflite", MODEL, threads)
        self._hand = compile_network(weights / "hand_landmark_full.tflite", MODEL, threads)
        self._followed: list[tuple[PictureRegion, int]] = []
        self._count = self._undetected = 0

    def find(self, image: Image) -> tuple[HandLandmarks, ...]:
        """Return the hands of the picture, those that are followed first."""
        hands: list[HandLandmarks] = []
        regions: list[PictureRegion] = []
        for region, number in self._followed:
            self._add_hand(image, region, number, hands, regions)
        self._undetected += 1
        if not hands or (len(hands) < MAX_HANDS and self._undetected >= DETECTION_INTERVAL):
            self._undetected = 0
            whole = enclose_picture(image)
            boxes, logits = self._detect(to_input(whole.crop(image, SIDE)))
            for palm in find_palms(boxes[0], logits.ravel(), MAX_HANDS):
                region = whole.place_region(palm, SIDE)
                if len(hands) < MAX_HANDS and not _is_known(region, regions):
                    self._count += 1
                    self._add_hand(image, region, self._count, hands, regions)
        self._followed = [(region, hand.number) for region, hand in zip(regions, hands, strict=True)]
        return tuple(hands)

    def forget(self) -> None:
        """Follow no hand any more, as the next picture is of another scene."""
        self._followed = []

    def _add_hand(
        self, image: Image, region: PictureRegion, number: int, hands: list[HandLandmarks], regions: list[PictureRegion]
    ) -> None:
        """Find the points of a hand in a region, and its region in the next picture; adds none without a hand."""
        places, found, *_ = self._hand(to_input(region.crop(image, HAND_SIDE)))
        points, presence = region.to_picture(places.reshape(HAND_POINTS, 3), HAND_SIDE), float(found.ravel()[0])
        if not presence >= MIN_PRESENCE or not np.isfinite(points).all():
            return
        following = follow_hand(points)
        if not _is_known(following, regions):
            hands.append(HandLandmarks(points, presence, number))
            regions.append(following)


def follow_hand(points: NDArray[np.float64]) -> PictureRegion:
    """Return the square in which the next picture is searched for a hand with these (21, 2+) points."""
    fingers = (points[INDEX_ROOT, :2] + points[RING_ROOT, :2]) / 4 + points[MIDDLE_ROOT, :2] / 2
    dx, dy = fingers - points[WRIST, :2]
    angle = math.atan2(dy, dx) + math.pi / 2
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    upright = points[_PALM_POINTS, :2] @ turn
    low, high = upright.min(0), upright.max(0)
    (x, y), side = turn @ ((low + high) / 2), float((high - low).max()) * NEXT_SCALE
    return PictureRegion(float(x), float(y), side, angle).shift(0.0, NEXT_SHIFT / NEXT_SCALE)


def _is_known(region: PictureRegion, regions: list[PictureRegion]) -> bool:
    return any(
        math.hypot(region.x - other.x, region.y - other.y) < SAME_HAND * max(region.side, other.side)
        for other in regions
    )
