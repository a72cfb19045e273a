"""Defines what is read from a headset's recording: parts of the scene video with their times, and gaze. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.sources.gaze_files.frame_times import Times


@dataclass(frozen=True, slots=True)
class VideoPart:
    """Holds a video file and the times of its frames, s on the headset's clock; None where the file itself has them."""

    path: Path
    times: Times | None


@dataclass(frozen=True, slots=True, eq=False)
class GazeTrack:
    """Holds gaze: (N,) s on the headset's clock, (N, 2) px from the top left or NaN, (N,) confidence 0..1.

    origin: the files it was read from, as they are named to the user.
    """

    times: Times
    points: NDArray[np.float64]
    confidence: NDArray[np.float64]
    origin: str

    @classmethod
    def from_lists(cls, times: Any, points: Any, confidence: Any, origin: str) -> GazeTrack:
        """Sort by time; a point that is not finite becomes a blink at the position before."""
        times = np.asarray(times, np.float64)
        order = np.argsort(times, kind="stable")
        points = np.asarray(points, np.float64).reshape(-1, 2)[order]
        confidence = np.clip(np.nan_to_num(np.asarray(confidence, np.float64)), 0.0, 1.0)[order]
        is_seen = np.isfinite(points).all(1)
        last_seen = np.maximum.accumulate(np.where(is_seen, np.arange(len(points)), -1))
        first = int(np.argmax(is_seen)) if len(points) else 0
        filled = points[np.where(last_seen < 0, first, last_seen)]
        return cls(times[order], filled, np.where(is_seen, confidence, 0.0), origin)
