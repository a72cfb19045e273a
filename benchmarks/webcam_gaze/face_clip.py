"""Measures gaze by webcam on a clip of a face that looks at known places, and writes such a clip of the rendered face.

    timestamp,x,y,role
    0.0,960,540,fit
    2.0,192,108,fit
    ...
    26.0,576,324,check

The table says from when on the face looks at a place of the screen, px. Places of role `fit` are for the calibration,
those of role `check` for the error.
"""

from __future__ import annotations

import csv
import time
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.webcam_gaze.rendered_face import FOV_DEG, PICTURE, SCREEN_PX, HeadMotion, RenderedFace
from calibration.gaze.choreography import SETTLE_S, build_screen_steps
from calibration.gaze.eye_features import EyeFeatures, measure_eyes
from calibration.gaze.screen_calibration import EyePairs, ScreenCalibration, calibrate_screen
from engines.landmarks.face_landmarker import FaceLandmarker
from realtime.media.video_writer import OverlayWriter
from realtime.sources.video.video_file import VideoFrames
from realtime.types import Frame

DWELL_S, FPS = 2.0, 30.0


@dataclass(frozen=True)
class ClipTarget:
    """Holds a place that the face looks at from `start_s` to `end_s`, px of the screen."""

    start_s: float
    end_s: float
    x: float
    y: float
    role: str


def read_targets(path: Path) -> list[ClipTarget]:
    """Read the table."""
    rows = [
        (float(row["timestamp"]), float(row["x"]), float(row["y"]), row["role"])
        for row in csv.DictReader(path.read_text().splitlines())
    ]
    ends = [after[0] for _, after in pairwise(rows)] + [np.inf]
    return [ClipTarget(start, end, x, y, role) for (start, x, y, role), end in zip(rows, ends, strict=True)]


def measure_clip(
    clip: Path, targets: list[ClipTarget], models: Path | None, size: tuple[int, int], px_mm: float, fov_deg: float
) -> ScreenCalibration:
    """Calibrate with the clip's places and measure the error at the others."""
    finder, frames = FaceLandmarker(models), VideoFrames(clip, loop=False, real_time=False)
    found: dict[int, list[tuple[float, EyeFeatures]]] = defaultdict(list)
    begun_s: list[float] = []

    def on_frame(frame: Frame) -> None:
        begun_s.append(frame.timestamp)
        at_s = frame.timestamp - begun_s[0]
        landmarks = finder.find(frame.image)
        number = next((n for n, t in enumerate(targets) if t.start_s + SETTLE_S <= at_s < t.end_s), None)
        if landmarks is None or number is None:
            return
        eyes = measure_eyes(landmarks.points, landmarks.irises, landmarks.eyes, frame.size, fov_deg)
        if eyes is not None:
            found[number].append((at_s, eyes))

    frames.start(on_frame)
    while frames.status().state not in ("ended", "failed"):
        time.sleep(0.05)
    pairs = {
        number: EyePairs(
            f"{target.x:g}, {target.y:g}", np.array([at_s for at_s, _ in found[number]]),
            [eyes for _, eyes in found[number]], (target.x, target.y), 0, len(found[number]),
        )
        for number, target in enumerate(targets)
        if found[number]
    }  # fmt: skip
    fit, checks = ([pairs[n] for n in pairs if targets[n].role == role] for role in ("fit", "check"))
    return calibrate_screen(fit, checks, size, px_mm)


def write_clip(folder: Path, face: RenderedFace, seed: int) -> tuple[Path, Path]:
    """Write `face.mp4` and `targets.csv` into a folder: the targets of a calibration, and eight other places."""
    rng = np.random.default_rng(seed)
    motion = HeadMotion(rng)
    places = [(step.place, step.role) for step in build_screen_steps(9)]
    places += [((x, y), "check") for x, y in rng.uniform((0.08, 0.1), (0.92, 0.9), (8, 2)).tolist()]
    rows, count = ["timestamp,x,y,role"], 0
    with OverlayWriter(folder / "face", PICTURE, FPS) as writer:
        for number, ((x, y), role) in enumerate(places):
            target = x * SCREEN_PX[0], y * SCREEN_PX[1]
            rows.append(f"{number * DWELL_S:g},{target[0]:.1f},{target[1]:.1f},{role}")
            for _ in range(round(DWELL_S * FPS)):
                writer.write(face.render(target, motion.step(), rng), count / FPS)
                count += 1
    table = folder / "targets.csv"
    table.write_text("\n".join(rows) + "\n")
    return writer.path, table


def describe_clip(calibration: ScreenCalibration) -> str:
    """Describe the error as one line."""
    validation = calibration.gaze.validation
    assert validation is not None
    return (
        f"{calibration.error_px:.0f} px, {validation.accuracy_deg:.2f} degrees at {len(validation.targets)} other "
        f"places (median {validation.median_deg:.2f}, 95 % {validation.p95_deg:.2f}); precision "
        f"{validation.precision_deg:.2f}; {calibration.distance_mm:.0f} mm from the camera with {FOV_DEG:g} degrees"
    )
