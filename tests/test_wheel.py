"""Tests what the wheel holds, and that it works where there is no source tree."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.test_house import PACKAGES, ROOT, modules

DEMO_CLIP = "realtime/commands/demo/table.mp4"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build it from a copy, so that nothing is left in the tree."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "source"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("tests", "demos", "benchmarks"):  # must not get into it
        (copy / name).mkdir()
        (copy / name / "__init__.py").touch()
    for name in ("pyproject.toml", "README.md", "LICENSE", "gazecast.py"):
        shutil.copy(ROOT / name, copy)
    command = [sys.executable, "-m", "pip", "wheel", str(copy), "--no-deps", "--wheel-dir", str(folder), "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode and "No matching distribution found for setuptools" in done.stderr:
        pytest.skip("no package index to fetch setuptools from")
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    inside = {name for name in names if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in inside} == {*PACKAGES, "gazecast.py"}
    expected = {path.relative_to(ROOT).as_posix() for path in modules()} | {
        f"{package}/py.typed" for package in PACKAGES
    }
    assert expected <= inside
    assert [name for name in names if name.endswith((".onnx", ".pt", ".pth", ".mp4"))] == [DEMO_CLIP]
    assert zipfile.ZipFile(wheel).getinfo(DEMO_CLIP).file_size < 600_000


def test_the_wheel_works_elsewhere(wheel: Path, tmp_path: Path) -> None:
    """With a flat layout, tests import the working tree; here the files of the wheel are imported."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import engines, realtime.commands.main, calibration;"
        "print(engines.__file__, realtime.__file__, calibration.__file__); realtime.commands.main.main(['--help'])"
    )
    command = [sys.executable, "-I", "-c", code, str(tmp_path / "site")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.stdout.count(str(tmp_path / "site")) == 3, done.stderr
    assert "demo" in done.stdout
