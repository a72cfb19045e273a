"""What a simulated device shows, frame by frame: pictures ready to be sent, depth where there is some, and the eyes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2

from engines import Image
from realtime.simulation.calibration_wearer import TargetClip
from realtime.simulation.table_scene import TableClip
from realtime.simulation.wandering_gaze import GazeAim, WanderingGaze
from realtime.sources.opencv_capture import VideoFile

Played = VideoFile | TargetClip | TableClip


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """A frame ready to be sent, `at_s` into a pass of the clip that began at `start_s`; the aim is in its pixels.

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
        """When it is shown, in seconds since the first frame of all."""
        return self.start_s + self.at_s

    @property
    def nbytes(self) -> int:
        """What it takes to keep it."""
        return len(self.jpeg) + len(self.depth or b"")


def encode_frames(clip: Played, seed: int | None) -> Iterator[EncodedFrame]:
    """One pass through a clip. seed: of eyes that wander where the clip has none; None: without any eyes."""
    if isinstance(clip, TableClip):
        for sight in clip.render_views():
            aim = None if seed is None else sight.aim
            yield EncodedFrame(
                0.0, sight.at_s, _encode(sight.image), clip.size, aim, sight.depth.astype("<u2").tobytes()
            )
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
