"""Tests that calibration files read back, and are refused for another device, camera or size."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration import CalibrationRecord, RecordError
from calibration.errors import CalibrationError
from calibration.formats import read_camera
from calibration.record import load_record, save_record

RECORD = CalibrationRecord(
    "gaze", "Pupil Core", "world", (1280, 720), "2026-11-22T14:03:11+00:00", {"offset": [0.1, -2]}
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "gaze.json"
    save_record(path, RECORD)
    return path


def test_it_comes_back(file: Path) -> None:
    assert load_record(file, "gaze") == RECORD
    assert load_record(file, "gaze", size=(1280, 720), camera="world", device="Pupil Core") == RECORD
    assert [path.name for path in file.parent.iterdir()] == ["gaze.json"]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"size": (640, 480)}, "1280 x 720"), ({"camera": "wrist"}, "'world'"), ({"device": "Neon"}, "'Pupil Core'"),
        ({"kind": "camera"}, "expected 'camera'"),
    ],
)  # fmt: skip
def test_a_mismatch_is_refused_with_the_reason(file: Path, asked: dict[str, Any], reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        load_record(file, asked.pop("kind", "gaze"), **asked)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": "other"}, "no calibration of gazecast"), ({"version": 2}, "version 2"), ({"version": None}, "None"),
        ({"device": 7}, "device"), ({"camera": None}, "camera"), ({"size": [1, 2, 3]}, "size"),
        ({"size": [0, 5]}, "size"), ({"size": [True, 5]}, "size"), ({"size": "big"}, "size"),
        ({"made_at": "yesterday"}, "date"), ({"body": []}, "body"), ({"kind": "robot"}, "robot"),
    ],
)  # fmt: skip
def test_a_broken_field_is_named(file: Path, change: dict[str, Any], reason: str) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(RecordError, match=reason):
        load_record(file, "gaze")


@pytest.mark.parametrize("name", ["format", "version", "kind", "device", "camera", "size", "made_at", "body"])
def test_a_missing_field_is_refused(file: Path, name: str) -> None:
    fields = json.loads(file.read_text())
    del fields[name]
    file.write_text(json.dumps(fields))
    with pytest.raises(RecordError):
        load_record(file, "gaze")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "3", '{"format": NaN}', "[" * 100_000, "\ud800", '{"format": Infinity}', "\0"]
)
def test_invalid_json_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(RecordError):
        load_record(path, "gaze")


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_with_our_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "any.json"
    path.write_bytes(data)
    with pytest.raises(RecordError):
        load_record(path, "gaze")


def test_every_cut_of_a_file_is_refused(file: Path) -> None:
    whole = file.read_bytes().rstrip()
    for end in range(0, len(whole), 7):
        file.write_bytes(whole[:end])
        with pytest.raises(RecordError):
            load_record(file, "gaze")


def test_a_missing_file_a_folder_and_a_pipe_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    for path in (tmp_path / "none.json", tmp_path, tmp_path / "pipe.json"):
        with pytest.raises(RecordError, match="cannot read"):
            load_record(path, "gaze")
        with pytest.raises(CalibrationError, match="cannot read"):
            read_camera(path)


@pytest.mark.parametrize("body", [{"x": float("nan")}, {"x": object()}, {"x": float("inf")}])
def test_invalid_json_is_not_written_and_the_old_file_stays(file: Path, body: dict[str, Any]) -> None:
    before = file.read_bytes()
    with pytest.raises(RecordError):
        save_record(file, CalibrationRecord("gaze", "", "", (1, 1), RECORD.made_at, body))
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["gaze.json"]


def test_a_write_that_fails_leaves_the_old_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    before = file.read_bytes()
    with pytest.raises(OSError, match="No space"):
        save_record(file, RECORD)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["gaze.json"]
