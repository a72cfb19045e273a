"""Sums up what a review cost and gave, in the figures of Segment Anything's data engine. Pure.

Kirillov et al., "Segment Anything", ICCV 2023, section 4: seconds a mask, and how much of the model's work was kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass

from realtime.correction.events import AcceptEvent, CorrectionEvent, LabelEvent
from realtime.correction.state import CorrectionState


@dataclass(frozen=True, slots=True)
class LoopMetrics:
    """Holds the figures of a review.

    accepted: visits whose masks were right as they were. corrected: masks that were corrected in their own frame.
    carried: masks that were moved from those to other frames.
    corrections: clicks, boxes, strokes and choices in force. dropped: objects. seconds: spent, undone answers included.
    imported: masks that came from other programs, which cost no time here.
    """

    accepted: int = 0
    corrected: int = 0
    carried: int = 0
    corrections: int = 0
    dropped: int = 0
    imported: int = 0
    seconds: float = 0.0

    @property
    def masks(self) -> int:
        """The number of masks that a person answered."""
        return self.accepted + self.corrected

    @property
    def seconds_a_mask(self) -> float | None:
        """Seconds for each answered mask; None without one."""
        return self.seconds / self.masks if self.masks else None

    @property
    def corrections_a_mask(self) -> float | None:
        """Corrections for each answered mask; None without one."""
        return self.corrections / self.masks if self.masks else None

    @property
    def accepted_share(self) -> float | None:
        """Share of the answered masks that needed no correction; None without one."""
        return self.accepted / self.masks if self.masks else None

    def describe(self) -> list[str]:
        """Describe the figures in lines of text."""
        if not self.masks:
            return ["no mask was accepted or corrected yet"]
        return [
            f"{self.masks} masks answered: {self.accepted} accepted as they were, {self.corrected} corrected",
            f"{self.seconds_a_mask:.1f} s a mask, {self.corrections_a_mask:.2f} corrections a mask, "
            f"{self.accepted_share:.0%} accepted",
            f"{self.carried} masks of other frames followed; {self.imported} imported, {self.dropped} objects dropped",
        ]


def measure_loop(states: Iterable[CorrectionState]) -> LoopMetrics:
    """Measure the reviews of some recordings by their answers."""
    found = [_measure_review(state) for state in states]
    return LoopMetrics(*(sum(values) for values in zip(*map(astuple, found), strict=True))) if found else LoopMetrics()


def _measure_review(state: CorrectionState) -> LoopMetrics:
    answers, corrections = state.answers, state.corrections
    own, imported = (
        [event for event in corrections if (event.means == "import") == is_imported] for is_imported in (False, True)
    )
    keep = {event.object: event.keep for event in answers if isinstance(event, LabelEvent)}
    timed = [event for event in state.events if isinstance(event, CorrectionEvent | AcceptEvent)]
    return LoopMetrics(
        accepted=len({(event.object, event.first) for event in answers if isinstance(event, AcceptEvent)}),
        corrected=len({(event.object, event.frame) for event in own}),
        carried=sum(mask.is_carried for frame in state.masks.values() for mask in frame.values()),
        corrections=len(own), dropped=sum(not kept for kept in keep.values()),
        imported=len({(event.object, event.frame) for event in imported}),
        seconds=sum(event.seconds for event in timed),
    )  # fmt: skip
