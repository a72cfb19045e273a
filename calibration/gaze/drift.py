"""Estimates slippage since the calibration: a bounded, decaying offset from single fixations. Pure.

A scalar Kalman filter for either axis. Between observations the offset decays and its uncertainty grows back, so that
one wrong confirmation neither moves the gaze far nor for long.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

MAX_OFFSET_DEG = 2.0
HALF_LIFE_S = 1200.0
SLIP_SD_DEG = 1.5
"""How far trackers slip; what is known of the offset before anything was observed."""
POINT_SD_DEG = 0.3
"""Of a look at a point on purpose: how well eyes fixate, and what a local error of the map adds."""
OBJECT_SD_SHARE, MAX_OBJECT_DEG = 0.3, 6.0
"""People look near the middle of things: with this sd, as a share of the thing's size; at most at things this large."""
GATE_SIGMAS = 3.0


@dataclass(frozen=True, slots=True)
class DriftCorrection:
    """offset_deg: to be added to the calibrated gaze at `at_s`. sd_deg: its uncertainty per axis.

    taken, refused: how many observations were.
    """

    offset_deg: tuple[float, float] = (0.0, 0.0)
    sd_deg: float = SLIP_SD_DEG
    at_s: float = 0.0
    accepted: int = 0
    rejected: int = 0

    def decay_to(self, now_s: float) -> DriftCorrection:
        """What is left of it now; time that runs backwards changes nothing."""
        left = 0.5 ** (max(0.0, now_s - self.at_s) / HALF_LIFE_S)
        variance = self.sd_deg**2 * left**2 + SLIP_SD_DEG**2 * (1 - left**2)
        x, y = self.offset_deg
        return replace(self, offset_deg=(x * left, y * left), sd_deg=math.sqrt(variance), at_s=max(now_s, self.at_s))

    def update(self, now_s: float, error_deg: tuple[float, float], sd_deg: float = POINT_SD_DEG) -> DriftCorrection:
        """After a look at something known.

        error_deg: where it was minus where the gaze was, the latter with this offset already added. One that is too
        far from what is possible is refused and counted.
        """
        now = self.decay_to(now_s)
        size = math.hypot(*error_deg)
        if not math.isfinite(size) or size > GATE_SIGMAS * math.hypot(now.sd_deg, sd_deg):
            return replace(now, rejected=now.rejected + 1)
        gain = now.sd_deg**2 / (now.sd_deg**2 + sd_deg**2)
        x, y = (place + gain * error for place, error in zip(now.offset_deg, error_deg, strict=True))
        over = max(1.0, math.hypot(x, y) / MAX_OFFSET_DEG)
        return replace(
            now, offset_deg=(x / over, y / over), sd_deg=now.sd_deg * math.sqrt(1 - gain), accepted=now.accepted + 1
        )


def compute_object_sd_deg(size_deg: float) -> float | None:
    """How uncertain a look at a thing of this size is, per axis; None for one that says nothing."""
    if not 0 < size_deg <= MAX_OBJECT_DEG:
        return None
    return max(POINT_SD_DEG, OBJECT_SD_SHARE * size_deg)
