"""Reads gaze from the samples of an LSL stream."""

from __future__ import annotations

import math
from collections.abc import Sequence

from realtime.sources.lsl.channels import EyeChannels, GazeChannels

CONFIDENCE = 1.0
"""Of a stream that has no channel for it."""
_MISSING = -32768.0
"""EyeLink's value for an eye without gaze."""


class SampleReader:
    """Reads position and confidence of samples, and remembers the last position for samples without one."""

    def __init__(self, channels: GazeChannels) -> None:
        self.channels = channels
        self._last: tuple[float, float] | None = None
        self._measured_pupils: set[int] = set()

    def read(self, values: Sequence[float]) -> tuple[float, float, float] | None:
        """Return (x, y, confidence) in the unit of the channels, y down; None before the first position.

        Without gaze, as in a blink, confidence is 0 and the position is the last one.
        """
        eyes = [found for eye in self.channels.eyes if (found := self._read_eye(eye, values))]
        if eyes:
            x, y, confidence = (sum(part) / len(eyes) for part in zip(*eyes, strict=True))
            self._last = x, y
            return x, y, confidence
        return (*self._last, 0.0) if self._last else None

    def _read_eye(self, eye: EyeChannels, values: Sequence[float]) -> tuple[float, float, float] | None:
        """Return (x, y, confidence) of an eye that sees, else None."""
        x, y = values[eye.x], values[eye.y]
        if not (math.isfinite(x) and math.isfinite(y)) or min(x, y) <= _MISSING:
            return None
        if not eye.has_quality and x == y and x in (0.0, -1.0):  # how bridges without validity mark lost eyes
            return None
        if not all(values[number] > 0 for number in eye.validity) or any(values[number] > 0.5 for number in eye.blink):
            return None
        if self._is_pupil_lost(eye, values):
            return None
        confidence = CONFIDENCE
        for number in eye.confidence:
            value = values[number] * (0.01 if number in self.channels.percent else 1.0)
            confidence = min(confidence, value if math.isfinite(value) else 0.0)
        if confidence <= 0:
            return None
        x, y = x * self.channels.scale[0], y * self.channels.scale[1]
        return x, (1 - y) if self.channels.is_origin_bottom else y, confidence

    def _is_pupil_lost(self, eye: EyeChannels, values: Sequence[float]) -> bool:
        """Whether a pupil that was measured before has no size now."""
        self._measured_pupils.update(number for number in eye.pupil if values[number] > 0)
        return any(number in self._measured_pupils and not values[number] > 0 for number in eye.pupil)
