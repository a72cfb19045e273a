"""Defines the estimate of the current eye movement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from realtime.types import GazeSample

EyeMovement = Literal["fixation", "pursuit", "saccade", "blink", "none"]


@dataclass(frozen=True, slots=True)
class GazeEstimate:
    """The current eye movement and its point.

    kind: fixation, pursuit; saccade (in flight, `point_px` is the newest sample); blink (`point_px` is from before);
        none (no valid gaze for `lost_s`, `point_px` is the last one).
    point_px: in the newest frame if the caller used `GazeFilter.move`. May lie outside it.
    onset_ns: when this fixation, pursuit or saccade began, host monotonic.
    sample: the newest sample it is based on, unchanged.
    spread_px: median distance of the samples to the point; 0 for one sample.
    radius_px: error radius, from the sample, else the settings' accuracy.
    """

    kind: EyeMovement
    point_px: tuple[float, float]
    onset_ns: int
    sample: GazeSample
    spread_px: float
    radius_px: float

    @property
    def is_steady(self) -> bool:
        """Whether it is a fixation or pursuit, which prompt the decoder."""
        return self.kind in ("fixation", "pursuit")
