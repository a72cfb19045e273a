"""What goes into the dwell machine and what comes out of it, once a frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from realtime.tracking.gaze.estimate import GazeEstimate
from realtime.types import Mask, State


@dataclass(frozen=True, slots=True, eq=False)
class DwellInput:
    """What is known when a frame is about to be published.

    gaze: what the eyes do, in the newest frame's pixels.
    decoded: the newest decode carried to the newest frame; None unless it was prompted by the present look, or by the
        mask itself while that is kept. Any resolution that covers the frame, the same for both masks.
    carried: the mask shown last, carried to the newest frame; None where that failed.
    frame_size: (width, height) of the newest frame.
    iou: of decoded and carried, if it is known already.
    level: granularity of `decoded`, 0 part to 2 whole, if known.
    is_broken: the chain to the newest frame has broken since the last frame: what was carried fits no more.
    is_held: what is on show stays, whatever the eyes do.
    """

    now_ns: int
    gaze: GazeEstimate | None
    decoded: Mask | None
    carried: Mask | None
    frame_size: tuple[int, int]
    iou: float | None = None
    level: int | None = None
    is_broken: bool = False
    is_held: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class DwellDecision:
    """What to publish.

    source: whose decode's `gaze`, score and times go with the mask: the fresh one's or the carried one's.
    object: 0 only before anything was shown.
    dwell_s: rest on this thing so far.
    fixed_level: granularity the wearer has stepped to, to be chosen among the next candidates; None: choose freely.
    has_changed: another thing, or the same seen otherwise, than in the last frame: forget dense prompts made of it.
    """

    source: Literal["decoded", "carried", "nothing"]
    mask: Mask | None
    object: int
    state: State
    dwell_s: float
    fixed_level: int | None
    has_changed: bool
