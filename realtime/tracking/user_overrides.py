"""What a hand asks of the tracker while the eyes go on: something smaller or larger, keep this, show nothing. Pure.

The tracker's one thread obeys between two frames; nothing here asks a clock, so that what was asked can be done again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines import MaskCandidates
from realtime.tracking.dwell import MaskPoints
from realtime.tracking.mask_selection import levels
from realtime.tracking.prompter import PromptResult
from realtime.types import FrameKey

GROWN = 1.05
"""A step goes on to a mask whose area differs by so much: SAM often says the same twice."""


@dataclass(frozen=True, slots=True)
class UserOverrides:
    """What is asked for now.

    kept: what is on show stays whatever the eyes do.
    chosen: the answer and which of its candidates to show instead from the next frame on; None: as it is.
    cleared_ns: looks that began until then are passed over.
    """

    kept: bool = False
    chosen: tuple[PromptResult, int] | None = None
    cleared_ns: int = 0


def stepped(candidates: MaskCandidates, area: int, step: int) -> tuple[int, int] | None:
    """The candidate and the level of the next mask that is smaller (step -1) or larger (1) than an area.

    area: in logits, as `PromptResult.area`. The end of the row when there is none; None from a decoder that gives but one
    mask.
    """
    masks = candidates.logits > 0
    areas = [int(np.count_nonzero(mask)) for mask in masks]
    ranked = sorted((level, k) for k, level in enumerate(levels(masks)) if level is not None)
    if not ranked:
        return None
    if step < 0:
        found = next(((k, level) for level, k in reversed(ranked) if areas[k] * GROWN <= area), None)
        return found or ranked[0][::-1]
    found = next(((k, level) for level, k in ranked if areas[k] >= GROWN * area), None)
    return found or ranked[-1][::-1]


class CommandRejected(Exception):
    """A command that cannot be obeyed now; the message says why."""


@dataclass(frozen=True, slots=True, eq=False)
class ExternalObjects:
    """Things that others found on a frame, so that the eyes find them under the ids that these were given.

    traces: None for a thing that has no place in the frame.
    """

    frame: FrameKey
    traces: tuple[MaskPoints | None, ...]
