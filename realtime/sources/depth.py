"""Depth for frames: matched by time, from a recording beside a clip, from a device, or as somebody hands it over.

A `DepthFrame` is float32 metres along the camera's axis, 0 where nothing was measured. Files and messages may have
uint16 millimetres or float32 metres (ROS's 16UC1 and 32FC1, REP 118).
"""

from __future__ import annotations

import bisect
import csv
import math
import re
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration import CalibrationError
from calibration.objects import Depth, convert_to_metres
from realtime.errors import SourceError
from realtime.infra.clock import now_ns
from realtime.sources.base import SourceMonitor
from realtime.sources.opencv_capture import depth_frames
from realtime.sources.video_file import PlaybackClock
from realtime.types import Frame, SourceStatus

MAX_KEPT_FRAMES = 8
"""Depth frames of a live source that are remembered; a quarter of a second at 30 Hz."""
MAX_DEPTH_M = 100.0
_TIMES = "timestamps.csv"


@dataclass(frozen=True, slots=True, eq=False)
class DepthFrame:
    """(H, W) float32 m, 0 for none. timestamp: seconds on its source's clock; apart_s: from the frame asked for."""

    depth: Depth
    timestamp: float
    captured_ns: int
    apart_s: float = 0.0


@runtime_checkable
class DepthSource(Protocol):
    """Gives the depth image that belongs to a frame. Started once; `stop` ends it within a second."""

    def start(self) -> None:
        """Begin to receive."""
        ...

    def stop(self) -> None:
        """End; twice is fine."""
        ...

    def find_nearest(self, frame: Frame, tolerance_s: float, wait_s: float) -> DepthFrame | None:
        """The depth frame nearest in time, within the tolerance; waits for one on its way. From one thread."""
        ...

    def status(self) -> SourceStatus:
        """How it is doing; from any thread."""
        ...


