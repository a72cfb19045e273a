"""Compiles the decoder graphs of a first correction beside a run whose picture side is fixed.

Where the side follows the machine's speed, `AdaptiveEncoder` does so, after the graphs of other sides.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from engines.graphs import CORRECTION
from realtime.infra.threads import lower_priority
from realtime.pipeline.adaptive_encoder import AHEAD_NICE, PreparedDecoder

START_S = 5.0
"""The start has most of the work, and an object is seldom corrected before."""


def prepare_correction(
    decoder: PreparedDecoder, frame_size: Callable[[], tuple[int, int] | None], stopping: threading.Event
) -> None:
    """Compile the graphs when the start is over, for frames of (width, height); the body of a thread.

    A first click took 0.4 to 0.5 s without, on two cores of an Intel Xeon with AMX, and the keyframe after it as long.
    """
    lower_priority(AHEAD_NICE)
    if stopping.wait(START_S) or (size := frame_size()) is None:
        return
    for use in CORRECTION:
        if stopping.is_set():  # closing must not wait for more than one graph
            return
        decoder.prepare(size, None, (use,))
