"""`gazecast calibrate camera` with folders, clips, files of other programs, and wrong use."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import msgpack
import numpy as np
import pytest

from calibration.formats import read_camera
from calibration.formats.ros import to_camera_info
from calibration.record import load_record
from realtime.commands.main import main
from tests.calibration.cameras import CORE_WIDE, WEBCAM
from tests.calibration.render import facing, photograph
from tests.calibration.shared import PHOTOS, needs_photos
from tests.realtime.commands.calibrate.boards import BOARD, SPEC, assert_refused, read_report, write_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("board") / "clip")


def calibrate(*argv: object) -> int:
    return main(["calibrate", "camera", *map(str, argv)])


def test_a_folder_of_pictures(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in sorted(clip.iterdir())[::2]:
        shutil.copy(path, folder)
    next(folder.iterdir()).rename(folder / os.fsdecode(b"caf\xe9.png"))
    (folder / "notes.txt").write_text("not a picture")
    (folder / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    cv2.imwrite(str(folder / "wall.png"), np.full((480, 640, 3), 90, np.uint8))
    out, ros = tmp_path / "camera.json", tmp_path / "info.yaml"
    assert calibrate("--images", folder, "--board", SPEC, "--out", out, "--ros", ros, "--name", "scene") == 0
    output = capsys.readouterr().out
    assert "no board found" in output
    assert "is damaged: its end is missing" in output
    record = load_record(out, "camera", size=(640, 480), camera="scene")
    assert record.body["rms_px"] < 0.6
    assert len(record.body["views"]) == 16
    assert len(record.body["hull_px"]) >= 3
    name, camera = read_camera(out)
    assert camera == read_camera(ros)[1]
    assert camera.fx == pytest.approx(WEBCAM.fx, abs=6 * record.body["std"]["fx"])
    assert "What to do next" in read_report(tmp_path / "camera-report")
    assert name == "scene"


def test_a_clip_is_read_until_the_views_suffice(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "camera.json"
    assert calibrate("--source", f"file:{clip}?realtime=0", "--board", SPEC, "--out", out, "--json") == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert 8 <= len(result["views"]) <= 16
    assert "move the board to the" in captured.err
    assert str(out) in result["written"]


def test_a_clip_with_guidance_in_a_window(clip: Path, tmp_path: Path) -> None:
    if shutil.which("xvfb-run") is None:
        pytest.skip("no xvfb-run to give a screen")
    command = [
        "xvfb-run", "-a", sys.executable, "-m", "realtime", "calibrate", "camera", "--source",
        f"file:{clip}?realtime=0", "--board", SPEC, "--window", "--out", str(tmp_path / "camera.json"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert load_record(tmp_path / "camera.json", "camera").size == (640, 480)


def test_views_that_determine_no_camera_are_refused_with_advice(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A small board that only ever faces the camera: its focal length and its distance are one."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(4):
        turn = tuple(rng.normal(0, 0.005, 3))
        image = photograph(WEBCAM, BOARD, facing(BOARD, 0.9, turn), noise=3, seed=number, scale=1)
        cv2.imwrite(str(folder / f"{number}.png"), image)
    out = tmp_path / "camera.json"
    assert calibrate("--images", folder, "--board", SPEC, "--out", out) in (1, 2)
    assert not out.exists()
    error = capsys.readouterr().err
    assert "no calibration was written" in error or "camera" in error


def test_an_intrinsics_file_of_pupil_is_imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = {"camera_matrix": CORE_WIDE.matrix.tolist(), "dist_coefs": [[c] for c in CORE_WIDE.coefficients],
             "resolution": [1920, 1080], "cam_type": "fisheye"}  # fmt: skip
    path = tmp_path / "world.intrinsics"
    path.write_bytes(msgpack.packb({"version": 1, "(1920, 1080)": entry}))
    out = tmp_path / "camera.json"
    assert calibrate("--import", path, "--out", out, "--ros", tmp_path / "info.yaml") == 0
    assert "13.9 px per degree" in capsys.readouterr().out
    assert read_camera(out) == ("world", CORE_WIDE)
    assert "equidistant" in (tmp_path / "info.yaml").read_text()
    assert calibrate("--import", path, "--size", "640x480", "--out", out) == 2
    assert "not 640 x 480" in capsys.readouterr().err


def test_an_imported_model_without_rays_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = to_camera_info("scene", WEBCAM)
    path, out = tmp_path / "info.yaml", tmp_path / "camera.json"
    path.write_text(text.replace(str(WEBCAM.coefficients[0]), "1e30"))
    assert calibrate("--import", path, "--out", out) == 2
    assert "covers only 0 % of the picture" in capsys.readouterr().err
    assert not out.exists()
    path.write_text(text)
    assert calibrate("--import", path, "--out", out) == 0


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--images", "nowhere", "--board", SPEC), "nowhere is no folder"),
        (("--images", ".", "--board", SPEC), "no pictures in ."),
        (("--images", "."), "--board is missing"),
        (("--images", ".", "--board", "circles"), "'circles' is no board"),
        (("--source", "carrier:pigeon", "--board", SPEC), "is no source of frames"),
        (("--source", "file:none.mp4", "--board", SPEC), "none.mp4"),
        (("--source", "file:none.mp4", "--board", SPEC, "--most-views", "1"), "--most-views"),
        (("--import", "none.yaml"), "cannot read none.yaml"),
        (("--import", "notes.txt"), "is no supported camera file"),
        (("--import", "notes.txt", "--size", "wide"), "--size wants"),
    ],
)
def test_wrong_use_is_one_line(
    argv: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    assert_refused(capsys, ("camera", *argv), message, 1, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_folder_without_a_board_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((480, 640, 3), 90, np.uint8))
    assert calibrate("--images", tmp_path, "--board", SPEC, "--out", tmp_path / "camera.json") == 2
    assert "0 views of the board are too few" in capsys.readouterr().err


@needs_photos
def test_the_photos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = PHOTOS / "chessboard_9x6"
    assert calibrate("--images", folder, "--board", "chessboard:9x6:25mm", "--out", tmp_path / "c.json", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert round(result["every_view"]["rms_px"], 2) == 0.41
    assert round(result["every_view"]["fx"]) == 536
    assert [view["name"] for view in result["views"] if view["dropped"]] == ["left02"]
    folder = PHOTOS / "charuco_5x7"
    board = "charuco:5x7:40mm:20mm:6X6_250"
    assert calibrate("--images", folder, "--board", board, "--out", tmp_path / "d.json", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert round(result["rms_px"], 2) == 0.19
    assert [view["corners"] for view in result["views"]] == [24] * 4
