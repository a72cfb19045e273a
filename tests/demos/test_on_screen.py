"""Tests that a gaze trace becomes positions on a monitor that is seen between tags."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration import PinholeCamera, record

DEMO = Path(__file__).parents[2] / "demos" / "on_screen.py"
SIZE = (640, 480)
SCREEN = (960, 540)


def demo(*flags: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(DEMO), "--screen", "960x540", "--tag", "100", "--gap", "-120", *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.fixture
def camera(tmp_path: Path) -> Path:
    body = {"camera": PinholeCamera(SIZE, 600.0, 600.0, 320.0, 240.0).to_dict()}
    record.save_record(
        tmp_path / "camera.json", record.CalibrationRecord("camera", "", "c", SIZE, "2026-01-01T00:00:00+00:00", body)
    )
    return tmp_path / "camera.json"


def test_gaze_samples_become_positions_on_the_monitor(tmp_path: Path, camera: Path) -> None:
    assert demo("--markers", tmp_path / "tags.png").returncode == 0
    monitor = np.asarray(cv2.imread(str(tmp_path / "tags.png")))
    assert monitor.shape == (SCREEN[1], SCREEN[0], 3)
    places = np.array([[0, 0], [SCREEN[0], 0], SCREEN, [0, SCREEN[1]]], np.float32) - 0.5
    seen = np.array([[90, 110], [560, 90], [545, 380], [100, 350]], np.float32)
    warp = cv2.getPerspectiveTransform(places, seen)
    photo = cv2.warpPerspective(monitor, warp, SIZE, flags=cv2.INTER_AREA, borderValue=(60, 60, 60))
    clip = tmp_path / "clip"
    clip.mkdir()
    for number in range(24):
        cv2.imwrite(str(clip / f"{number:02}.png"), photo)
    wanted = (700.0, 150.0)
    x, y = cv2.perspectiveTransform(np.array([[wanted]]) - 0.5, warp)[0, 0]
    rows = [f"{0.02 * n:.2f},{x:.3f},{y:.3f},{0.9 if n % 2 else 0.1}" for n in range(50)]
    trace = tmp_path / "trace.csv"
    trace.write_text("\n".join(["timestamp,x,y,confidence", *rows]))
    done = demo("--source", f"file:{clip}?fps=24", "--gaze", f"trace:{trace}", "--camera", camera)
    assert done.returncode == 0, done.stderr
    samples = [json.loads(line) for line in done.stdout.splitlines()]
    assert 5 < len(samples) <= 25  # those without confidence are left out
    assert all(sample["on_screen"] for sample in samples)
    found = np.median([(sample["x"], sample["y"]) for sample in samples], axis=0)
    assert found == pytest.approx(wanted, abs=2.0)


def test_a_missing_file_is_reported_in_one_line(tmp_path: Path, camera: Path) -> None:
    done = demo("--source", "file:/nowhere.mp4", "--gaze", "trace:x.csv", "--camera", camera)
    assert done.returncode == 1
    assert done.stderr.startswith("on_screen: ")
    assert "/nowhere.mp4" in done.stderr
    assert demo("--source", "camera:0").returncode == 2
