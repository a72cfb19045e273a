"""Encodes and loads the frames of a simulated device: pictures, depth where there is some, and where the eyes aim."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2

from engines import Image
from realtime.errors import SourceError
from realtime.simulation.calibration_wearer import TargetClip
from realtime.simulation.table_scene import TableClip
from realtime.simulation.wandering_gaze import GazeAim, WanderingGaze
from realtime.sources.opencv_capture import VideoFile

CACHE_BYTES = 256 * 2**20
_MAX_AHEAD = 32

Played = VideoFile | TargetClip | TableClip


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """A frame that is ready to be sent.

    start_s: of this pass of the clip. at_s: since then. aim: of the eyes, px, None without eyes.
    depth: of every pixel, uint16 little-endian millimetres, 0 for none; None where the clip has none.
    """

    start_s: float
    at_s: float
    jpeg: bytes
    size: tuple[int, int]
    aim: GazeAim | None
    depth: bytes | None = None

    @property
    def due_s(self) -> float:
        """Seconds from the first frame of all until it is due."""
        return self.start_s + self.at_s

    @property
    def nbytes(self) -> int:
        """Bytes of its picture and depth."""
        return len(self.jpeg) + len(self.depth or b"")


def encode_frames(clip: Played, seed: int | None) -> Iterator[EncodedFrame]:
    """Generate one pass of a clip. seed: of eyes that wander where the clip has none; None: without any eyes."""
    if isinstance(clip, TableClip):
        for view in clip.render_views():
            aim, depth = None if seed is None else view.aim, view.depth.astype("<u2").tobytes()
            yield EncodedFrame(0.0, view.at_s, _encode(view.image), clip.size, aim, depth)
    elif isinstance(clip, TargetClip):
        for at_s, image, target in clip.aims():
            yield EncodedFrame(0.0, at_s, _encode(image), clip.size, None if seed is None else target)
    else:
        wander = None if seed is None else WanderingGaze(seed)
        for at_s, image in clip.frames():
            aim = wander.choose_aim(image, at_s) if wander else None
            yield EncodedFrame(0.0, at_s, _encode(image), (image.shape[1], image.shape[0]), aim)


def _encode(image: Image) -> bytes:
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


class FrameLoader:
    """Decodes and encodes a clip's frames ahead of the player. seed, clip: as in `encode_frames`.

    `load` runs in a thread of its own until `stop` is set or the clip ends; `failure` is its error.
    """

    def __init__(self, clip: Played, stop: threading.Event, *, seed: int | None, loop: bool) -> None:
        self._clip, self._stop, self._seed, self._loop = clip, stop, seed, loop
        self._queue: queue.Queue[EncodedFrame | None] = queue.Queue(_MAX_AHEAD)
        self.failure: SourceError | None = None

    def load(self) -> None:
        """Fill the queue; None ends it."""
        try:
            for frame in self._repeat_clip():
                if not self._put(frame):
                    return
        except SourceError as error:
            self.failure = error
        finally:
            self._put(None)

    def next_frame(self) -> EncodedFrame | None:
        """Wait for the next frame; None after the last, or when stopped."""
        while not self._stop.is_set():
            try:
                return self._queue.get(timeout=0.1)
            except queue.Empty:
                continue
        return None

    def _put(self, frame: EncodedFrame | None) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(frame, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def _repeat_clip(self) -> Iterator[EncodedFrame]:
        """Generate the frames of every repetition; the first pass is kept if it fits into `CACHE_BYTES`."""
        start_s, kept, is_cached = 0.0, list[EncodedFrame](), False
        while True:
            last_s, size = 0.0, 0
            for frame in kept if is_cached else encode_frames(self._clip, self._seed):
                last_s, size = frame.at_s, size + frame.nbytes
                if not is_cached and size <= CACHE_BYTES:
                    kept.append(frame)
                elif not is_cached:
                    kept.clear()
                yield replace(frame, start_s=start_s)
            is_cached = size <= CACHE_BYTES
            start_s += last_s + 1 / self._clip.fps
            if not self._loop:
                return
