"""Reads the scene video of a headset's recording: all its parts, each frame at its recorded time."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines import Image
from realtime.errors import SourceError
from realtime.sources.gaze_files.trace_values import Seconds
from realtime.sources.headset_recordings.recorded_parts import VideoPart
from realtime.sources.video.video_reader import VideoFile

GAP_S = 1.0
"""A longer time without frames is reported."""
MIN_SHARE = 0.9
"""Share of the times for which there must be frames; a shorter video was cut off."""
log = logging.getLogger(__name__)


class SceneVideo:
    """A scene video of one or several files, read as a `VideoFile` is; seconds count from its first frame.

    start_s: time of the first frame on the headset's clock; 0 where the video has its own times.
    """

    def __init__(self, folder: Path, parts: Sequence[VideoPart], *, hwaccel: str = "none") -> None:
        """Raises `SourceError` unless a part can be played; others are left out, with a warning."""
        self.path, self.undecodable = folder, 0
        self._parts = _open_parts(parts, hwaccel)
        clip = self._parts[0][0]
        self.size = clip.size
        times = [part_times for _, part_times, _ in self._parts if part_times is not None]
        if not times:
            self.start_s, self.fps, self.duration_s = 0.0, clip.fps, clip.duration_s
            return
        kept = np.concatenate([part_times[is_used] for _, part_times, is_used in self._parts if part_times is not None])
        self.start_s = float(kept[0])
        steps = np.diff(kept)
        self.fps = float(np.clip(1 / np.median(steps), 0.1, 1000)) if len(steps) else clip.fps
        self.duration_s = float(kept[-1]) - self.start_s + 1 / self.fps
        for at in np.flatnonzero(steps > GAP_S):
            first_s, last_s = kept[at] - self.start_s, kept[at + 1] - self.start_s
            log.warning("%s has no frames from %.1f to %.1f s", folder, first_s, last_s)

    @property
    def is_incomplete(self) -> bool:
        """Whether a part was cut off, as is known when it was read to its end."""
        return any(clip.is_incomplete for clip, _, _ in self._parts)

    def frames(self) -> Iterator[tuple[float, Image]]:
        """Yield (seconds since the first frame, (H, W, 3) BGR) of all parts; each call reads from the start."""
        for clip, times, is_used in self._parts:
            before = clip.undecodable
            for count, (at_s, image) in enumerate(clip.frames()):
                number = count + clip.undecodable - before
                if times is None:
                    yield at_s, image
                elif number < len(times) and is_used[number] and image.shape[1::-1] == self.size:
                    yield float(times[number]) - self.start_s, image
                else:
                    self.undecodable += 1
            self.undecodable += clip.undecodable - before


Part = tuple[VideoFile, Seconds | None, NDArray[np.bool_]]


def _open_parts(parts: Sequence[VideoPart], hwaccel: str) -> list[Part]:
    """Open the videos; returns each with its times and whether these are used."""
    opened: list[Part] = []
    reasons = []
    last_s = -np.inf
    for part in parts:
        try:
            clip = VideoFile(part.path, hwaccel=hwaccel)
        except SourceError as error:
            reasons.append(str(error))
            continue
        if part.times is None:
            opened.append((clip, None, np.ones(0, np.bool_)))
            continue
        is_used = _find_rising(part.times, last_s)
        if not is_used.all():
            log.warning("%s: %d frames are not later than the one before and are left out", part.path, (~is_used).sum())
        if not is_used.any():
            continue
        last_s = float(part.times[is_used][-1])
        count = round(clip.duration_s * clip.fps) if clip.duration_s is not None else len(part.times)
        if count < MIN_SHARE * len(part.times):
            log.warning("%s has %d frames of %d that were recorded; it was cut off", part.path, count, len(part.times))
        opened.append((clip, part.times, is_used))
    if not opened:
        raise SourceError("; ".join(reasons))
    for reason in reasons:
        log.warning("a part of the scene video is left out: %s", reason)
    return opened


def _find_rising(times: Seconds, after_s: float) -> NDArray[np.bool_]:
    """Return which frames are later than all before; a first one later than the second was broken when recorded."""
    times = np.array(times)
    if len(times) > 1 and times[0] >= times[1]:
        times[0] = -np.inf
    latest = np.maximum.accumulate(np.concatenate([[after_s], times[:-1]]))
    return np.asarray(times > latest)