class LiveDepth:
    """Depth frames as they come, the newest `MAX_KEPT_FRAMES` of them; the base of sources that receive."""

    def __init__(self, *, same_clock: bool = False) -> None:
        """same_clock: timestamps are of the frames' own clock, which is better to match by than when things came."""
        self._same_clock = same_clock
        self._frames: deque[DepthFrame] = deque(maxlen=MAX_KEPT_FRAMES)
        self._changed = threading.Condition()
        self._stopped = False

    def put(self, frame: DepthFrame) -> None:
        """A depth frame has come."""
        with self._changed:
            self._frames.append(frame)
            self._changed.notify_all()

    def close(self) -> None:
        """Wake whoever waits, for good."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def find_nearest(self, frame: Frame, tolerance_s: float, wait_s: float) -> DepthFrame | None:
        """As `DepthSource`: waits only while all that has come is older than the frame."""
        until_ns = now_ns() + round(wait_s * 1e9)
        with self._changed:
            while True:
                known = sorted(
                    ((abs(self._apart_s(have, frame)), have) for have in self._frames), key=lambda pair: pair[0]
                )
                newest_s = max((self._apart_s(have, frame) for have in self._frames), default=-math.inf)
                left_s = (until_ns - now_ns()) / 1e9
                if newest_s >= 0 or left_s <= 0 or self._stopped:
                    break
                self._changed.wait(left_s)
        if not known or known[0][0] > tolerance_s:
            return None
        best = known[0][1]
        return DepthFrame(best.depth, best.timestamp, best.captured_ns, self._apart_s(best, frame))

    def _apart_s(self, depth: DepthFrame, frame: Frame) -> float:
        if self._same_clock:
            return depth.timestamp - frame.timestamp
        return (depth.captured_ns - frame.captured_ns) / 1e9


class FileDepth:
    """A `DepthSource` over a folder of 16-bit PNGs or float TIFFs beside a clip, on the clip's clock.

    The time of a picture, seconds since the clip's first frame, is what `timestamps.csv` in the folder says
    (`name,timestamp`); else the number in its name over `fps`, counted from the lowest number, so that a folder may
    have every third frame only. A folder with one picture holds for all of the clip: a still. A loop begins anew.
    """

    def __init__(self, path: Path, clock: PlaybackClock, fps: float) -> None:
        """`SourceError` unless there are pictures, with depth in the first."""
        self._clock = clock
        self._monitor = SourceMonitor("connecting", f"opening {path}")
        if not path.is_dir():
            raise SourceError(f"there is no folder {path}; depth is a folder of 16-bit PNGs (mm) or float TIFFs (m)")
        files = sorted(p for p in path.iterdir() if p.suffix.lower() in (".png", ".tif", ".tiff"))
        if not files:
            raise SourceError(f"{path} holds no depth; expected 16-bit PNGs (millimetres) or float TIFFs (metres)")
        times = _times(path / _TIMES, files) if (path / _TIMES).is_file() else _numbered(files, fps)
        self._times = sorted(times)
        self._still = len(files) == 1
        self._last: tuple[Path, Depth] | None = None
        self.size = _read(self._times[0][1]).shape[1::-1]

    def start(self) -> None:
        """Nothing runs: files are read when they are asked for."""
        self._monitor.set_state("running")

    def stop(self) -> None:
        """Nothing runs."""

    def status(self) -> SourceStatus:
        """`dropped` counts pictures that could not be read, and frames that no picture was near."""
        return self._monitor.status()

    def find_nearest(self, frame: Frame, tolerance_s: float, wait_s: float) -> DepthFrame | None:
        """As `DepthSource`; never waits."""
        clip_s = frame.timestamp % self._clock.period_s if self._clock.period_s else frame.timestamp
        place = bisect.bisect(self._times, (clip_s,))
        near = [self._times[i] for i in (place - 1, place) if 0 <= i < len(self._times)]
        at_s, path = min(near, key=lambda entry: abs(entry[0] - clip_s))
        apart_s = 0.0 if self._still else at_s - clip_s
        if abs(apart_s) > tolerance_s:
            self._monitor.count_dropped("no depth near")
            return None
        if self._last is None or self._last[0] != path:
            try:
                self._last = path, _read(path)
            except SourceError:
                self._monitor.count_dropped("unreadable")
                return None
            self._monitor.count_received()
        return DepthFrame(self._last[1], frame.timestamp + apart_s, frame.captured_ns + round(apart_s * 1e9), apart_s)


class VideoDepth:
    """A `DepthSource` over a video with 16 bits a pixel beside a clip, millimetres; read on as the clip goes on."""

    def __init__(self, path: Path, clock: PlaybackClock) -> None:
        """`SourceError` unless a first picture can be read."""
        self._path, self._clock = path, clock
        self._monitor = SourceMonitor("connecting", f"opening {path}")
        self._frames, self._turn = depth_frames(path), 0
        first = next(self._frames)
        self.size = first[1].shape[1], first[1].shape[0]
        self._near: deque[tuple[float, NDArray[np.uint16]]] = deque([first], maxlen=2)

    def start(self) -> None:
        """Nothing runs: the video is read when it is asked for."""
        self._monitor.set_state("running")

    def stop(self) -> None:
        """Nothing runs."""

    def status(self) -> SourceStatus:
        """`dropped` counts frames that no picture was near."""
        return self._monitor.status()

    def find_nearest(self, frame: Frame, tolerance_s: float, wait_s: float) -> DepthFrame | None:
        """As `DepthSource`; reads forward only, except where the clip begins again."""
        turn, clip_s = divmod(frame.timestamp, self._clock.period_s) if self._clock.period_s else (0, frame.timestamp)
        if int(turn) != self._turn:
            self._turn, self._frames = int(turn), depth_frames(self._path)
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
        return DepthFrame(clean_depth(image), frame.timestamp + apart_s, captured_ns, apart_s)


def _numbered(files: list[Path], fps: float) -> list[tuple[float, Path]]:
    numbers = [re.findall(r"\d+", path.stem) for path in files]
    if len(files) > 1 and not all(numbers):
        bare = files[[bool(found) for found in numbers].index(False)]
        raise SourceError(f"{bare} has no number in its name; expected the frame's, or a {_TIMES} with name,timestamp")
    counted = [int(found[-1]) if found else 0 for found in numbers]
    if len(set(counted)) < len(counted):
        raise SourceError(f"{files[0].parent} has two depth pictures of one number; expected one for each frame")
    return [((number - min(counted)) / fps, path) for number, path in zip(counted, files, strict=True)]


def _times(table: Path, files: list[Path]) -> list[tuple[float, Path]]:
    names = {path.name: path for path in files}
    found = []
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            for row in csv.DictReader(file):
                if row.get("name") in names:
                    found.append((float(row["timestamp"]), names[row["name"]]))
    except (OSError, ValueError, KeyError, TypeError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{table} is not read ({error}); expected columns name,timestamp (seconds)") from None
    if not found or not all(math.isfinite(at_s) for at_s, _ in found):
        raise SourceError(f"{table} has no time of any picture beside it; expected columns name,timestamp (seconds)")
    return found


def _read(path: Path) -> Depth:
    """A depth picture; `SourceError` where it is none."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise SourceError(f"{path} cannot be decoded")
    try:
        return clean_depth(image)
    except CalibrationError as error:
        raise SourceError(f"{path}: {error}") from None


def clean_depth(image: NDArray[np.generic]) -> Depth:
    """To float32 m; what is beyond `MAX_DEPTH_M` was not measured. Raises `CalibrationError` for what is no depth."""
    depth = convert_to_metres(image)
    return np.asarray(np.where(depth <= MAX_DEPTH_M, depth, np.float32(0)))
