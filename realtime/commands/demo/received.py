"""Holds the masks that the demo's subscriber received, and measures them for its report. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from realtime.commands.demo.scripted_gaze import FPS, ScriptedFixation, list_settled_spans
from realtime.commands.plot.summary import TimeSeries
from realtime.comms.messages import MaskMessage


@dataclass(frozen=True, slots=True, eq=False)
class ReceivedMask:
    """A mask message with its time of arrival, its mask packed into bits."""

    bare: MaskMessage
    bits: NDArray[np.uint8] | None
    received_ns: int

    @classmethod
    def of(cls, message: MaskMessage, received_ns: int) -> ReceivedMask:
        """Pack a message."""
        bits = None if message.mask is None else np.packbits(message.mask, axis=None)
        return cls(replace(message, mask=None), bits, received_ns)

    @property
    def message(self) -> MaskMessage:
        """The message as it arrived."""
        if self.bits is None:
            return self.bare
        height, width = self.bare.frame.height, self.bare.frame.width
        mask = np.unpackbits(self.bits, count=height * width).reshape(height, width).astype(np.bool_)
        return replace(self.bare, mask=mask)


def measure_latencies(received: Sequence[ReceivedMask]) -> dict[str, TimeSeries]:
    """Measure (seconds into the run, ms) of each kind of latency, by name.

    gaze to mask: from the gaze's arrival to the first mask made from it, not to masks that were only carried.
    frame to mask: from the frame's arrival to its mask. keyframe age: between the frame and its keyframe.
    """
    start_s = received[0].bare.frame.timestamp if received else 0.0
    gaze: TimeSeries = []
    frame: TimeSeries = []
    age: TimeSeries = []
    last_gaze_s = None
    for entry in received:
        message, timing = entry.bare, entry.bare.timing_ns
        at_s = message.frame.timestamp - start_s
        if message.state in ("preview", "locked") and message.gaze.timestamp != last_gaze_s:
            gaze.append((at_s, (entry.received_ns - timing.gaze_received) / 1e6))
        last_gaze_s = message.gaze.timestamp
        frame.append((at_s, (entry.received_ns - timing.frame_received) / 1e6))
        age.append((at_s, (message.frame.timestamp - message.keyframe.timestamp) * 1e3))
    return {"gaze to mask": gaze, "frame to mask": frame, "keyframe age": age}


def share_states(received: Sequence[ReceivedMask]) -> dict[str, float]:
    """Compute the share of messages in each state, 0..1."""
    counts = Counter(entry.bare.state for entry in received)
    return {state: count / len(received) for state, count in counts.most_common()}


def select_moments(
    received: Sequence[ReceivedMask], frames: int, fixations: Sequence[ScriptedFixation], most: int = 12
) -> list[tuple[str, ReceivedMask]]:
    """Select the messages to show, with names, in the clip's order.

    With `fixations`, one of each of the longest, late in it when the mask has settled, from the last repetition;
    otherwise evenly spaced ones. frames: the number in the clip; the device numbers on through repetitions.
    """
    if not received:
        return []
    if not fixations:
        step = max(1, len(received) // most)
        return [("", entry) for entry in received[step - 1 :: step][:most]]
    by_frame = {entry.bare.frame.index % frames: entry for entry in received}  # the last repetition wins
    spans = list_settled_spans(fixations)
    longest = sorted(sorted(range(len(spans)), key=lambda n: -len(spans[n][1]))[:most])
    found = []
    for name, span in (spans[n] for n in longest):
        if near := [index for index in span if index in by_frame]:
            found.append((name, by_frame[near[-1]]))
    return found


def clip_second(entry: ReceivedMask, frames: int, fps: float = FPS) -> float:
    """Convert a message's frame to seconds of the clip."""
    return (entry.bare.frame.index % frames) / fps
