"""Reads depth recorded beside a clip, from a folder of images or from a 16-bit video."""

from __future__ import annotations

import bisect
import csv
import io
import math
import re
from collections import deque
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration import CalibrationError
from calibration.objects.cloud import Depth
from calibration.text import to_utf8
from engines.pictures import PictureError, list_pictures, read_picture
from realtime.errors import SourceError
from realtime.sources.base import SourceMonitor
from realtime.sources.depth import DepthFrame, DepthScale, choose_scale, clean_depth
from realtime.sources.video.file_decoder import depth_frames
from realtime.sources.video.video_file import PlaybackClock
from realtime.types import Frame, SourceStatus

_TIMES = "timestamps.csv"


class _RecordedDepth:
    """A `DepthSource` that reads on request, on the clock of a clip, without a thread."""

    def __init__(self, path: Path, clock: PlaybackClock, scale_m: DepthScale) -> None:
        self._path, self._clock, self._scale_m = path, clock, choose_scale(scale_m)
        self._monitor = SourceMonitor("connecting", f"opening {path}")

    def start(self) -> None:
        """Set the state; no thread runs."""
        self._monitor.set_state("running")

    def stop(self) -> None:
        """Do nothing; no thread runs."""

    def status(self) -> SourceStatus:
        """Return state and counts; `dropped` counts unreadable images, and frames without near depth."""
        return self._monitor.status()

    def _clip_time(self, frame: Frame) -> tuple[int, float]:
        """Return the pass of the clip, and seconds since the pass began."""
        if not self._clock.period_s:
            return 0, frame.timestamp
        number, clip_s = divmod(frame.timestamp, self._clock.period_s)
        return int(number), clip_s


class FileDepth(_RecordedDepth):
    """A `DepthSource` that reads a folder of 16-bit PNGs or float TIFFs beside a clip.

    The time of an image, seconds since the clip's first frame, is listed by `timestamps.csv` in the folder
    (`name,timestamp`); else it is the number in its name over `fps`, counted from the lowest number, so that a folder
    may have every third frame only. The only image of a folder is a still, valid for the whole clip. A repeated clip
    starts again.
    """

    def __init__(self, path: Path, clock: PlaybackClock, fps: float, scale_m: DepthScale = "auto") -> None:
        """scale_m: of 16-bit images. Raises `SourceError` unless there are images, with depth in the first."""
        super().__init__(path, clock, scale_m)
        if not path.is_dir():
            raise SourceError(f"there is no folder {path}; depth is a folder of 16-bit PNGs (mm) or float TIFFs (m)")
        files = list_pictures(path, (".png", ".tif", ".tiff"))
        if not files:
            raise SourceError(f"{path} holds no depth; expected 16-bit PNGs (millimetres) or float TIFFs (metres)")
        table = path / _TIMES
        times = _read_times(table, files) if table.is_file() else _compute_times(files, fps)
        self._times = sorted(times)
        self._still = len(files) == 1
        self._last: tuple[Path, Depth, float | None] | None = None
        self.size = _read_image(self._times[0][1], self._scale_m)[0].shape[1::-1]

    def find_nearest(self, frame: Frame, tolerance_s: float, wait_s: float) -> DepthFrame | None:
        """Find as in `DepthSource`; never waits."""
        clip_s = self._clip_time(frame)[1]
        index = bisect.bisect(self._times, (clip_s,))
        near = [self._times[i] for i in (index - 1, index) if 0 <= i < len(self._times)]
        at_s, path = min(near, key=lambda entry: abs(entry[0] - clip_s))
        apart_s = 0.0 if self._still else at_s - clip_s
        if abs(apart_s) > tolerance_s:
            self._monitor.count_dropped("no depth near")
            return None
        if self._last is None or self._last[0] != path:
            try:
                self._last = path, *_read_image(path, self._scale_m)
            except SourceError:
                self._monitor.count_dropped("unreadable")
                return None
            self._monitor.count_received()
        times = frame.timestamp + apart_s, frame.captured_ns + round(apart_s * 1e9), apart_s
        return DepthFrame(self._last[1], *times, self._last[2])


