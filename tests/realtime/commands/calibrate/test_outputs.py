"""Unwritable outputs are reported before a calibration starts, and checking creates no file."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime.commands.calibrate.outputs import check_outputs, report_stem
from realtime.commands.main import main
from realtime.errors import SettingsError


def test_writable_outputs_are_not_changed(tmp_path):
    (tmp_path / "old.json").write_text("old")
    check_outputs(tmp_path / "new" / "folder" / "gaze.json", None, tmp_path / "camera.yaml", None)
    check_outputs(tmp_path / "old.json", tmp_path / "elsewhere" / "page")
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]
    assert (tmp_path / "old.json").read_text() == "old"


def test_the_report_lies_beside_the_result():
    assert report_stem(Path("a/gaze.json"), None) == Path("a/gaze-report")
    assert report_stem(Path("a/gaze.json"), Path("b")) == Path("b")


def test_unwritable_outputs_are_named(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    (tmp_path / "x-report.png").mkdir()
    for out, message in (
        (tmp_path, "is a folder"),
        (tmp_path / "absent" / "..", "is a folder"),
        (file / "gaze.json", "is no folder"),
        (tmp_path / "x.json", "x-rep"),
    ):
        with pytest.raises(SettingsError, match=message):
            check_outputs(out, None)
    with pytest.raises(SettingsError, match="is no folder"):
        check_outputs(tmp_path / "y.json", None, file / "camera.yaml")


@pytest.mark.parametrize(
    "argv",
    [
        ("camera", "--images", ".", "--board", "chessboard:9x6:25mm"),
        ("gaze", "--headless", "--source", "pupil://127.0.0.1:9"),
        ("handeye", "--poses", ".", "--camera", "camera.json"),
    ],
)
def test_every_verb_checks_its_outputs_first(tmp_path, capsys, argv):
    assert main(["calibrate", *argv, "--out", str(tmp_path)]) == 2
    assert "is a folder; name a file to write" in capsys.readouterr().err
