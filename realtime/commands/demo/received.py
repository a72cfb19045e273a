"""Holds the masks that the demo's subscriber received, and measures them for its report. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engines import Mask
from realtime.commands.demo.demo_clip import ScriptedTarget
from realtime.commands.demo.scripted_gaze import FPS
from realtime.commands.plot.summary import TimeSeries
from realtime.comms.messages import MaskMessage
from realtime.tracking.dwell.mask_points import compute_iou

RIGHT_IOU = 0.5
"""A mask is right from this IoU with the true one on."""


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
        if not message.is_guess:
            age.append((at_s, (message.frame.timestamp - message.keyframe.timestamp) * 1e3))
    return {"gaze to mask": gaze, "frame to mask": frame, "keyframe age": age}


def measure_keyframe_interval(received: Sequence[ReceivedMask]) -> float | None:
    """Measure the mean time between the keyframes behind the masks, ms; None with fewer than two."""
    times_s = {entry.bare.keyframe.timestamp for entry in received if not entry.bare.is_guess}
    return (max(times_s) - min(times_s)) / (len(times_s) - 1) * 1e3 if len(times_s) > 1 else None


def share_states(received: Sequence[ReceivedMask]) -> dict[str, float]:
    """Compute the share of messages in each state, 0..1."""
    counts = Counter(entry.bare.state for entry in received)
    return {state: count / len(received) for state, count in counts.most_common()}


@dataclass(frozen=True, slots=True, eq=False)
class JudgedMask:
    """Holds a message to show and how well it fits its target's true mask; without one both are None."""

    entry: ReceivedMask
    target: ScriptedTarget | None = None
    truth: Mask | None = None
    iou: float = 0.0

    @property
    def is_right(self) -> bool:
        """Whether the mask is the target's."""
        return self.iou >= RIGHT_IOU


def select_moments(
    received: Sequence[ReceivedMask], frames: int, targets: Sequence[ScriptedTarget], most: int = 12
) -> list[JudgedMask]:
    """Select the messages to show: each target's last one that has a true mask, of the last repetition.

    Without targets `most` evenly spaced ones. frames: the number in the clip; the device numbers on in repetitions.
    """
    if not targets:
        step = max(1, len(received) // most)
        return [JudgedMask(entry) for entry in received[step - 1 :: step][:most]]
    by_frame = {entry.bare.frame.index % frames: entry for entry in received}  # the last repetition wins
    chosen = []
    for target in targets:
        if known := [frame for frame in target.masks if frame in by_frame]:
            entry, truth = by_frame[known[-1]], target.masks[known[-1]]
            mask = entry.message.mask
            chosen.append(JudgedMask(entry, target, truth, 0.0 if mask is None else compute_iou(mask, truth)))
    return chosen


def clip_second(entry: ReceivedMask, frames: int, fps: float = FPS) -> float:
    """Convert a message's frame to seconds of the clip."""
    return (entry.bare.frame.index % frames) / fps
