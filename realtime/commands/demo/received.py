"""What the demo's subscriber saw, kept small, and what the report tells of it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from realtime.commands.demo.figures import LatencySample
from realtime.commands.demo.scripted_gaze import FPS, ScriptedFixation, settled
from realtime.comms import MaskMessage


@dataclass(frozen=True, slots=True, eq=False)
class ReceivedMasks:
    """A mask message and when the subscriber had it; the mask itself in bits, since a run holds hundreds."""

    bare: MaskMessage
    bits: NDArray[np.uint8] | None
    received_ns: int

    @classmethod
    def of(cls, message: MaskMessage, received_ns: int) -> ReceivedMasks:
        """Pack a message as received."""
        bits = None if message.mask is None else np.packbits(message.mask, axis=None)
        return cls(replace(message, mask=None), bits, received_ns)

    @property
    def message(self) -> MaskMessage:
        """The message as it came."""
        if self.bits is None:
            return self.bare
        height, width = self.bare.frame.height, self.bare.frame.width
        mask = np.unpackbits(self.bits, count=height * width).reshape(height, width).astype(np.bool_)
        return replace(self.bare, mask=mask)


def samples(seen: Sequence[ReceivedMasks]) -> list[LatencySample]:
    """How late each message was, in order; a gaze counts at the first mask that came of it."""
    start_s = seen[0].bare.frame.timestamp if seen else 0.0
    found, last_gaze_s = [], None
    for one in seen:
        message, timing = one.bare, one.bare.timing_ns
        fresh = message.state in ("preview", "locked") and message.gaze.timestamp != last_gaze_s
        last_gaze_s = message.gaze.timestamp
        found.append(
            LatencySample(
                at_s=message.frame.timestamp - start_s,
                gaze_to_mask_ms=(one.received_ns - timing.gaze_received) / 1e6 if fresh else None,
                frame_to_mask_ms=(one.received_ns - timing.frame_received) / 1e6,
                keyframe_age_ms=(message.frame.timestamp - message.keyframe.timestamp) * 1e3,
            )
        )
    return found


def shares(seen: Sequence[ReceivedMasks]) -> dict[str, float]:
    """What part of the messages had which state, 0..1."""
    counts = Counter(one.bare.state for one in seen)
    return {state: count / len(seen) for state, count in counts.most_common()}


def moments(
    seen: Sequence[ReceivedMasks], frames: int, looks: Sequence[ScriptedFixation], most: int = 12
) -> list[tuple[str, ReceivedMasks]]:
    """Which messages to show, with names, in the clip's order.

    With `looks`, one of each of the longest, late in the look when everything had time to settle, from the last time
    that it was played; otherwise evenly spaced ones. frames: how many the clip has; the device numbers on through
    repetitions.
    """
    if not seen:
        return []
    if not looks:
        step = max(1, len(seen) // most)
        return [("", one) for one in seen[step - 1 :: step][:most]]
    by_frame = {one.bare.frame.index % frames: one for one in seen}  # the last repetition wins
    spans = settled(looks)
    longest = sorted(sorted(range(len(spans)), key=lambda n: -len(spans[n][1]))[:most])
    found = []
    for thing, span in (spans[n] for n in longest):
        near = [index for index in span if index in by_frame]
        if near:
            found.append((thing, by_frame[near[-1]]))
    return found


def clip_second(one: ReceivedMasks, frames: int, fps: float = FPS) -> float:
    """When in the clip a message's frame is."""
    return (one.bare.frame.index % frames) / fps
