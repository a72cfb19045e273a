"""Tests the rules of the code: layers, names, and where heavy libraries are imported."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("engines", "calibration", "realtime")
HOMES = {
    "zmq": ("realtime/comms/sockets/",),
    "av": (
        "realtime/media/video_writer.py",
        "realtime/sources/video/",
        "realtime/sources/rtsp/video_decoder.py",
        "realtime/simulation/neon/",
    ),
    "aiortsp": ("realtime/sources/rtsp/media_stream.py",),
    "zeroconf": ("realtime/simulation/neon/", "realtime/sources/tobii/discovery.py"),
    "pupil_labs": ("realtime/sources/neon/companion_api.py",),
    "openvino": ("engines/",),
    "onnxruntime": ("engines/",),
    "torch": ("engines/",),
    "onnx": ("engines/",),
    "tensorrt": ("engines/backends/tensorrt/",),
    "tensorrt_rtx": ("engines/backends/tensorrt/",),
    "tensorrt_rtx_bindings": ("engines/backends/tensorrt/",),
    "pycuda": ("engines/backends/tensorrt/pycuda_memory.py",),
    "cuda": ("engines/backends/tensorrt/pycuda_memory.py",),
    "open3d": ("calibration/", "realtime/"),
    "aiohttp": (
        "realtime/viewer/",
        "realtime/sources/neon/companion_api.py",
        "realtime/simulation/neon/",
        "realtime/sources/tobii/control.py",
        "realtime/simulation/tobii/",
    ),
    "prometheus_client": ("realtime/pipeline/prometheus.py",),
    "matplotlib": ("realtime/media/chart.py", "realtime/commands/"),
    "mcap": ("realtime/recording/reader.py", "realtime/recording/writer.py", "realtime/robotics/ros2/bag.py"),
    "cryptography": ("realtime/viewer/page_secrets.py",),
    "pyrage": ("realtime/recording/encryption.py",),
    "rosbags": ("realtime/robotics/ros2/message_types.py",),
    "aria": ("realtime/sources/aria/bridge.py",),
    "projectaria_tools": ("realtime/sources/aria/bridge.py",),
    "pylsl": ("realtime/sources/lsl/", "realtime/simulation/lsl_outlet.py"),
    "foxglove": ("realtime/robotics/ros2/foxglove.py",),
    "pyrealsense2": ("realtime/sources/realsense/camera.py",),
    "ray": ("realtime/serving/cluster/ray_",),
    "aiortc": ("realtime/sources/webrtc/peer.py", "realtime/sources/webrtc/frame_assembler.py"),
}
"""Heavy libraries and the only places that may import them."""
HEAVY = {"av", "aiortsp", "pupil_labs", "openvino", "onnxruntime", "torch", "onnx", "tensorrt", "pycuda", "open3d",
         "aiohttp", "rosbags", "matplotlib", "foxglove", "pylsl", "pyrealsense2", "aiortc", "pyrage",
         "ray"}  # fmt: skip
MAX_LOOSE, MAX_ONE_WORD = 6, 0.3
LIGHT = (
    "engines", "engines.load", "engines.weights", "engines.fake", "calibration", "realtime", "realtime.types",
    "realtime.comms", "realtime.config.schema", "realtime.comms.mask_subscriber", "realtime.commands.main",
    "realtime.commands.doctor.probes",
)  # fmt: skip
"""Modules whose import loads no library that was not chosen."""


def modules() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


LISTENING = (
    "realtime/comms/sockets/", "realtime/viewer/server.py", "realtime/robotics/ros2/foxglove.py",
    "realtime/robotics/ros2/foxglove_relay.py", "realtime/simulation/", "realtime/sources/rtsp/",
    "realtime/sources/aria/bridge.py", "realtime/commands/doctor/probes.py", "realtime/commands/demo/command.py",
    "realtime/pipeline/prometheus.py",
)  # fmt: skip
"""The only places that open a socket for others; docs/guides/security.md has each. Loopback is the default."""


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Find (absolute name, line) of all that a module imports, also within functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # relative imports would hide where they point, and the packages must stay easy to move
            assert node.level == 0, f"{path.relative_to(ROOT)}:{node.lineno} imports relatively"
            yield str(node.module), node.lineno


def test_heavy_libraries_are_imported_in_their_homes_only() -> None:
    """The imports between our packages are a contract in pyproject.toml, for `lint-imports`."""
    for path in modules():
        here = path.relative_to(ROOT).as_posix()
        for name, line in imports(path):
            top = name.split(".")[0]
            assert top not in ("tests", "demos", "benchmarks"), f"{here}:{line} must not import {name}"
            if top in HOMES:
                assert here.startswith(HOMES[top]), f"{here}:{line} imports {top}, not in {', '.join(HOMES[top])}"


def test_sockets_for_others_are_opened_in_few_places() -> None:
    pattern = re.compile(r"\.bind\(|\b(TCPSite|SockSite|UnixSite|start_(http_)?server|create_server|HTTPServer)\(")
    found = {path.relative_to(ROOT).as_posix() for path in modules() if pattern.search(path.read_text())}
    assert [name for name in sorted(found) if not name.startswith(LISTENING)] == []


def test_layers_are_kept_and_no_import_is_circular() -> None:
    command = Path(sys.executable).parent / "lint-imports"
    if not command.exists():
        pytest.skip("import-linter is not installed; make setup brings it")
    done = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:]


def test_no_module_has_a_name_without_a_meaning() -> None:
    names = {part for path in modules() for part in path.relative_to(ROOT).with_suffix("").parts}
    assert not names & {"utils", "util", "helpers", "helper", "common", "manager", "misc"}


def test_few_modules_of_realtime_are_in_no_package() -> None:
    loose = sorted(path.name for path in (ROOT / "realtime").glob("*.py"))
    assert len(loose) <= MAX_LOOSE, loose


def test_names_of_public_classes_are_unique_and_mostly_have_two_words() -> None:
    classes: dict[str, list[str]] = {}
    for path in modules():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                classes.setdefault(node.name, []).append(path.relative_to(ROOT).as_posix())
    assert {name: where for name, where in classes.items() if len(where) > 1} == {}
    one_word = [name for name in classes if len(re.findall("[A-Z][a-z0-9]*", name)) < 2]
    assert len(one_word) / len(classes) <= MAX_ONE_WORD, sorted(one_word)


def test_public_modules_are_light() -> None:
    """All in one process, one after the other, so that the first which loads a heavy library is named."""
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
