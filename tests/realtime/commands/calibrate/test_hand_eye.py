"""`gazecast calibrate handeye` with photos from a wrist, recorded poses, and wrong use."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from calibration.record import load_record
from calibration.rigid import RigidTransform
from calibration.uncertain_transform import UncertainTransform
from realtime.commands.main import main
from tests.calibration.robots import BASE_FROM_BOARD, GRIPPER_FROM_CAMERA, eye_in_hand, eye_to_hand
from tests.realtime.commands.calibrate.boards import SPEC, assert_refused, read_report, write_camera, write_robot

HEAD = "name,x,y,z,qx,qy,qz,qw," + ",".join("board_" + name for name in ("x", "y", "z", "qx", "qy", "qz", "qw"))


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_robot(tmp_path_factory.mktemp("robot") / "recorded")


def calibrate(*argv: object) -> int:
    return main(["calibrate", "handeye", *map(str, argv)])


def write_csv(path: Path, pairs: list[tuple[RigidTransform, RigidTransform]]) -> Path:
    rows = [HEAD]
    for number, pair in enumerate(pairs):
        numbers = [float(n) for pose in pair for n in (*pose.translation_m, *pose.quaternion_xyzw)]
        rows.append(",".join([f"{number:02}", *map(repr, numbers)]))
    path.write_text("\n".join(rows) + "\n")
    return path


def test_photos_from_a_wrist(robot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "handeye.json"
    camera = write_camera(tmp_path / "camera.json")
    argv = ("--poses", robot, "--camera", camera, "--board", SPEC, "--robot", "arm", "--out", out)
    assert calibrate(*argv) == 0
    output = capsys.readouterr().out
    assert "05.png" in output
    assert "lost.png (no such picture)" in output
    record = load_record(out, "handeye", size=(640, 480), camera="wrist", device="arm")
    known = UncertainTransform.from_dict(record.body["gripper_from_camera"])
    metres, radians = known.pose.distance_to(GRIPPER_FROM_CAMERA)
    assert metres < 0.0015
    assert radians < 0.002
    assert metres < 6 * known.sigma_m
    assert UncertainTransform.from_dict(record.body["base_from_board"]).pose.distance_to(BASE_FROM_BOARD)[0] < 0.0015
    assert [r["name"] for r in record.body["residuals"] if r["dropped"]] == ["05.png"]
    html = read_report(tmp_path / "handeye-report")
    assert "Error over the picture" in html
    assert "05.png was dropped" in html


@pytest.mark.parametrize("setup", ["eye-in-hand", "eye-to-hand"])
def test_recorded_poses_of_gripper_and_board(setup: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """15 poses, 1 mm and 2 mrad."""
    rng, base_from_camera = np.random.default_rng(5), RigidTransform.from_rotvec([1.9, 0.1, -0.2], [0.9, -0.3, 0.7])
    if setup == "eye-in-hand":
        pairs, name, truth = eye_in_hand(rng, 15, 1e-3, 2e-3), "gripper_from_camera", GRIPPER_FROM_CAMERA
    else:
        pairs = eye_to_hand(rng, 15, 1e-3, 2e-3, base_from_camera, GRIPPER_FROM_CAMERA)
        name, truth = "base_from_camera", base_from_camera
    poses, camera = write_csv(tmp_path / "poses.csv", pairs), write_camera(tmp_path / "camera.json")
    out = tmp_path / "handeye.json"
    assert calibrate("--poses", poses, "--camera", camera, "--setup", setup, "--out", out, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    known = UncertainTransform.from_dict(result[name])
    metres, radians = known.pose.distance_to(truth)
    assert metres < 4 * known.sigma_m
    assert radians < 4 * known.sigma_rad
    assert 0.0003 < known.sigma_m < 0.002
    assert result["setup"] == load_record(out, "handeye").body["setup"] == setup


def test_the_wrong_setup_is_refused_with_advice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = eye_in_hand(np.random.default_rng(6), 12, 0, 0)
    poses, camera = write_csv(tmp_path / "poses.csv", pairs), write_camera(tmp_path / "camera.json")
    out = tmp_path / "handeye.json"
    assert calibrate("--poses", poses, "--camera", camera, "--setup", "eye-to-hand", "--out", out) == 1
    assert "Check the setup" in capsys.readouterr().err
    assert not out.exists()
    assert (tmp_path / "handeye-report.html").exists()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--poses", "none.csv"), "cannot read none.csv"),
        (("--poses", "empty"), "holds neither poses.json nor poses.csv"),
        (("--poses", "bytes.csv"), "is no text"),
        (("--poses", "bare.json"), "has no camera_from_board"),
        (("--poses", "bare.json", "--board", "chessboard:8x6:25mm"), "is symmetric and determines no pose"),
        (("--poses", "bare.json", "--board", SPEC), "0 poses are too few"),
        (("--poses", "bare.json", "--camera", "bare.json"), "scene_camera.json"),
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
    write_camera(tmp_path / "camera.json")
    (tmp_path / "empty").mkdir()
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    pose = {"name": "a.png", "base_from_gripper": GRIPPER_FROM_CAMERA.to_dict()}
    (tmp_path / "bare.json").write_text(json.dumps({"poses": [pose]}))
    assert_refused(capsys, ("handeye", "--camera", "camera.json", *argv), message, 2)
    assert not (tmp_path / "handeye.json").exists()
