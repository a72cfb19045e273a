"""Generates the frames of a simulated device: encoded pictures, depth if the clip has it, and the aim of the eyes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import cv2

from engines import Image
from realtime.errors import SourceError
from realtime.simulation.calibration_wearer import TargetClip
from realtime.simulation.table_scene import TableClip
from realtime.simulation.wandering_gaze import GazeAim, WanderingGaze
from realtime.sources.video.video_reader import VideoFile

CACHE_BYTES = 256 * 2**20
_MAX_AHEAD = 32

Played = VideoFile | TargetClip | TableClip


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """Holds a frame, `at_s` into a pass of the clip that began at `start_s`; the aim is in its pixels.

    picture: as JPEG, or as the device's encoder made it. depth: of every pixel, uint16 little-endian millimetres, 0 for
    none; None where the clip has none.
    """

    start_s: float
    at_s: float
    picture: bytes
    size: tuple[int, int]
    aim: GazeAim | None
    depth: bytes | None = None

    @property
    def due_s(self) -> float:
        """Time at which it is sent, in seconds since the first frame of all."""
        return self.start_s + self.at_s

    @property
    def nbytes(self) -> int:
        """Size in memory."""
        return len(self.picture) + len(self.depth or b"")


def encode_jpeg(at_s: float, image: Image, aim: GazeAim | None, depth: bytes | None = None) -> EncodedFrame:
    """Encode a frame as JPEG."""
    jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    return EncodedFrame(0.0, at_s, jpeg, (image.shape[1], image.shape[0]), aim, depth)


EncodeFrame = Callable[[float, Image, GazeAim | None, bytes | None], EncodedFrame]


def encode_frames(clip: Played, seed: int | None, encode: EncodeFrame) -> Iterator[EncodedFrame]:
    """Generate one pass through a clip. seed: of eyes that wander in a video; None: without eyes in a video."""
    if isinstance(clip, TableClip):
        for view in clip.render_views():
            yield encode(view.at_s, view.image, view.aim, view.depth.astype("<u2").tobytes())
    elif isinstance(clip, TargetClip):
        for at_s, image, aim in clip.aims():
            yield encode(at_s, image, aim, None)
    else:
        wander = None if seed is None else WanderingGaze(seed)
        for at_s, image in clip.frames():
            yield encode(at_s, image, wander.choose_aim(image, at_s) if wander else None, None)


def load_ahead(
    clip: Played, seed: int | None, *, loop: bool, encode: EncodeFrame = encode_jpeg
) -> Generator[EncodedFrame]:
    """Generate the frames of every repetition, decoded and encoded on another thread ahead of the player.

    seed, clip, encode: as in `encode_frames`. Closing the generator ends the thread. Raises `SourceError` if the clip
    is gone.
    """
    frames = _repeat_clip(clip, seed, loop, encode)
    loader = ThreadPoolExecutor(1, "simulator load")
    try:
        pending = deque(loader.submit(next, frames, None) for _ in range(_MAX_AHEAD))
        while (frame := pending.popleft().result()) is not None:
            pending.append(loader.submit(next, frames, None))
            yield frame
    finally:
        loader.shutdown(wait=False, cancel_futures=True)


def _repeat_clip(clip: Played, seed: int | None, loop: bool, encode: EncodeFrame) -> Iterator[EncodedFrame]:
    """Generate the frames of every repetition; the first pass is kept if it fits into `CACHE_BYTES`."""
    start_s, kept, is_cached = 0.0, list[EncodedFrame](), False
    while True:
        last_s, size = 0.0, 0
        for frame in kept if is_cached else encode_frames(clip, seed, encode):
            last_s, size = frame.at_s, size + frame.nbytes
            if not is_cached and size <= CACHE_BYTES:
                kept.append(frame)
            elif not is_cached:
                kept.clear()
            yield replace(frame, start_s=start_s)
        if not size:
            raise SourceError("the clip no longer has a picture that can be decoded")
        is_cached = size <= CACHE_BYTES
        start_s += last_s + 1 / clip.fps
        if not loop:
            return
