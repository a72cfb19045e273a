"""The mask that is published: without specks and, where there is time for it, with its edge where the picture's is."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from realtime.tracking.mask_refinement import RefinementSettings, remove_small_regions, sharpen_edges
from realtime.tracking.motion import FlowChain
from realtime.tracking.running_mean import running_mean
from realtime.tracking.tracked_mask import TrackedMask
from realtime.types import Frame, Mask


class MaskFinisher:
    """Knows how long between two frames there is, and what an edge costs. One thread."""

    def __init__(
        self, clock_ns: Callable[[], int], settings: RefinementSettings, frame_share: float, *, hurry: bool
    ) -> None:
        """frame_share: of the time between frames, within which a mask must be done. hurry: whether time presses."""
        self._clock_ns, self._settings, self._share, self._hurry = clock_ns, settings, frame_share, hurry
        self._interval_ns, self._cost_ns = 0.0, 0.0  # running means

    @property
    def interval_ns(self) -> float:
        """Between two frames; 0 while that is not known."""
        return self._interval_ns

    def pace(self, before: Frame | None, frame: Frame) -> None:
        """Take note of when frames come."""
        if before is not None and frame.captured_ns > before.captured_ns:
            self._interval_ns = running_mean(self._interval_ns, frame.captured_ns - before.captured_ns)

    def finish(self, shown: TrackedMask, frame: Frame, chain: FlowChain | None) -> Mask:
        """(H, W) bool of the newest frame; `chain` goes from it to the mask's keyframe.

        A sharp edge on a frame that comes late is worth less than the next frame in time.
        """
        decode, begin_ns = shown.decode, self._clock_ns()
        late = begin_ns - frame.received_ns + self._cost_ns > self._share * self._interval_ns
        if late and self._hurry:
            # Cheaper on the working grid. The estimate fades, so that it is tried again when the load has gone.
            self._cost_ns *= 0.98
            w, h = shown.logits.shape[1] / frame.size[0], shown.logits.shape[0] / frame.size[1]
            small = remove_small_regions(
                shown.mask, (decode.point_px[0] * w, decode.point_px[1] * h), self._settings.speck
            )
            return np.asarray(cv2.resize(small.astype(np.float32), frame.size, interpolation=cv2.INTER_LINEAR) > 0.5)
        similarity = chain.similarity if chain is not None else None
        mask = sharpen_edges(shown.mask, frame.image, frame.index - decode.keyframe.index, similarity, self._settings)
        mask = remove_small_regions(mask, decode.point_px, self._settings.speck)
        self._cost_ns += 0.2 * (self._clock_ns() - begin_ns - self._cost_ns)
        return mask
