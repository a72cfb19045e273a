"""Corrects the shown mask by a user's clicks, which motion carries with the picture while the object is shown.

Clicks continue the decoder's conversation, as in `correction_prompt`: with the gaze point that prompted the mask, and
its logits. A box begins it anew: the middle of its mask takes the place of the gaze point, and of earlier clicks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from engines import Floats, Prompt
from realtime.errors import CommandRejected
from realtime.tracking.correction_prompt import Box, find_interior_point
from realtime.tracking.dwell.mask_points import Mapper, is_near
from realtime.tracking.gaze.estimate import GazeEstimate
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.motion.flow_chain import FlowChain
from realtime.tracking.motion.optical_flow import FlowHistory
from realtime.tracking.prompter import MaskPrompter, PromptResult
from realtime.tracking.tracked_mask import TrackedMask
from realtime.types import MAX_CLICKS, Click, LiveCorrection, Mask, MaskResult

Candidate = tuple[PromptResult, int]
"""A decode, and the index of one of its candidates."""


@dataclass(frozen=True, slots=True)
class _CarriedClick:
    """A click at its place in the newest frame, px. number: of the command that made it, 0 for the gaze point.

    is_support: the gaze point, or the middle of the mask that a box made; earlier clicks do not count any more.
    """

    x: float
    y: float
    label: int
    number: int
    is_support: bool = False

    def is_consistent(self, mask: Mask, size: tuple[int, int]) -> bool:
        """Return whether a mask of a frame of (width, height) has the click on the side that it demands."""
        column, row = (
            int((place + 0.5) * count / side)
            for place, count, side in zip((self.x, self.y), mask.shape[::-1], size, strict=True)
        )
        is_inside = 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1]
        return is_inside and bool(mask[row, column]) == bool(self.label)


class MaskCorrector:
    """Holds the clicks on the shown object, and decodes the mask that they make. One thread."""

    def __init__(self, prompter: MaskPrompter, motion: FlowHistory) -> None:
        self._prompter, self._motion = prompter, motion
        self._count = 0
        self.reset()

    def reset(self) -> None:
        """Forget all clicks, as where another object is shown."""
        self._clicks: list[_CarriedClick] = []
        self._object: int | None = None
        self._onset_ns: int | None = None  # of the fixation of the last click
        self._before: list[tuple[int, TrackedMask]] = []  # of each correction, its number and the mask before

    @property
    def is_active(self) -> bool:
        """Whether the shown mask is a corrected one."""
        return bool(self._before)

    def move(self, mapping: Mapper) -> None:
        """Carry the clicks to the newest frame; those whose motion is unknown are dropped."""
        if self._clicks:
            places = mapping(np.array([(click.x, click.y) for click in self._clicks], np.float64))
            moved = zip(self._clicks, places.tolist(), strict=True)
            self._clicks = [replace(click, x=x, y=y) for click, (x, y) in moved if np.isfinite(x + y)]

    def update(self, result: MaskResult | None) -> LiveCorrection | None:
        """Forget the clicks where the object is lost or another one is shown; return what is in force."""
        if self._object is not None and (
            result is None or result.object != self._object or result.state == "lost" or result.is_guess
        ):
            self.reset()
        if self._object is None:
            return None
        own = [click for click in self._in_force if not click.is_support]
        return LiveCorrection(
            max((click.number for click in self._clicks), default=0),
            tuple((round(click.x, 1), round(click.y, 1), 1 if click.label else 0) for click in own),
        )

    def correct(
        self,
        clicks: Sequence[Click],
        frame_index: int | None,
        shown: TrackedMask | None,
        object_id: int,
        keyframe: Keyframe | None,
    ) -> Candidate:
        """Add clicks on the shown mask and decode, on the keyframe, the mask that all of them make.

        frame_index: see `Tracker.correct`. Raises `CommandRejected`.
        """
        if self._object != object_id:
            self.reset()
        if shown is None or not clicks or len(self._clicks) + len(clicks) >= MAX_CLICKS:
            raise CommandRejected(f"expected a shown object, and 1 to {MAX_CLICKS - 1} clicks on it")
        places = self._locate(clicks, frame_index)
        self._begin(shown, object_id)
        self._clicks += [_CarriedClick(*place, number=self._count) for place in places]
        return self._decode(shown, keyframe, is_continued=True)

    def correct_by_box(
        self, box: Box, frame_index: int | None, shown: TrackedMask | None, object_id: int, keyframe: Keyframe | None
    ) -> Candidate:
        """Decode the object in a box anew, on the keyframe. box: x0, y0, x1, y1 px of a frame, see `correct`.

        Raises `CommandRejected`.
        """
        if self._object != object_id:
            self.reset()
        if shown is None or len(self._clicks) + 1 >= MAX_CLICKS:
            raise CommandRejected("expected a shown object to correct")
        chain = self._chain_to(keyframe)
        assert keyframe is not None
        prompt = Prompt.box(*self._move_box(box, frame_index, chain, keyframe.size))
        answer = self._prompter.decode_clicks(prompt, shown.prompt_result, keyframe)
        mask = np.asarray(answer.candidates.letterbox.logits_to_picture(answer.candidates.logits[0]) > 0)
        if not mask.any():
            raise CommandRejected("no object was found in the box")
        ((x, y),) = chain.to_now(np.array([find_interior_point(mask)], np.float32)).tolist()
        self._begin(shown, object_id)
        self._clicks.append(_CarriedClick(x, y, 1, self._count, is_support=True))
        self._prompter.clear_mask_prompt()
        return answer, 0

    def _begin(self, shown: TrackedMask, object_id: int) -> None:
        """Begin a correction, with the gaze point where there was none before."""
        self._object, self._onset_ns, self._count = object_id, shown.prompt_result.onset_ns, self._count + 1
        if not self._clicks:
            self._clicks = [_CarriedClick(*shown.provenance.point_px, 1, 0, is_support=True)]
        self._before.append((self._count, shown))

    @property
    def _in_force(self) -> list[_CarriedClick]:
        """The clicks since the last box, after the middle of its mask; without a box, all."""
        begin = max((k for k, click in enumerate(self._clicks) if click.is_support), default=0)
        return self._clicks[begin:]

    def undo(self, shown: TrackedMask | None, keyframe: Keyframe | None, *, is_all: bool) -> Candidate:
        """Take back the last clicks, or all of them, and return the mask without them.

        Raises `CommandRejected` without any clicks.
        """
        if not self.is_active or shown is None:
            raise CommandRejected("there is no correction to take back")
        number, before = self._before[0 if is_all else -1]
        self._before = [each for each in self._before if each[0] < number]
        self._clicks = [each for each in self._clicks if each.number < number]
        self._prompter.clear_mask_prompt()
        if (
            max((click.number for click in self._clicks), default=0)
            and self._motion.chain(before.provenance.keyframe.index) is None
        ):
            return self._decode(shown, keyframe, is_continued=False)
        if not self.is_active:
            self._clicks = []
        return before.prompt_result, before.index

    def _chain_to(self, keyframe: Keyframe | None) -> FlowChain:
        chain = self._motion.chain(keyframe.index) if keyframe is not None else None
        if chain is None:
            raise CommandRejected("there is no keyframe to correct on")
        return chain

    def _locate(self, clicks: Sequence[Click], frame_index: int | None) -> list[Click]:
        """Bring clicks to the newest frame."""
        index = self._motion.now if frame_index is None else frame_index
        chain = self._motion.chain(index) if index is not None else None
        if chain is None:
            raise CommandRejected(f"frame {index} is not known any more")
        width, height = chain.size
        if any(not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5) for x, y, _ in clicks):
            raise CommandRejected(f"a click is outside the picture of {width} x {height} px")
        if frame_index is None:
            return list(clicks)
        places = chain.to_now(np.array([click[:2] for click in clicks], np.float32)).tolist()
        return [(x, y, click[2]) for (x, y), click in zip(places, clicks, strict=True)]

    def _move_box(
        self, box: Box, frame_index: int | None, chain: FlowChain, size: tuple[int, int]
    ) -> tuple[float, float, float, float]:
        """Move a box to the keyframe as most of its points move; of (width, height), the part inside the picture."""
        x0, y0, x1, y1 = box
        grid: list[Click] = [
            (x, y, 1) for y in np.linspace(y0, y1, 5).tolist() for x in np.linspace(x0, x1, 5).tolist()
        ]
        places = np.array([place[:2] for place in self._locate(grid, frame_index)], np.float32)
        shifts = chain.to_then(places) - np.array([place[:2] for place in grid], np.float32)
        known = shifts[np.isfinite(shifts).all(1)]
        shift = np.median(known, 0) if len(known) else np.zeros(2)
        moved = np.clip(np.array([(x0, y0), (x1, y1)]) + shift, 0, np.array(size) - 1)
        (x0, y0), (x1, y1) = moved.tolist()
        return x0, y0, x1, y1

    def should_keep(
        self, estimate: GazeEstimate | None, shown: TrackedMask | None, frame_size: tuple[int, int]
    ) -> bool:
        """Return whether the corrected mask stays: the gaze is near it, or in the fixation of the last click."""
        if not self.is_active or estimate is None or shown is None:
            return False
        is_same = estimate.onset_ns == self._onset_ns
        return is_same or is_near(shown.mask, frame_size, estimate.point_px, estimate.radius_px)

    def list_consistent(self, shown: TrackedMask | None, frame_size: tuple[int, int]) -> tuple[Floats, list[int]]:
        """List places, (N, 2) px of the newest frame, and labels of the clicks that the shown mask agrees with.

        A mask is prompted again with these alone: a click on the background is in the way where the object has moved.
        """
        kept = [] if shown is None else [each for each in self._in_force if each.is_consistent(shown.mask, frame_size)]
        return np.array([(each.x, each.y) for each in kept], np.float32).reshape(-1, 2), [each.label for each in kept]

    def _decode(self, shown: TrackedMask, keyframe: Keyframe | None, *, is_continued: bool) -> Candidate:
        """Decode all clicks on a keyframe, with the logits of the shown mask where it was decoded there."""
        chain = self._chain_to(keyframe)
        assert keyframe is not None
        clicks = self._in_force
        places = chain.to_then(np.array([(click.x, click.y) for click in clicks], np.float32))
        places = np.clip(places, 0, np.array(keyframe.size, np.float32) - 1)
        result = shown.prompt_result
        logits = result.candidates.logits[shown.index] if is_continued and result.keyframe is keyframe else None
        prompt = Prompt(places, np.array([click.label for click in clicks], np.int8), mask_logits=logits)
        self._prompter.clear_mask_prompt()
        return self._prompter.decode_clicks(prompt, result, keyframe), 0