class VideoDepth(_RecordedDepth):
    """A `DepthSource` that reads a video with 16 bits per pixel, in millimetres, beside a clip."""

    def __init__(self, path: Path, clock: PlaybackClock, scale_m: DepthScale = "auto") -> None:
        """scale_m: metres of one step of 16 bits. Raises `SourceError` unless a first image can be read."""
        super().__init__(path, clock, scale_m)
        self._frames, self._pass = depth_frames(path), 0
        first = next(self._frames)
        self.size = first[1].shape[1], first[1].shape[0]
        self._near: deque[tuple[float, NDArray[np.uint16]]] = deque([first], maxlen=2)

    def find_nearest(self, frame: Frame, tolerance_s: float, wait_s: float) -> DepthFrame | None:
        """Find as in `DepthSource`; reads forward only, except when the clip starts again."""
        number, clip_s = self._clip_time(frame)
        if number != self._pass:
            self._pass, self._frames = number, depth_frames(self._path)
            self._near.clear()
        try:
            while not self._near or self._near[-1][0] < clip_s:
                found = next(self._frames, None)
                if found is None:
                    break
                self._monitor.count_received()
                self._near.append(found)
        except SourceError as error:
            self._monitor.set_state("failed", str(error))
        at_s, image = min(self._near, key=lambda entry: abs(entry[0] - clip_s), default=(math.inf, None))
        if image is None or abs(at_s - clip_s) > tolerance_s:
            self._monitor.count_dropped("no depth near")
            return None
        apart_s = at_s - clip_s
        captured_ns = frame.captured_ns + round(apart_s * 1e9)
        depth = clean_depth(image, self._scale_m)
        return DepthFrame(depth, frame.timestamp + apart_s, captured_ns, apart_s, self._scale_m)


def _compute_times(files: list[Path], fps: float) -> list[tuple[float, Path]]:
    numbers = [re.findall(r"\d+", path.stem) for path in files]
    if len(files) > 1 and not all(numbers):
        path = next(path for path, found in zip(files, numbers, strict=True) if not found)
        raise SourceError(f"{path} has no number in its name; expected the frame's, or a {_TIMES} with name,timestamp")
    counted = [int(found[-1]) if found else 0 for found in numbers]
    if len(set(counted)) < len(counted):
        raise SourceError(f"{files[0].parent} has two depth pictures of one number; expected one for each frame")
    return [((number - min(counted)) / fps, path) for number, path in zip(counted, files, strict=True)]


def _read_times(table: Path, files: list[Path]) -> list[tuple[float, Path]]:
    names = {path.name: path for path in files}
    found = []
    try:
        with io.StringIO(to_utf8(table.read_bytes()).decode(), newline="") as file:
            for row in csv.DictReader(file):
                if row.get("name") in names:
                    found.append((float(row["timestamp"]), names[row["name"]]))
    except (OSError, ValueError, KeyError, TypeError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{table} is not read ({error}); expected columns name,timestamp (seconds)") from None
    if not found or not all(math.isfinite(at_s) for at_s, _ in found):
        raise SourceError(f"{table} has no time of any picture beside it; expected columns name,timestamp (seconds)")
    return found


def _read_image(path: Path, scale_m: float) -> tuple[Depth, float | None]:
    """Read a depth image, and the scale that was used; raises `SourceError` for a file without one."""
    try:
        pixels = read_picture(path, cv2.IMREAD_UNCHANGED)
        return clean_depth(pixels, scale_m), scale_m if pixels.dtype == np.uint16 else None
    except PictureError as error:
        raise SourceError(str(error)) from None
    except CalibrationError as error:
        raise SourceError(f"{path}: {error}") from None
