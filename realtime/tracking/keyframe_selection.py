"""Selects the frames to encode: those whose picture differs from the newest keyframe. Pure.

The encoder is the slowest part and encodes the newest selected frame whenever it is free; the selection only avoids
encoding a still picture twice.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.tracking.setting_checks import check_settings

THUMB = (32, 18)


@dataclass(frozen=True, slots=True)
class KeyframeSettings:
    """Thresholds for a changed picture.

    changed_levels: a picture has changed when a 32nd of its width changed by this many grey levels on average; noise
        and compression of a still scene stay well below 1 on so large a block.
    remember: largest age of a keyframe, in frames.
    """

    changed_levels: float = 2.0
    remember: int = 256

    def __post_init__(self) -> None:
        """Check every setting."""
        check_settings(self, may_be_zero=("changed_levels",))


class KeyframeSelector:
    """Compares a thumbnail of every frame with that of the newest keyframe. One thread."""

    def __init__(self, settings: KeyframeSettings | None = None) -> None:
        self._settings = settings or KeyframeSettings()
        self._thumbs: OrderedDict[int, NDArray[np.float32]] = OrderedDict()

    def reset(self) -> None:
        """Forget everything, as after a change of source."""
        self._thumbs.clear()

    def should_encode(self, index: int, grey: NDArray[np.uint8], keyframe_index: int | None) -> bool:
        """Return whether frame `index` differs from the frame that was encoded last.

        grey: (h, w) of the frame, on any grid, the same for all. keyframe_index: None while there is no keyframe.
        """
        # In floats: rounding is not change.
        thumb = np.asarray(cv2.resize(grey.astype(np.float32), THUMB, interpolation=cv2.INTER_AREA), np.float32)
        self._thumbs[index] = thumb
        while len(self._thumbs) > self._settings.remember:
            self._thumbs.popitem(last=False)
        encoded = self._thumbs.get(keyframe_index) if keyframe_index is not None else None
        return encoded is None or float(np.abs(thumb - encoded).max()) >= self._settings.changed_levels
