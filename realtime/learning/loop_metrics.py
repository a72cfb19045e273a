"""Measures the loop of looking and correcting: seconds and corrections a mask, and the share accepted. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from realtime.correction.events import AcceptEvent, CorrectionEvent
from realtime.correction.state import CorrectionState


@dataclass(frozen=True, slots=True)
class LoopMetrics:
    """Holds the number of masks that were answered, and the work that they took.

    masks: objects that were corrected, or accepted as they were. accepted: without any correction. seconds: spent.
    """

    masks: int = 0
    accepted: int = 0
    corrections: int = 0
    seconds: float = 0.0


def measure_loop(states: Iterable[CorrectionState]) -> LoopMetrics:
    """Measure the answers in force of some recordings; labels, which say nothing of time, do not count."""
    masks = accepted = corrections = 0
    seconds = 0.0
    for state in states:
        fixed = {event.object for event in state.corrections}
        seen = {event.object for event in state.answers if isinstance(event, AcceptEvent | CorrectionEvent)}
        masks, accepted, corrections = (
            masks + len(seen), accepted + len(seen - fixed), corrections + len(state.corrections)
        )  # fmt: skip
        seconds += sum(e.seconds for e in state.answers if isinstance(e, AcceptEvent | CorrectionEvent))
    return LoopMetrics(masks, accepted, corrections, seconds)
