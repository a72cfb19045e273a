"""Recordings for tests: written directly, without a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from realtime.recording.format import FRAME, GAZE, RecordingInfo, pack_frame, pack_sample
from realtime.recording.writer import RecordingFile
from realtime.types import Frame, GazeSample

WALL_NS = 1_700_000_000_000_000_000
ABOUT = RecordingInfo(source="camera:0", started="2024-01-01T10:00:00+01:00", wall_ns=WALL_NS, program="test")


def frame(index: int, size: tuple[int, int] = (64, 48)) -> Frame:
    """A frame of noise, 30 a second from 1 s on."""
    image = np.random.default_rng(index).integers(0, 255, (size[1], size[0], 3), np.uint8)
    at_ns = 1_000_000_000 + index * 33_333_333
    return Frame(image, index, index / 30, at_ns, at_ns + 4_000_000)


def sample(index: int) -> GazeSample:
    """A gaze sample, 100 a second from 1 s on."""
    at_ns = 1_000_000_000 + index * 10_000_000
    return GazeSample(0.5, 0.25, "norm", 0.9, index / 100, at_ns, at_ns + 1_000_000, None, 12.5)


def write(path: Path, frames: int = 30, *, every: int = 10) -> list[int]:
    """Write frames with three gaze samples each, a chunk after every few; return the file's length after each chunk."""
    file, ends = RecordingFile(path, ABOUT), []
    for index in range(frames):
        shot = frame(index)
        file.write_message(FRAME, shot.received_ns + WALL_NS, pack_frame(shot, False, 90))
        for gaze in map(sample, range(3 * index, 3 * index + 3)):
            file.write_message(GAZE, gaze.received_ns + WALL_NS, pack_sample(gaze))
        if index % every == every - 1:
            file.flush()
            ends.append(path.stat().st_size)
    file.close()
    return ends
