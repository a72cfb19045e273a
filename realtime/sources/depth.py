"""Provides the depth images of frames, matched by time, and keeps those of live sources.

Files and messages may have uint16 millimetres or float32 metres (ROS's 16UC1 and 32FC1, REP 118); some programs and
cameras write other steps than millimetres.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from calibration.objects.cloud import MILLIMETRE_M, Depth, convert_to_metres
from realtime.infra.clock import now_ns
from realtime.types import Frame, SourceStatus

MAX_KEPT_FRAMES = 8
"""Depth frames that a live source keeps; a quarter of a second at 30 Hz."""
MAX_DEPTH_M = 100.0
DepthScale = float | Literal["auto"]
"""Metres of one step of 16 bits; "auto": those that the source reports, else a millimetre."""


@dataclass(frozen=True, slots=True, eq=False)
class DepthFrame:
    """Holds a depth image: (H, W) float32 m along the camera's axis, 0 without measurement.

    timestamp: seconds on its source's clock. apart_s: its time minus that of the requested frame. scale_m: metres of
    one step, where it came in 16 bits.
    """

    depth: Depth
    timestamp: float
    captured_ns: int
    apart_s: float = 0.0
    scale_m: float | None = None


@runtime_checkable
class DepthSource(Protocol):
    """A source that finds the depth image of a frame; started once."""

    def start(self) -> None:
        """Start receiving."""

    def stop(self) -> None:
        """Stop within a second; safe to call twice."""

    def find_nearest(self, frame: Frame, tolerance_s: float, wait_s: float) -> DepthFrame | None:
        """Return the depth frame nearest in time, or None beyond the tolerance; called from one thread.

        A live source waits up to `wait_s` for a newer depth frame.
        """

    def status(self) -> SourceStatus:
        """Return state and counts; callable from any thread."""


class LiveDepth:
    """A base of live sources that keeps the newest `MAX_KEPT_FRAMES` depth frames."""

    def __init__(self, *, same_clock: bool = False) -> None:
        """same_clock: match by timestamps, which are on the frames' clock; else by capture time on the host."""
        self._same_clock = same_clock
        self._frames: deque[DepthFrame] = deque(maxlen=MAX_KEPT_FRAMES)
        self._changed = threading.Condition()
        self._stopped = False

    def put(self, frame: DepthFrame) -> None:
        """Add a received depth frame."""
        with self._changed:
            self._frames.append(frame)
            self._changed.notify_all()

    def close(self) -> None:
        """End the present wait and all later ones."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def find_nearest(self, frame: Frame, tolerance_s: float, wait_s: float) -> DepthFrame | None:
        """Find as in `DepthSource`; waits only while all kept depth frames are older than the frame."""
        until_ns = now_ns() + round(wait_s * 1e9)
        with self._changed:
            while True:
                candidates = [replace(depth, apart_s=self._apart_s(depth, frame)) for depth in self._frames]
                newest_s = max((depth.apart_s for depth in candidates), default=-math.inf)
                remaining_s = (until_ns - now_ns()) / 1e9
                if newest_s >= 0 or remaining_s <= 0 or self._stopped:
                    break
                self._changed.wait(remaining_s)
        best = min(candidates, key=lambda depth: abs(depth.apart_s), default=None)
        return best if best is not None and abs(best.apart_s) <= tolerance_s else None

    def _apart_s(self, depth: DepthFrame, frame: Frame) -> float:
        if self._same_clock:
            return depth.timestamp - frame.timestamp
        return (depth.captured_ns - frame.captured_ns) / 1e9


def choose_scale(configured: DepthScale, reported_m: float | None = None) -> float:
    """Return the metres of one step: as configured, else as its source reports, else a millimetre."""
    return (reported_m or MILLIMETRE_M) if configured == "auto" else configured


def clean_depth(image: NDArray[np.generic], scale_m: float = MILLIMETRE_M) -> Depth:
    """Convert 16-bit steps of `scale_m`, or float m, to float32 m, with 0 beyond `MAX_DEPTH_M`.

    Raises `CalibrationError` for other kinds of images.
    """
    depth = convert_to_metres(image, scale_m)
    return np.asarray(np.where(depth <= MAX_DEPTH_M, depth, np.float32(0)))
