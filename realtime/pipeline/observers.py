"""Who takes part in a run beside the loop: the page, a recording, a window, what is made of masks for others.

Each is told what happens and returns at once: what takes time is put into a `Latest` and done on a thread of its own.
What goes wrong with one is counted and told in `health`, and costs neither the loop nor the others anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from engines import Decoder
from realtime.comms import HealthMessage
from realtime.pipeline.control import Command
from realtime.pipeline.publisher import Sender
from realtime.pipeline.tracker_log import Turn
from realtime.tracking.keyframe import Keyframe
from realtime.types import Frame, GazeSample, MaskResult


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame and the mask that fits it, for whoever draws; None while nothing was looked at yet."""

    frame: Frame
    message: MaskResult | None


class Tap:
    """Takes part in a run. Every method does nothing unless an heir has something to do."""

    name = "tap"
    """What it is called in `health`."""

    def opened(self, decoder: Decoder) -> None:
        """The engine is open; whoever uses its decoder waits for the tracker, and keeps each call short."""

    def keyframe(self, keyframe: Keyframe) -> None:
        """A frame was encoded; on the encoder's thread."""

    def frame(self, frame: Frame) -> None:
        """Every frame that came, before anything is done with it; on the source's thread."""

    def look(self, sample: GazeSample) -> None:
        """Every look that came, likewise."""

    def turn(self, turn: Turn) -> None:
        """All that the tracker was given, turn by turn; on its thread."""

    def published(self, topic: str, payload: bytes) -> None:
        """Every message that is published, without its topic and NUL; on any thread."""

    def shown(self, shown: Shown) -> None:
        """The newest frame with its mask, whenever there is time for it; on the overlay's thread."""

    def command(self, command: Command, shown: Shown) -> None:
        """What a user asked for and the tracker has nothing to do with; on the tracker's thread."""

    def health(self, health: HealthMessage) -> None:
        """How it is, once a second."""

    def dropped(self) -> Mapping[str, int]:
        """What was lost here, by name, for `health`."""
        return {}

    def trouble(self) -> str:
        """What is wrong here; empty if nothing is."""
        return ""


class Published(Protocol):
    """Is told of every message."""

    def published(self, topic: str, payload: bytes) -> None:
        """Take a message."""
        ...


class Tee:
    """Sends, and lets taps have what is sent."""

    def __init__(self, inside: Sender, taps: Sequence[Published]) -> None:
        self._inside, self._taps = inside, taps

    def send(self, topic: str, payload: bytes) -> bool:
        """As the sender inside."""
        for tap in self._taps:
            tap.published(topic, payload)
        return self._inside.send(topic, payload)
