"""Defines the observers of a run: the page, a recording, a window, outputs for other programs.

An observer returns from each call at once: it puts slow work into a `Latest` slot and does it on a thread of its own.
An exception in one is counted and reported in `health`; it affects neither the pipeline nor the other observers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engines import Decoder
from realtime.comms.messages import HealthMessage
from realtime.infra.heartbeat import Heartbeat
from realtime.pipeline.control import UserCommand
from realtime.pipeline.publisher import MessageSender
from realtime.pipeline.tracker_log import TrackerCall
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.word_search import WordState
from realtime.types import Frame, GazeSample, MaskResult


@dataclass(frozen=True, slots=True)
class FrameResult:
    """Holds a frame and the mask result that belongs to it; None before the first fixation."""

    frame: Frame
    result: MaskResult | None


class PipelineObserver:
    """A participant of a run beside the pipeline; every method does nothing until it is overridden."""

    name = "observer"
    """The stage name of its errors in `health`."""

    def on_engine(self, decoder: Decoder) -> None:
        """Receive the open engine's decoder, whose calls wait for the tracker; keep each call short."""

    def on_keyframe(self, keyframe: Keyframe) -> None:
        """Receive a new keyframe; on the encode thread."""

    def on_frame(self, frame: Frame) -> None:
        """Receive every frame before it is processed; on the source's thread."""

    def on_gaze(self, sample: GazeSample) -> None:
        """Receive every gaze sample before it is processed; on the source's thread."""

    def on_tracker_call(self, call: TrackerCall) -> None:
        """Receive every call of the tracker with its inputs; on the track thread."""

    def on_message(self, topic: str, payload: bytes) -> None:
        """Receive every published message, packed, without its topic and NUL; on any thread."""

    def on_mask(self, result: FrameResult) -> None:
        """Receive the newest frame with its mask, at the rate that the overlay thread reaches; on that thread."""

    def on_word(self, word: WordState | None) -> None:
        """Receive the word in force when it changes, or when it is found or lost; on the track thread."""

    def on_command(self, command: UserCommand, result: FrameResult) -> None:
        """Receive a command that is not the tracker's, with the newest result; on the track thread."""

    def on_health(self, health: HealthMessage) -> None:
        """Receive the state of the run, once a second and when it changes; on the health thread."""

    def drop_counts(self) -> Mapping[str, int]:
        """Return the numbers of dropped items by name, for `health`."""
        return {}

    def heartbeats(self) -> Sequence[Heartbeat]:
        """Return those of its threads, for `health`."""
        return ()

    def problem(self) -> str:
        """Return the present error, for `health`; empty if there is none."""
        return ""


class ObservedSender:
    """A message sender that passes each message to observers first."""

    def __init__(self, sender: MessageSender, observers: Sequence[PipelineObserver]) -> None:
        self._sender, self._observers = sender, observers

    def send(self, topic: str, payload: bytes) -> bool:
        """Pass a message to the observers, then send it; False when the sender is closed."""
        for observer in self._observers:
            observer.on_message(topic, payload)
        return self._sender.send(topic, payload)
