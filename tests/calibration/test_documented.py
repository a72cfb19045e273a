"""Runs the examples of docs/guides/calibration.md as they are printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.boards import parse_board
from calibration.headset import BoardLost
from calibration.pose import project_board
from calibration.record import CalibrationRecord, save_record
from calibration.rigid import RigidTransform
from calibration.uncertain_transform import UncertainTransform
from tests.calibration.cameras import WEBCAM
from tests.calibration.render import facing, photograph
from tests.calibration.test_screen import SCREEN, markers_of, pixel_of, pose

TEXT = (Path(__file__).parents[2] / "docs" / "guides" / "calibration.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
MADE = "2026-01-01T00:00:00+00:00"


def run(contains: str, **given: Any) -> dict[str, Any]:
    (example,) = (each for each in EXAMPLES if contains in each)
    exec(compile(example, "docs/guides/calibration.md", "exec"), given)
    return given


@pytest.fixture(autouse=True)
def in_example_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("camera", "headset"):
        body = {"camera": WEBCAM.to_dict()}
        save_record(Path(f"{name}.json"), CalibrationRecord("camera", "", name, WEBCAM.size, MADE, body))


def test_there_are_three() -> None:
    assert len(EXAMPLES) == 3


def test_a_camera_is_one_object() -> None:
    points_m = np.array([[0.1, -0.05, 1.0], [0.0, 0.0, 2.0]])
    wide, high = WEBCAM.size
    text = next(each for each in EXAMPLES if "px_per_degree" in each)
    assert "size=(1280, 720)" in text
    given = {
        "points_px": np.array([[10.0, 20.0]]), "points_m": points_m, "image": np.zeros((high, wide, 3), np.uint8)
    }  # fmt: skip
    exec(text.replace("size=(1280, 720)", f"size={WEBCAM.size}"), given)
    assert np.allclose(given["pixels"], WEBCAM.project(points_m))
    assert np.allclose(np.linalg.norm(given["rays"], axis=1), 1)


def test_headset_gaze_in_a_robots_frame() -> None:
    """The ray to a corner of the board passes through its known position."""
    board = parse_board("charuco:5x7:40mm:20mm:6X6_250")
    base_from_board = RigidTransform.from_rotvec([0.05, 0.02, -0.4], [0.55, 0.1, 0.02])
    camera_from_board = facing(board, 0.6, (0.3, -0.2, 0.4))
    body = {"base_from_board": UncertainTransform(base_from_board, np.eye(6) * 1e-6).to_dict()}
    save_record(Path("handeye.json"), CalibrationRecord("handeye", "arm", "wrist", WEBCAM.size, MADE, body))
    corner = board.corner_points()[9]
    gaze_px = project_board(WEBCAM, camera_from_board, corner[None])[0]
    frame = photograph(WEBCAM, board, camera_from_board)
    got = run("SharedBoard", frame=frame, captured_s=5.0, gaze_px=gaze_px)
    away = np.linalg.norm(np.cross(base_from_board.apply(corner) - got["eye_m"], got["ray"]))
    assert away < 0.001
    assert got["base_from_headset"].sigma_m > 0.001
    with pytest.raises(BoardLost):
        run("SharedBoard", frame=np.zeros_like(frame), captured_s=5.0, gaze_px=gaze_px)


def test_gaze_on_a_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    where = pose(WEBCAM)
    x_px, y_px = pixel_of(WEBCAM, where, (0.4, 0.2))
    monkeypatch.setattr("calibration.markers.detect_markers", lambda frame: markers_of(WEBCAM, where, SCREEN))
    got = run("ScreenTracker", camera=WEBCAM, frame=None, captured_s=1.0, x_px=x_px, y_px=y_px)
    assert (got["gaze"].x, got["gaze"].y) == pytest.approx((0.4, 0.2), abs=1e-5)
    assert got["gaze"].is_on_screen
