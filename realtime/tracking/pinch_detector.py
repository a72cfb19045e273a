"""Detects pinches, thumb against index finger, from the landmarks of hands. Pure.

Gaze selects and a pinch confirms, as in Pfeuffer et al., Gaze + pinch interaction in virtual reality, 2017. The measure
is the distance of the two tips as a share of the palm's length, with hysteresis. A hand that holds something keeps its
fingers closed, so a pinch is a quick closing of an open hand, and there is one event for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.landmarks.hand_landmarker import (
    INDEX_ROOT,
    INDEX_TIP,
    LITTLE_ROOT,
    MIDDLE_ROOT,
    THUMB_TIP,
    WRIST,
    HandLandmarks,
)

MIN_PRESENCE = 0.7
"""Hands that the network is less sure of are ignored."""
MIN_SAMPLES = 2
"""Successive samples that open a hand, and closed samples that make a pinch: single ones are noise."""


@dataclass(frozen=True, slots=True)
class PinchSettings:
    """Holds the settings of confirming by a pinch in front of the scene camera.

    enabled: confirm the shown object by a pinch; needs `gazecast models pull hands`.
    max_rate_hz: pictures that are searched for hands each second, 1 to 60; each costs some 10 to 30 ms of a core.
    closed_ratio: distance of the tips of thumb and index finger, as a share of the palm's length, at which they are
        closed, 0 to 1; tips that touch measure 0.1 to 0.3, as the points lie inside the fingers.
    open_ratio: distance at which they are open again, 0 to 1; above that of a relaxed hand that holds something.
    closing_s: longest time from open to closed, 0.1 to 5 s; a slower closing is a grasp.
    min_palm_share: size of the smallest palm, as a share of the picture's longer side, 0 to 1; the wearer's own hand is
        near, and those of other people are smaller.
    """

    enabled: bool = False
    max_rate_hz: float = 10.0
    closed_ratio: float = 0.3
    open_ratio: float = 0.5
    closing_s: float = 0.6
    min_palm_share: float = 0.05

    def __post_init__(self) -> None:
        """Refuse numbers that no hand can have."""
        if not 1 <= self.max_rate_hz <= 60:
            raise ValueError(f"max_rate_hz must be 1 to 60, got {self.max_rate_hz!r}")
        if not 0 < self.closed_ratio < self.open_ratio <= 1:
            raise ValueError(
                f"closed_ratio must be above 0 and below open_ratio, which is at most 1, got {self.closed_ratio!r} and "
                f"{self.open_ratio!r}"
            )
        if not 0.1 <= self.closing_s <= 5:
            raise ValueError(f"closing_s must be 0.1 to 5, got {self.closing_s!r}")
        if not 0 <= self.min_palm_share <= 1:
            raise ValueError(f"min_palm_share must be 0 to 1, got {self.min_palm_share!r}")


@dataclass(slots=True)
class _Hand:
    """Holds the state of a followed hand: samples open in a row, closed ones since then, and their times."""

    open_count: int = 0
    is_armed: bool = False
    open_ns: int = 0
    closed_count: int = 0
    closed_ns: int = 0


class PinchDetector:
    """Detects the pinches of each followed hand from its samples. One thread."""

    def __init__(self, settings: PinchSettings | None = None) -> None:
        self._settings = settings or PinchSettings()
        self._hands: dict[int, _Hand] = {}

    def update(self, hands: Sequence[HandLandmarks], size: tuple[int, int], at_ns: int) -> int | None:
        """Add the hands of a picture; return the time at which a pinch that is now certain closed, None without one.

        size: (width, height) of the picture. at_ns: its capture.
        """
        near = [
            hand
            for hand in hands
            if hand.presence >= MIN_PRESENCE and measure_palm(hand) >= self._settings.min_palm_share * max(size)
        ]
        self._hands = {hand.number: self._hands.get(hand.number, _Hand()) for hand in near}
        found = [self._update_hand(self._hands[hand.number], measure_pinch(hand), at_ns) for hand in near]
        return next((closed_ns for closed_ns in found if closed_ns is not None), None)

    def _update_hand(self, hand: _Hand, ratio: float, at_ns: int) -> int | None:
        if ratio >= self._settings.open_ratio:
            hand.open_count += 1
            hand.is_armed = hand.is_armed or hand.open_count >= MIN_SAMPLES
            hand.open_ns, hand.closed_count = at_ns, 0
            return None
        hand.open_count = 0
        if not hand.is_armed or ratio > self._settings.closed_ratio:
            return None
        if not hand.closed_count:
            hand.closed_ns = at_ns
            hand.is_armed = at_ns - hand.open_ns <= self._settings.closing_s * 1e9
        hand.closed_count += hand.is_armed
        if hand.closed_count < MIN_SAMPLES:
            return None
        hand.is_armed = False
        return hand.closed_ns


def measure_pinch(hand: HandLandmarks) -> float:
    """Measure the distance of the tips of thumb and index finger in the picture, as a share of the palm's length."""
    return _distance(hand.points, THUMB_TIP, INDEX_TIP) / max(measure_palm(hand), 1e-9)


def measure_palm(hand: HandLandmarks) -> float:
    """Measure the longer side of the palm in the picture, px: one of the two is seen even where it is turned away."""
    return max(_distance(hand.points, WRIST, MIDDLE_ROOT), _distance(hand.points, INDEX_ROOT, LITTLE_ROOT))


def _distance(points: NDArray[np.float64], one: int, other: int) -> float:
    return float(np.linalg.norm(points[one, :2] - points[other, :2]))
