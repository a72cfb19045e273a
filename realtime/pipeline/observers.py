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
from realtime.pipeline.control import UserCommand
from realtime.pipeline.publisher import MessageSender
from realtime.pipeline.tracker_log import TrackerCall
from realtime.tracking.keyframe import Keyframe
from realtime.types import Frame, GazeSample, MaskResult


@dataclass(frozen=True, slots=True)
class FrameResult:
    """A frame and the mask that fits it, for whoever draws; None while nothing was looked at yet."""

    frame: Frame
    result: MaskResult | None


class PipelineObserver:
    """Takes part in a run. Every method does nothing unless an heir has something to do."""

    name = "observer"
    """What it is called in `health`."""

    def on_engine(self, decoder: Decoder) -> None:
        """The engine is open; whoever uses its decoder waits for the tracker, and keeps each call short."""

    def on_keyframe(self, keyframe: Keyframe) -> None:
        """A frame was encoded; on the encoder's thread."""

    def on_frame(self, frame: Frame) -> None:
        """Every frame that came, before anything is done with it; on the source's thread."""

    def on_gaze(self, sample: GazeSample) -> None:
        """Every look that came, likewise."""

    def on_tracker_call(self, turn: TrackerCall) -> None:
        """All that the tracker was given, turn by turn; on its thread."""

    def on_message(self, topic: str, payload: bytes) -> None:
        """Every message that is published, without its topic and NUL; on any thread."""

    def on_mask(self, shown: FrameResult) -> None:
        """The newest frame with its mask, whenever there is time for it; on the overlay's thread."""

    def on_command(self, command: UserCommand, shown: FrameResult) -> None:
        """What a user asked for and the tracker has nothing to do with; on the tracker's thread."""

    def on_health(self, health: HealthMessage) -> None:
        """How it is, once a second."""

    def drop_counts(self) -> Mapping[str, int]:
        """What was lost here, by name, for `health`."""
        return {}

    def problem(self) -> str:
        """What is wrong here; empty if nothing is."""
        return ""


class MessageObserver(Protocol):
    """Is told of every message."""

    def on_message(self, topic: str, payload: bytes) -> None:
        """Take a message."""
        ...


class ObservedSender:
    """Sends, and lets observers have what is sent."""

    def __init__(self, inside: MessageSender, observers: Sequence[MessageObserver]) -> None:
        self._inside, self._observers = inside, observers

    def send(self, topic: str, payload: bytes) -> bool:
        """As the sender inside."""
        for observer in self._observers:
            observer.on_message(topic, payload)
        return self._inside.send(topic, payload)
