"""Defines input and output of the dwell state machine, once a frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from realtime.tracking.gaze.estimate import GazeEstimate
from realtime.types import Mask, State


@dataclass(frozen=True, slots=True, eq=False)
class DwellInput:
    """Input of the dwell state machine for one frame.

    gaze: the eye movement, in the newest frame's pixels.
    decoded: the newest decode carried to the newest frame; None unless the current gaze prompted it, or the held mask
        itself. Any resolution that covers the frame, the same for both masks.
    carried: the mask shown last, carried to the newest frame; None if impossible.
    frame_size: (width, height) of the newest frame.
    level: granularity of `decoded`, 0 part to 2 whole, if known.
    is_broken: the motion from the last frame is unknown, so that carried masks do not fit.
    is_held: the shown object stays, independently of the gaze.
    is_meant: the wearer means the shown mask, so that no long fixation steps it to a part or the whole.
    """

    now_ns: int
    gaze: GazeEstimate | None
    decoded: Mask | None
    carried: Mask | None
    frame_size: tuple[int, int]
    level: int | None = None
    is_broken: bool = False
    is_held: bool = False
    is_meant: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class DwellDecision:
    """The decision for one frame.

    source: the decode whose gaze, score and times belong to the mask: the fresh or the carried one.
    object: id; 0 only before any object was shown.
    dwell_s: fixation time on this object so far.
    fixed_level: granularity for the next candidates; None: select freely.
    is_level_chosen: the user chose that level; else a long fixation has stepped to it.
    has_changed: another object, or another mask of the same, than in the last frame.
    """

    source: Literal["decoded", "carried", "nothing"]
    mask: Mask | None
    object: int
    state: State
    dwell_s: float
    fixed_level: int | None
    has_changed: bool
    is_level_chosen: bool = False
