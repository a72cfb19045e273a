"""Describes objects that other programs found, which the gaze may come to. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from realtime.tracking.dwell.mask_points import MaskPoints, map_together
from realtime.tracking.motion.flow_chain import FlowChain
from realtime.types import FrameKey


@dataclass(frozen=True, slots=True, eq=False)
class ExternalObjects:
    """Objects that other programs found on a frame; the gaze finds them under the ids reported back.

    mask_points: None for an object without a place in the frame.
    """

    frame: FrameKey
    mask_points: tuple[MaskPoints | None, ...]

    def carry(self, chain: FlowChain) -> list[MaskPoints | None]:
        """Carry the objects' points to the newest frame. chain: from there to their own frame."""
        known = [points for points in self.mask_points if points is not None]
        moved = iter(map_together(known, chain.map_points))
        return [None if points is None else next(moved) for points in self.mask_points]
