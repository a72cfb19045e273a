"""Exports a recording as a video: every frame at its time of capture, with its mask drawn."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np

from engines import Image
from realtime.commands.export.targets import ExportTargets, OnTime, format_count
from realtime.correction.corrected_masks import CorrectedMasks
from realtime.errors import RecordingError, VideoError
from realtime.media.overlay import draw_overlay
from realtime.media.video_writer import TICKS_PER_S, OverlayWriter
from realtime.recording.labels import LabelFile
from realtime.recording.mask_events import pair_frames
from realtime.recording.reader import RecordingReader

CODECS = {".mp4": "libx264", ".webm": "libvpx-vp9"}
RATE_HZ = 30.0
"""The rate that the encoder plans for; frames have times of their own."""


def export_video(
    recording: RecordingReader, labels: LabelFile, out: Path, targets: ExportTargets, on_time: OnTime,
    corrections: CorrectedMasks,
) -> list[str]:  # fmt: skip
    """Write a complete video or none and return a report; raises `RecordingError`, and `VideoError` from writing."""
    codec = CODECS.get(out.suffix.lower())
    if codec is None:
        raise VideoError(f"{out}: a video is called .mp4 or .webm")
    writer: OverlayWriter | None = None
    begin_ns, masked, broken, last_s = 0, 0, 0, -1.0
    with ExitStack() as stack:
        for packed, mask in pair_frames(recording):
            on_time(packed.received_ns)
            try:
                frame = packed.decode()
            except RecordingError:
                broken += 1
                continue
            if writer is None:
                begin_ns = packed.captured_ns
                writer = OverlayWriter(
                    out.with_suffix(""), frame.size, RATE_HZ, codec=None if targets.any_format else codec
                )
                stack.enter_context(writer)
                if writer.path.exists() and not targets.force:
                    raise VideoError(f"{writer.path} exists; replace it with --force, or name another file")
            # Where the clock was set back a little, the frame still comes after the one before it.
            last_s = max((packed.captured_ns - begin_ns) / 1e9, last_s + 2 / TICKS_PER_S)
            image = frame.image
            if mask is not None and mask.size == frame.size and (label := labels.get_label(mask.object)).keep:
                masked += mask.state != "lost"
                image = draw_overlay(image, corrections.read_message(recording, mask), name=label.text)
            writer.write(fit_image(image, writer.size), last_s)
        if writer is None:
            raise RecordingError(f"{recording.path} holds no frame that can be shown")
        line = f"{writer.path}: {writer.frames} frames in {last_s:.1f} s, {masked} with a mask"
        line += "" if recording.about.pictures else ", on grey: it was recorded without pictures"
        return [line, *format_count(broken, "pictures could not be decoded")]


def fit_image(image: Image, size: tuple[int, int]) -> Image:
    """Scale a picture into (width, height) with black bars, for a source that changed its size."""
    height, width = image.shape[:2]
    if (width, height) == size:
        return image
    scale = min(size[0] / width, size[1] / height)
    inner = min(size[0], max(1, round(width * scale))), min(size[1], max(1, round(height * scale)))
    out = np.zeros((size[1], size[0], 3), np.uint8)
    x, y = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    out[y : y + inner[1], x : x + inner[0]] = cv2.resize(image, inner, interpolation=cv2.INTER_AREA)
    return out
