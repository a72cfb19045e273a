"""A recording as a video: every frame at the time at which it was captured, with its mask drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from engines import Image
from realtime.errors import RecordingError, VideoError
from realtime.media.overlay import draw
from realtime.media.video_writer import TICKS_PER_S, OverlayWriter
from realtime.recording.labels import LabelFile
from realtime.recording.mask_events import MaskEvent, pair_frames
from realtime.recording.reader import RecordingReader

CODECS = {".mp4": "libx264", ".webm": "libvpx-vp9"}
RATE_HZ = 30.0
"""What the encoder plans for; frames have times of their own."""


@dataclass(frozen=True, slots=True)
class VideoSummary:
    """A video that was written. masked: frames with a mask; broken: frames whose picture cannot be decoded."""

    path: Path
    frames: int
    masked: int
    broken: int
    seconds: float


def write_video(
    recording: RecordingReader, labels: LabelFile, out: Path, told: Callable[[int], None], *, any_format: bool = False,
    replacing: bool = False,
) -> VideoSummary:  # fmt: skip
    """Write the video, whole or not at all; raises `RecordingError`, and `VideoError` where it cannot be written.

    told: is given the host time of each frame, and may raise to end it. any_format: another ending than that of `out`
    may do, where there is no encoder for that.
    """
    codec = CODECS.get(out.suffix.lower())
    if codec is None:
        raise VideoError(f"{out}: a video is called .mp4 or .webm")
    writer: OverlayWriter | None = None
    begin_ns, masked, broken, last_s = 0, 0, 0, -1.0
    try:
        for packed, sight in pair_frames(recording):
            told(packed.received_ns)
            try:
                frame = packed.decode()
            except RecordingError:
                broken += 1
                continue
            if writer is None:
                begin_ns = packed.captured_ns
                writer = OverlayWriter(out.with_suffix(""), frame.size, RATE_HZ, codec=None if any_format else codec)
                if writer.path.exists() and not replacing:
                    raise VideoError(f"{writer.path} exists; replace it with --force, or name another file")
            # Where the clock was set back a little, the frame still comes after the one before it.
            last_s = max((packed.captured_ns - begin_ns) / 1e9, last_s + 2 / TICKS_PER_S)
            shown = (
                sight
                if sight is not None and labels.get_label(sight.object).keep and sight.size == frame.size
                else None
            )
            masked += shown is not None and shown.state != "lost"
            writer.write(fit_image(_drawn(recording, frame.image, shown, labels), writer.size), last_s)
        if writer is None:
            raise RecordingError(f"{recording.path} holds no frame that can be shown")
        return VideoSummary(writer.close(), writer.frames, masked, broken, last_s)
    except BaseException:
        if writer is not None:
            writer.discard()
        raise


def _drawn(recording: RecordingReader, image: Image, sight: MaskEvent | None, labels: LabelFile) -> Image:
    if sight is None:
        return image
    return draw(image, recording.read_mask(sight.entry), name=labels.get_label(sight.object).text)


def fit_image(image: Image, size: tuple[int, int]) -> Image:
    """A picture of that (width, height): where a source changed its size, scaled into it with black bars."""
    height, width = image.shape[:2]
    if (width, height) == size:
        return image
    scale = min(size[0] / width, size[1] / height)
    inner = min(size[0], max(1, round(width * scale))), min(size[1], max(1, round(height * scale)))
    out = np.zeros((size[1], size[0], 3), np.uint8)
    x, y = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    out[y : y + inner[1], x : x + inner[0]] = cv2.resize(image, inner, interpolation=cv2.INTER_AREA)
    return out
