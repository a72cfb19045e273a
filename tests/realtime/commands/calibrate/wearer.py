"""Writes a recording of a wearer who fixates all targets, as pictures and a gaze trace, and calibrates with it."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from realtime.commands.main import main
from realtime.simulation.calibration_wearer import SimulatedBias, TargetClip

SIZE = (480, 320)
DEG_PX = 4.8  # of a picture of this width without a camera calibration
RATE_HZ = 100
EVERY = 2
"""Every second frame of the target clip is recorded: 31 per target are enough."""
FPS = TargetClip(5, SIZE).fps / EVERY


def record(folder: Path, count: int = 5) -> Path:
    """Write the pictures."""
    folder.mkdir()
    for number, (_, image, _) in enumerate(islice(TargetClip(count, SIZE).aims(), 0, None, EVERY)):
        cv2.imwrite(str(folder / f"{number:05d}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 92])
    return folder


def trace(path: Path, error: SimulatedBias, *, count: int = 5, noise_px: float = 0.5, confidence: float = 0.95) -> Path:
    """Write the gaze that a biased tracker reports for fixations of each target."""
    rng = np.random.default_rng(1)
    rows = ["timestamp,x,y,confidence"]
    aims = [(at_s, aim) for at_s, _, aim in TargetClip(count, SIZE).aims()]
    times = np.array([at_s for at_s, _ in aims])
    for sample in range(int(times[-1] * RATE_HZ)):
        at_s = sample / RATE_HZ
        aim = aims[int(np.searchsorted(times, at_s, side="right")) - 1][1]
        x, y = np.array(error.measure(aim.x, aim.y, SIZE)) + rng.normal(0, noise_px, 2)
        rows.append(f"{at_s:.3f},{x:.3f},{y:.3f},{confidence}")
    path.write_text("\n".join(rows) + "\n")
    return path


def calibrate(verb: str, clip: Path, gaze: Path, *more: str) -> int:
    """Run `gazecast calibrate VERB` on the recording, without a window; return the exit code."""
    sources = ("--source", f"file:{clip}?realtime=0&fps={FPS}", "--gaze", f"trace:{gaze}", "--headless")
    return main(["calibrate", verb, *sources, *more])


def read_json(capsys) -> dict:
    """Read the last JSON line of the output."""
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])
