"""Chooses the side of the tracker's working picture by how long a frame took in the runs before."""

from __future__ import annotations

from engines import Encoder
from engines.speed import SpeedRecord
from realtime.infra.metrics import MetricsSnapshot
from realtime.pipeline.adaptive_encoder import MOST_SLOWDOWN, AdaptiveEncoder
from realtime.tracking.motion.optical_flow import LEAST_SIDE_PX, SLOW_SIDE_PX, USUAL_SIDE_PX

LIMIT_MS = 22.0
"""Most time of a frame: two thirds of that between frames at 30 a second. The rest is for new keyframes' decodes."""
MIN_FPS = 5.0
"""Below, too few frames were tracked to know how long one takes."""


def choose_working_side(encoder: Encoder) -> int:
    """Choose the longest side, px, at which a frame is tracked in time; the middle one where that is not known."""
    if not isinstance(encoder, AdaptiveEncoder):
        return USUAL_SIDE_PX
    speed = encoder.speed
    usual_ms = speed.read_tracking() if isinstance(speed, SpeedRecord) else None
    if usual_ms is None:
        return SLOW_SIDE_PX
    sides = (SLOW_SIDE_PX,) if encoder.is_slow else (USUAL_SIDE_PX, SLOW_SIDE_PX)
    return next((side for side in sides if _scale(usual_ms, side) <= LIMIT_MS), LEAST_SIDE_PX)


def record_tracking(encoder: Encoder, measured: MetricsSnapshot, side_px: int) -> None:
    """Remember how long a frame took at a side, for the next run; nothing where the encoder is not this process's."""
    if not isinstance(encoder, AdaptiveEncoder) or not isinstance(encoder.speed, SpeedRecord):
        return
    tracking = measured.latency_ms.get("track")
    if tracking is not None and measured.rates.get("masks", 0.0) >= MIN_FPS:
        usual_ms, known_ms = tracking["p50"] / _scale(1.0, side_px), encoder.speed.read_tracking()
        # A machine is crowded, or asleep, for a while.
        if known_ms is not None:
            usual_ms = (min(usual_ms, MOST_SLOWDOWN * known_ms) + known_ms) / 2
        encoder.speed.write_tracking(usual_ms)


def _scale(usual_ms: float, side_px: int) -> float:
    """Scale a frame's time at the usual side to another: most of it grows with the area."""
    return usual_ms * (side_px / USUAL_SIDE_PX) ** 2
