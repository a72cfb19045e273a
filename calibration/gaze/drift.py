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
"""Typical tracker slip: the prior sd of the offset."""
POINT_SD_DEG = 0.3
"""Of a deliberate fixation: the eyes' accuracy, and the map's local error."""
OBJECT_SD_SHARE, MAX_OBJECT_DEG = 0.3, 6.0
"""People fixate near an object's middle: the sd, as a share of its size; and the largest usable size."""
GATE_SIGMAS = 3.0


@dataclass(frozen=True, slots=True)
class DriftCorrection:
    """Estimates the drift of calibrated gaze since the calibration.

    offset_deg: to be added to the calibrated gaze at `at_s`. sd_deg: its uncertainty per axis. accepted, rejected:
    number of observations.
    """

    offset_deg: tuple[float, float] = (0.0, 0.0)
    sd_deg: float = SLIP_SD_DEG
    at_s: float = 0.0
    accepted: int = 0
    rejected: int = 0

    def decay_to(self, now_s: float) -> DriftCorrection:
        """Decay the offset to `now_s`; time that runs backwards changes nothing."""
        left = 0.5 ** (max(0.0, now_s - self.at_s) / HALF_LIFE_S)
        variance = self.sd_deg**2 * left**2 + SLIP_SD_DEG**2 * (1 - left**2)
        x, y = self.offset_deg
        return replace(self, offset_deg=(x * left, y * left), sd_deg=math.sqrt(variance), at_s=max(now_s, self.at_s))

    def update(self, now_s: float, error_deg: tuple[float, float], sd_deg: float = POINT_SD_DEG) -> DriftCorrection:
        """Update the offset with a fixation of a known target.

        error_deg: target minus gaze, which already includes this offset. Implausible ones are rejected and counted.
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
    """Compute the sd per axis of a fixation of an object; None for unusable sizes."""
    if not 0 < size_deg <= MAX_OBJECT_DEG:
        return None
    return max(POINT_SD_DEG, OBJECT_SD_SHARE * size_deg)
