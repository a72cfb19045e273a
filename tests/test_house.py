"""The rules of the house: layers, names, where heavy libraries are imported, and what a wheel holds."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("engines", "calibration", "realtime")
HOMES = {
    "zmq": ("realtime/comms/sockets/",),
    "av": ("realtime/media/video_writer.py",),
    "openvino": ("engines/",),
    "onnxruntime": ("engines/",),
    "torch": ("engines/",),
    "nncf": ("engines/",),
    "onnx": ("engines/",),
    "tensorrt": ("engines/backends/tensorrt/",),
    "tensorrt_rtx": ("engines/backends/tensorrt/",),
    "tensorrt_rtx_bindings": ("engines/backends/tensorrt/",),
    "pycuda": ("engines/backends/tensorrt/pycuda_memory.py",),
    "cuda": ("engines/backends/tensorrt/pycuda_memory.py",),
    "open3d": ("calibration/", "realtime/"),
    "aiohttp": ("realtime/viewer/",),
    "matplotlib": ("realtime/media/chart.py", "realtime/commands/"),
    "mcap": ("realtime/recording/reader.py", "realtime/recording/writer.py", "realtime/robotics/ros2/bag.py"),
    "rosbags": ("realtime/robotics/ros2/message_types.py",),
    "foxglove": ("realtime/robotics/ros2/foxglove.py",),
}
"""Heavy libraries and where alone they may be imported."""
HEAVY = {"av", "openvino", "onnxruntime", "torch", "nncf", "onnx", "tensorrt", "pycuda", "open3d", "aiohttp", "rosbags",
         "matplotlib", "foxglove"}  # fmt: skip
MAX_LOOSE, MAX_ONE_WORD = 6, 0.3
LIGHT = (
    "engines", "engines.load", "engines.weights", "engines.fake", "calibration", "realtime", "realtime.types",
    "realtime.comms", "realtime.config.schema", "realtime.comms.mask_subscriber", "realtime.commands.main",
    "realtime.commands.doctor.probes",
)  # fmt: skip
"""Modules that anybody may import without paying for a library that was not chosen."""


def modules() -> list[Path]:
    return sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """(absolute name, line) of everything that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # relative imports would hide where they point, and moving the rooms under one roof must stay mechanical
            assert node.level == 0, f"{path.relative_to(ROOT)}:{node.lineno} imports relatively"
            yield str(node.module), node.lineno


def test_heavy_libraries_are_imported_in_their_homes_only() -> None:
    """Which of our packages may import which is a contract in pyproject.toml, for `lint-imports`."""
    for path in modules():
        here = path.relative_to(ROOT).as_posix()
        for name, line in imports(path):
            top = name.split(".")[0]
            assert top not in ("tests", "demos", "benchmarks"), f"{here}:{line} must not import {name}"
            if top in HOMES:
                assert here.startswith(HOMES[top]), f"{here}:{line} imports {top}, not in {', '.join(HOMES[top])}"


def test_layers_are_kept_and_nothing_imports_in_a_circle() -> None:
    command = Path(sys.executable).parent / "lint-imports"
    if not command.exists():
        pytest.skip("import-linter is not installed; make setup brings it")
    done = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:]


def test_there_are_no_junk_rooms() -> None:
    names = {part for path in modules() for part in path.relative_to(ROOT).with_suffix("").parts}
    assert not names & {"utils", "util", "helpers", "helper", "common", "manager", "misc"}


def test_few_modules_of_realtime_lie_loose() -> None:
    loose = sorted(path.name for path in (ROOT / "realtime").glob("*.py"))
    assert len(loose) <= MAX_LOOSE, loose


def test_a_public_class_has_a_name_of_its_own_mostly_of_two_words() -> None:
    classes: dict[str, list[str]] = {}
    for path in modules():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                classes.setdefault(node.name, []).append(path.relative_to(ROOT).as_posix())
    assert {name: where for name, where in classes.items() if len(where) > 1} == {}
    one_word = [name for name in classes if len(re.findall("[A-Z][a-z0-9]*", name)) < 2]
    assert len(one_word) / len(classes) <= MAX_ONE_WORD, sorted(one_word)


def test_public_modules_are_light() -> None:
    """One after the other in one process: the first that brings something heavy along is named."""
    code = f"""
import importlib, json, sys
for name in {LIGHT!r}:
    importlib.import_module(name)
    print(json.dumps([name, sorted({{known.split(".")[0] for known in sys.modules}})]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    loaded = {name: HEAVY & set(known) for name, known in map(json.loads, done.stdout.splitlines())}
    assert loaded == {name: set() for name in LIGHT}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing is left in the tree."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "source"
    for room in ROOMS:
        shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("tests", "demos", "benchmarks"):  # what must not come along
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


def test_the_wheel_holds_the_three_rooms_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    inside = {name for name in names if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in inside} == {*ROOMS, "gazecast.py"}
    expected = {path.relative_to(ROOT).as_posix() for path in modules()} | {f"{room}/py.typed" for room in ROOMS}
    assert expected <= inside
    assert not any(name.endswith((".onnx", ".pt", ".pth", ".mp4")) for name in names)


def test_the_wheel_works_elsewhere(wheel: Path, tmp_path: Path) -> None:
    """A flat layout tests the working tree by default; here the wheel's own files answer."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import engines, realtime.commands.main, calibration;"
        "print(engines.__file__, realtime.__file__, calibration.__file__); realtime.commands.main.main(['--help'])"
    )
    command = [sys.executable, "-I", "-c", code, str(tmp_path / "site")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.stdout.count(str(tmp_path / "site")) == 3, done.stderr
    assert "demo" in done.stdout
