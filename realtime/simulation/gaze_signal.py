"""Generates the gaze of a simulated eye tracker: a trace or wandering eyes, with noise, blinks and bias."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence

import numpy as np

from realtime.errors import SourceError
from realtime.simulation.calibration_wearer import SimulatedBias
from realtime.simulation.encoded_frames import EncodedFrame
from realtime.simulation.wandering_gaze import GazeAim
from realtime.sources.gaze_files.trace_values import TracePoint

BLINK_S = 0.15
SACCADE_S = 0.04
CONFIDENCE = 0.95
_NOISE_MEMORY = 0.9


class GazeSignal:
    """Generates gaze at its own rate, independent of frames. trace: None for eyes that rest where the frames aim."""

    def __init__(
        self,
        trace: Sequence[TracePoint] | None,
        rate_hz: float,
        noise_px: float,
        blink_every_s: float,
        bias: SimulatedBias,
        random: np.random.Generator,
    ) -> None:
        """Check the numbers; raises `SourceError`."""
        if not 1 <= rate_hz <= 2000:
            raise SourceError(f"a gaze rate of {rate_hz:g} Hz; expected 1 to 2000")
        if not (0 <= noise_px <= 1000 and blink_every_s >= 0):
            raise SourceError(f"noise {noise_px:g} px, blinks every {blink_every_s:g} s; expected 0 or more")
        self._trace, self._rate_hz, self._blink_every_s = trace, rate_hz, blink_every_s
        self._bias, self._random, self._noise = bias, random, np.zeros(2)
        self._noise_step_px = noise_px * math.sqrt(1 - _NOISE_MEMORY**2)

    def samples_between(
        self, frame: EncodedFrame, following: EncodedFrame | None, until_s: float
    ) -> Iterator[TracePoint]:
        """Generate the true gaze, px, from a frame on, until a second of the timeline."""
        if self._trace is not None:
            first = bisect_left(self._trace, frame.at_s, key=lambda point: point.timestamp)
            for point in itertools.islice(self._trace, first, None):
                if frame.start_s + point.timestamp >= until_s:
                    return
                yield TracePoint(frame.start_s + point.timestamp, point.x, point.y, point.confidence)
            return
        here = frame.aim or GazeAim(0.0, 0.0, True)
        there = following.aim if following and following.aim else here
        # The eyes follow what moves evenly, and change to something else in one quick saccade.
        lasts_s = min(SACCADE_S, until_s - frame.due_s) if there.jumped else until_s - frame.due_s
        for number in itertools.count(math.ceil(frame.due_s * self._rate_hz)):
            due_s = number / self._rate_hz
            if due_s >= until_s:
                return
            share = min(1.0, max(0.0, 1 - (until_s - due_s) / lasts_s))
            x, y = here.x + share * (there.x - here.x), here.y + share * (there.y - here.y)
            yield TracePoint(due_s, x, y, CONFIDENCE)

    def measure(self, sample: TracePoint, size: tuple[int, int]) -> tuple[float, float, float]:
        """Measure (x px, y px, confidence) as the tracker does, in a picture of (width, height)."""
        is_blink = self._blink_every_s and sample.timestamp % self._blink_every_s >= self._blink_every_s - BLINK_S
        self._noise = _NOISE_MEMORY * self._noise + self._random.normal(0, self._noise_step_px, 2)
        x, y = self._bias.measure(sample.x, sample.y, size)
        return x + float(self._noise[0]), y + float(self._noise[1]), 0.0 if is_blink else sample.confidence
