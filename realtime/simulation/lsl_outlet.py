"""Sends simulated gaze as a stream of the Lab Streaming Layer, as the bridge of a tracker does."""

from __future__ import annotations

import pylsl

from realtime.infra.clock import now_ns
from realtime.sources.lsl.library import silence_library

CHANNELS = (("x", "ScreenX", "pixels"), ("y", "ScreenY", "pixels"), ("confidence", "Confidence", "normalized"))
"""Labels, types and units of the channels, of both eyes, in the scene camera's picture."""


class LslGazeOutlet:
    """An LSL outlet of type `Gaze`: x, y in px of the frames, and confidence, at an irregular rate."""

    def __init__(self, name: str) -> None:
        """name: of the stream, also its source id, by which programs find it again."""
        silence_library()
        info = pylsl.StreamInfo(name, "Gaze", len(CHANNELS), pylsl.IRREGULAR_RATE, pylsl.cf_float32, name)
        channels = info.desc().append_child("channels")
        for label, kind, unit in CHANNELS:
            channel = channels.append_child("channel")
            for key, value in (
                ("label", label),
                ("eye", "both"),
                ("type", kind),
                ("unit", unit),
                ("coordinate_system", "world"),
            ):
                channel.append_child_value(key, value)
        self._outlet = pylsl.StreamOutlet(info)

    def send(self, x: float, y: float, confidence: float, captured_ns: int) -> None:
        """Send a sample that was captured at this host time."""
        age_s = (now_ns() - captured_ns) / 1e9
        self._outlet.push_sample([x, y, confidence], pylsl.local_clock() - age_s)
