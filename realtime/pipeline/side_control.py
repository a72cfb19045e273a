"""Chooses the picture side at which the encoder is run, by measured speed and by how fast the picture moves. Pure.

A mask is carried from its keyframe to the newest frame, and loses accuracy with every frame and every pixel of motion
between; a larger picture gives a better mask of a small object, later. So while the picture moves a keyframe may take
`MOVING_FRAMES`, and while it stands still `STILL_FRAMES`: then a late keyframe is as good as a young one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

MOVING_FRAMES = 4.0
"""Frames that a keyframe may take in a moving picture. On six clips and two cores without VNNI, J&F was 0.55 with a
keyframe every 3 to 4 frames, 0.51 with 2, and 0.40 with 9, though 9 frames allow a picture of twice the side."""
STILL_FRAMES = 12.0
STILL_SPEED, MOVING_SPEED = 0.0005, 0.003
"""Of the longest side per frame: below, a picture counts as still (a person's sway on a tripod), above as moving."""
CHANGES_TO_SETTLE = 3
"""Choices in a row that must ask for another side: a single slow encode or shake changes nothing."""
ROOM = 0.85
"""Share of the allowed time that a larger side may be expected to take; up and down differ, so that it settles."""
FIRST_INTERVAL_MS = 1000 / 30
SLOW_SIDE, SLOW_ASPECT = 384, 9 / 16
"""The picture whose keyframes a slow machine cannot encode while the picture moves."""
SMOOTHING = 0.2


def is_slow(ms_per_megapixel: float) -> bool:
    """Return whether keyframes leave a machine no time for the rest, by its encoder's speed.

    Two AVX2 cores need 1500 to 2200 ms per megapixel, with VNNI or bfloat16 500 to 650; the limit is 1370.
    """
    return ms_per_megapixel * SLOW_SIDE**2 * SLOW_ASPECT / 1e6 > MOVING_FRAMES * FIRST_INTERVAL_MS * ROOM


class PictureSideControl:
    """Holds the side for the next keyframe. Called from one thread at a time.

    ms_per_megapixel: the encoder's time by the area of the picture as it sees it, None until it is known. Work grows
    with the area (within 4 % from 256 to 512 px), so that one number, kept up to date, gives the time of all sides.
    """

    def __init__(
        self, sides: Iterable[int], aspect: float, ms_per_megapixel: float | None = None, *, begin_small: bool = False
    ) -> None:
        """sides: that can be chosen. aspect: the picture's shorter side over its longer one.

        Begins at the largest side that is known to be fast enough, else, and with `begin_small`, at the smallest.
        """
        self.sides, self._aspect = tuple(sorted(sides)), aspect
        self.ms_per_megapixel = ms_per_megapixel
        self._interval_ms = FIRST_INTERVAL_MS
        self._last_ns: int | None = None
        self._speed = MOVING_SPEED
        self.side = self._wish = self.sides[0]
        if not begin_small:
            self.side = self._wish = self._find_side(self.sides)
        self._wished = 0
        self._ready = {self.side}

    def set_ready(self, side: int) -> None:
        """Allow a side whose graphs are compiled."""
        self._ready.add(side)

    def observe_frame(self, captured_ns: int, speed: float | None) -> None:
        """Update the frame interval and the motion. speed: share of the longest side per frame, None if unknown."""
        if self._last_ns is not None and 0 < captured_ns - self._last_ns < 1_000_000_000:
            self._interval_ms += SMOOTHING * ((captured_ns - self._last_ns) / 1e6 - self._interval_ms)
        self._last_ns = captured_ns
        if speed is not None:
            # Motion counts at once, rest only after a while.
            self._speed = max(speed, self._speed + SMOOTHING / 2 * (speed - self._speed))

    def observe_encode(self, side: int, encode_ms: float) -> None:
        """Update the encoder's speed by one encode, and choose the side of the next."""
        rate = encode_ms / self._megapixels(side)
        known = self.ms_per_megapixel
        self.ms_per_megapixel = rate if known is None else known + SMOOTHING * (rate - known)
        wish = self._find_side(self._ready)
        self._wished = self._wished + 1 if wish == self._wish != self.side else 1
        self._wish = wish
        if wish != self.side and self._wished >= CHANGES_TO_SETTLE:
            self.side, self._wished = wish, 0

    def find_missing(self) -> tuple[int | None, bool]:
        """Return the side that would be chosen if its graphs were compiled, None if they are.

        The second value is True for one that would be chosen only if the picture stood still.
        """
        now, still = self._find_side(self.sides), self._find_side(self.sides, STILL_FRAMES)
        if now not in self._ready:
            return now, False
        return (None if still in self._ready else still), True

    def expect_ms(self, side: int) -> float:
        """Return the expected time of a side; infinite while the speed is unknown."""
        return math.inf if self.ms_per_megapixel is None else self.ms_per_megapixel * self._megapixels(side)

    def _megapixels(self, side: int) -> float:
        return side * side * self._aspect / 1e6

    def _allowed_frames(self) -> float:
        rest = (MOVING_SPEED - self._speed) / (MOVING_SPEED - STILL_SPEED)
        return MOVING_FRAMES + (STILL_FRAMES - MOVING_FRAMES) * min(1.0, max(0.0, rest))

    def _find_side(self, sides: Iterable[int], frames: float | None = None) -> int:
        """Return the largest side that fits; the smallest where none does."""
        allowed_ms = (self._allowed_frames() if frames is None else frames) * self._interval_ms
        fitting = [side for side in sides if self.expect_ms(side) <= allowed_ms * (1.0 if side <= self.side else ROOM)]
        return max(fitting, default=min(sides))
