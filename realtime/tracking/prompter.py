"""From a look to the decoder's answer on the newest keyframe: where the thing was then, one decode, and a vote.

A look that lasts is asked about once a keyframe. The first decode answers at once; a vote of points within the gaze's
error, decoded when nothing else waits, tells how much of that answer hangs on the very point.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from engines import Decoder, Floats, MaskCandidates, Prompt
from realtime.tracking.gaze import GazeEstimate
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.mask_selection import compute_support
from realtime.tracking.motion import FlowChain
from realtime.types import GazeSample

MAX_SAMPLES = 1024
"""Samples remembered, 2.5 s at 400 Hz: longer than a keyframe takes to encode."""


@dataclass(frozen=True, slots=True)
class PrompterSettings:
    """How looks become prompts.

    keyframe_gaze_s: samples this close round a keyframe's time, together, say where the eyes were in it; a frame's
        exposure and interval are about as long.
    reprompt_radii: a look that has moved on its object by so many error radii is asked about anew.
    voters: how many more points within the error radius vote on an answer; 0 for none. The decoder's batches hold 4.
    """

    keyframe_gaze_s: float = 0.05
    reprompt_radii: float = 0.5
    voters: int = 3

    def __post_init__(self) -> None:
        """Refuse what no decoder takes at once."""
        if not 0 <= self.voters <= 7:
            raise ValueError(f"voters must be 0 to 7, got {self.voters}")


@dataclass(frozen=True, slots=True, eq=False)
class PromptResult:
    """What the decoder said to one prompt on one keyframe.

    sample, keyframe_px: the gaze behind the prompt, and where it was put in the keyframe, px.
    support: (K,) of each candidate by the voters, 0..1; None before the vote.
    decode_ns: begin and end, host.
    has_box: whether a box went with the point; candidates do not reach beyond it.
    """

    keyframe: Keyframe
    onset_ns: int
    sample: GazeSample
    keyframe_px: tuple[float, float]
    radius_px: float
    candidates: MaskCandidates
    decode_ns: tuple[int, int]
    support: Floats | None = None
    has_box: bool = False

    def area(self, index: int) -> int:
        """Of one of the candidates, in logits."""
        return int(np.count_nonzero(self.candidates.logits[index] > 0))


class MaskPrompter:
    """Remembers the gaze and the last answer. One thread."""

    def __init__(self, decoder: Decoder, clock_ns: Callable[[], int], settings: PrompterSettings) -> None:
        self._decoder, self._clock_ns, self._settings = decoder, clock_ns, settings
        self._recent: deque[tuple[GazeSample, float, float]] = deque(maxlen=MAX_SAMPLES)  # px of their own time
        self._answer: PromptResult | None = None
        self._again: PromptResult | None = None

    def reset(self) -> None:
        """Forget everything, as after a change of source."""
        self._recent.clear()
        self._answer = self._again = None

    def add_sample(self, sample: GazeSample, x: float, y: float) -> None:
        """Take a valid sample; x and y are pixels of the frame of its own time."""
        self._recent.append((sample, x, y))

    def decode_gaze(self, look: GazeEstimate, keyframe: Keyframe, chain: FlowChain) -> PromptResult:
        """The answer for this look on this keyframe: the one it gave before, if the prompt is still that.

        chain: from the newest frame to the keyframe.
        """
        sample, then_px = self._point_then(look, keyframe, chain)
        answer = self._answer
        if (
            answer is not None
            and answer.keyframe is keyframe
            and answer.onset_ns == look.onset_ns
            and math.dist(answer.keyframe_px, then_px) <= self._settings.reprompt_radii * look.radius_px
        ):
            return answer
        begin_ns = self._clock_ns()
        candidates = self._decoder.decode(keyframe.embedding, [Prompt.click(*then_px)])[0]
        decode_ns = (begin_ns, self._clock_ns())
        self._answer = PromptResult(keyframe, look.onset_ns, sample, then_px, look.radius_px, candidates, decode_ns)
        return self._answer

    def decode_mask_prompt(
        self, prompt: Prompt, sample: GazeSample, radius_px: float, keyframe: Keyframe
    ) -> PromptResult:
        """The answer for a thing that is kept, once a keyframe.

        prompt: with its point first. sample, radius_px: of the look that it was found by.
        """
        if self._again is None or self._again.keyframe is not keyframe:
            begin_ns = self._clock_ns()
            candidates = self._decoder.decode(keyframe.embedding, [prompt])[0]
            decode_ns = (begin_ns, self._clock_ns())
            x, y = map(float, prompt.points_px[0])
            self._again = PromptResult(keyframe, 0, sample, (x, y), radius_px, candidates, decode_ns, has_box=True)
        return self._again

    def decode_point(self, answer: PromptResult) -> PromptResult:
        """The answer to its point alone, which may as well mean something larger."""
        begin_ns = self._clock_ns()
        candidates = self._decoder.decode(answer.keyframe.embedding, [Prompt.click(*answer.keyframe_px)])[0]
        return replace(answer, candidates=candidates, decode_ns=(begin_ns, self._clock_ns()), has_box=False)

    def clear_mask_prompt(self) -> None:
        """What was kept is not any more, or something else is."""
        self._again = None

    def vote(self) -> bool:
        """Have the last answer voted on, if it was not; a few milliseconds. False when there was nothing to do."""
        answer, count = self._answer, self._settings.voters
        if answer is None or answer.support is not None or count == 0:
            return False
        turns = np.arange(count) * (2 * np.pi / count)
        round_it = answer.keyframe_px + answer.radius_px * np.stack([np.cos(turns), np.sin(turns)], 1)
        points = np.clip(round_it, 0, np.array(answer.keyframe.size) - 1.0)
        others = self._decoder.decode(answer.keyframe.embedding, [Prompt.click(*map(float, point)) for point in points])
        self._answer = replace(answer, support=compute_support(answer.candidates, others))
        return True

    def _point_then(
        self, look: GazeEstimate, keyframe: Keyframe, chain: FlowChain
    ) -> tuple[GazeSample, tuple[float, float]]:
        """The sample that says where the thing looked at was in the keyframe, and the place.

        Eyes that have rested on it since before the keyframe say so themselves, better than any flow can: they follow
        it. Only what was looked at later has to be carried back.
        """
        half_ns = round(self._settings.keyframe_gaze_s * 5e8)
        about = [
            (sample, x, y)
            for sample, x, y in self._recent
            if abs(sample.captured_ns - keyframe.captured_ns) <= half_ns and sample.captured_ns >= look.onset_ns
        ]
        if about and look.onset_ns <= keyframe.captured_ns:
            x, y = map(float, np.median([(x, y) for _, x, y in about], axis=0))
            sample = min(about, key=lambda item: abs(item[0].captured_ns - keyframe.captured_ns))[0]
        else:
            x, y = map(float, chain.to_then(np.array([look.point_px], np.float32))[0])
            sample = look.sample
        return sample, (min(max(x, 0.0), keyframe.size[0] - 1.0), min(max(y, 0.0), keyframe.size[1] - 1.0))
