"""Reads the state of this machine; imports no heavy library."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from realtime.commands.doctor import checks
from realtime.commands.doctor.report import DoctorFinding, DoctorReport
from realtime.session.aria_input import PYTHON_VARIABLE

DISTRIBUTION = "gazecast"
PACKAGES = ("realtime", "engines", "calibration")
PUBLISH_PORT, DEVICE_PORT = 5571, 50020
BACKENDS = {
    "openvino": (("openvino",), "pip install -e '.[run]'"),
    "onnxruntime": (("onnxruntime",), "pip install -e '.[onnxruntime]'"),
    "torch": (("torch",), "pip install -e '.[torch]'"),
    "tensorrt": (
        ("tensorrt", "tensorrt-rtx", "tensorrt-rtx-cu13-bindings"),
        "on an NVIDIA GPU, see docs/guides/gpu.md",
    ),
    "fake": (("opencv-python",), "pip install -e '.[run]'"),
}
"""Backend -> distributions, of which it needs one, and how to install it."""


def examine_machine(*, cache: Path | None = None) -> DoctorReport:
    """Check this machine, in a few seconds: the encoder is measured where its weights are here.

    cache: the folder of models and engines; default: the user's cache.
    """
    gpu = _nvidia_smi()
    return DoctorReport((
        *_system(),
        _processor(),
        checks.check_instructions(_read("/proc/cpuinfo")),
        checks.check_memory(_read("/proc/meminfo"), _read("/sys/fs/cgroup/memory.max")),
        *checks.check_gpu(gpu),
        *_libraries(),
        *_backends(has_gpu=gpu is not None and not gpu.startswith("error:")),
        *_speed(),
        *_cache(cache),
        checks.check_port("publish", PUBLISH_PORT, _is_free(PUBLISH_PORT)),
        checks.check_port("device", DEVICE_PORT, _is_free(DEVICE_PORT)),
        *_cameras(),
        checks.check_display(platform.system(), _display()),
        checks.check_origins({name: _home(name) for name in PACKAGES}),
    ))  # fmt: skip


def describe_processor() -> str:
    """Describe this machine's processor and its cores."""
    return _processor().text


def _processor() -> DoctorFinding:
    cores = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    return checks.check_processor(_read("/proc/cpuinfo"), cores, usable)


def _system() -> Iterable[DoctorFinding]:
    yield DoctorFinding("System", "os", "ok", f"{_os_name()}, {platform.machine()}")
    fits = (3, 11) <= sys.version_info[:2] <= (3, 13)
    text = f"{platform.python_version()} at {sys.executable}"
    advice = "" if fits else "gazecast was tested with Python 3.11 to 3.13; make the environment with one of them"
    yield DoctorFinding("System", "python", "ok" if fits else "problem", text, advice)


def _os_name() -> str:
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {platform.system()} {platform.release()}"
    except (OSError, KeyError):
        return platform.platform()


def _libraries() -> Iterable[DoctorFinding]:
    try:
        wanted = checks.parse_requirements(importlib.metadata.requires(DISTRIBUTION) or [])
    except importlib.metadata.PackageNotFoundError:
        yield checks.check_library(DISTRIBUTION, "", None)
        return
    for name, extra in wanted:
        yield checks.check_library(name, extra, _version(name))
    yield checks.check_aria(os.environ.get(PYTHON_VARIABLE, ""), importlib.util.find_spec("aria") is not None)
    if error := _import_error("cv2"):
        advice = "on Debian: sudo apt-get install libgl1 libglib2.0-0"
        yield DoctorFinding("Libraries", "cv2", "problem", f"cannot be imported: {error}", advice)


def _backends(has_gpu: bool) -> Iterable[DoctorFinding]:
    for backend, (needs, install) in BACKENDS.items():
        found = next((f"{name} {version}" for name in needs if (version := _version(name)) is not None), None)
        yield checks.check_backend(backend, found, install, has_gpu)


def _speed() -> Iterable[DoctorFinding]:
    """Measure the encoder for about a second, in another process, where it can run here."""
    code, output, _ = _run([sys.executable, "-m", "engines.measure_speed"], 120)
    if code == 0:
        yield checks.check_speed(json.loads(output.splitlines()[-1]))


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _import_error(module: str) -> str:
    """Import a library in another process, which it may crash, and return its error; empty if there is none."""
    code, _, error = _run([sys.executable, "-c", f"import {module}"], 60)
    return (error.strip().splitlines() or [f"exit code {code}"])[-1] if code else ""


def _nvidia_smi() -> str | None:
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    query = "--query-gpu=name,memory.total,driver_version,compute_cap"
    code, output, error = _run([program, query, "--format=csv,noheader,nounits"], 5)
    return f"error: {(output + error).strip()}" if code else output


def _run(command: list[str], timeout_s: float) -> tuple[int, str, str]:
    """Run a program and return its exit code, stdout and stderr; code -1 if it cannot be run in time."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        return -1, "", str(error)
    return done.returncode, done.stdout, done.stderr


def _cache(cache: Path | None) -> Iterable[DoctorFinding]:
    try:
        from engines import ModelError, weights
        from engines.settings import default_cache_dir
    except ImportError as error:  # OpenCV without its system libraries; reported by `_libraries`
        yield DoctorFinding("Cache", "models", "problem", f"cannot be read: {error}")
        return
    try:
        root = cache or default_cache_dir().parent
    except ModelError as error:
        yield DoctorFinding("Cache", "folder", "problem", str(error), "export GAZECAST_CACHE=/a/folder/of/yours")
        return
    for model in weights.list_models():
        problem = ""
        try:
            weights.model_folder(model.name, root=root / "models")
        except ModelError as error:
            problem = str(error)
        yield checks.check_weights(model.name, root / "models" / model.name, problem)
    files = [path for path in (root / "engines").rglob("*") if path.is_file()]
    size_mib = sum(path.stat().st_size for path in files) / (1 << 20)
    yield DoctorFinding("Cache", "engines", "ok", f"{len(files)} file(s), {size_mib:.0f} MiB in {root / 'engines'}")
    existing = next(folder for folder in (root, *root.parents) if folder.exists())
    yield checks.check_disk(root, shutil.disk_usage(existing).free, os.access(existing, os.W_OK))


def _is_free(number: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError:
            return False
    return True


def _cameras() -> Iterable[DoctorFinding]:
    if platform.system() != "Linux":
        yield DoctorFinding("Cameras", "cameras", "note", "not looked for on this system", "try --source camera:0")
        return
    nodes = sorted(Path("/dev").glob("video[0-9]*"), key=lambda node: int(re.sub(r"\D", "", node.name) or 0))
    if not nodes:
        yield DoctorFinding("Cameras", "cameras", "ok", "none; use a headset, a file or gazecast simulate")
    for node in nodes:
        label = _read(f"/sys/class/video4linux/{node.name}/name").strip() or "unnamed"
        index = _read(f"/sys/class/video4linux/{node.name}/index").strip()
        yield checks.check_camera(node, label, index, os.access(node, os.R_OK | os.W_OK), _group(node))


def _group(node: Path) -> str:
    try:
        return node.group()
    except (OSError, KeyError, NotImplementedError):
        return "video"


def _display() -> str:
    names = ("DISPLAY", "WAYLAND_DISPLAY")
    return next((f"{name}={os.environ[name]}" for name in names if os.environ.get(name)), "")


def _home(package: str) -> str:
    spec = importlib.util.find_spec(package)
    return str(Path(spec.origin).resolve().parent.parent) if spec and spec.origin else ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
