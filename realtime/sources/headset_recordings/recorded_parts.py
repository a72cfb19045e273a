"""Defines a part of a headset's scene video. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from realtime.sources.gaze_files.trace_values import Seconds


@dataclass(frozen=True, slots=True)
class VideoPart:
    """Holds a video file and the times of its frames, s on the headset's clock; None where the file itself has them."""

    path: Path
    times: Seconds | None
