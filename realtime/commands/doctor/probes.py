"""Reads the state of this machine; imports no heavy library and changes nothing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from realtime.commands.doctor import checks
from realtime.commands.doctor.report import DoctorFinding, DoctorReport

DISTRIBUTION = "gazecast"
PACKAGES = ("realtime", "engines", "calibration")
PUBLISH_PORT, DEVICE_PORT = 5571, 50020
BACKENDS = {
    "openvino": (("openvino",), "pip install -e ."),
    "onnxruntime": (("onnxruntime",), "pip install -e '.[onnxruntime]'"),
    "torch": (("torch",), "pip install -e ."),
    "tensorrt": (
        ("tensorrt", "tensorrt-rtx", "tensorrt-rtx-cu13-bindings"),
        "on an NVIDIA GPU, see docs/guides/gpu.md",
    ),
    "fake": (("opencv-python",), "pip install -e ."),
}
"""Backend -> distributions, of which it needs one, and how to install it."""


def examine_machine(*, cache: Path | None = None) -> DoctorReport:
    """Check this machine, in under a second unless nvidia-smi is slow (at most 5 s).

    cache: the folder of models and engines; default: the user's cache.
    """
    probes: tuple[Callable[[], Iterable[DoctorFinding]], ...] = (
        _system,
        lambda: _hardware(_read("/proc/cpuinfo"), _read("/proc/meminfo"), _read("/sys/fs/cgroup/memory.max")),
        lambda: checks.check_gpu(_nvidia_smi()),
        _libraries,
        _backends,
        lambda: _cache(cache),
        _ports,
        _cameras,
        _display,
        _origins,
    )
    return DoctorReport(tuple(finding for probe in probes for finding in probe()))


def describe_processor() -> str:
    """Describe this machine's processor and its cores."""
    return checks.check_processor(_read("/proc/cpuinfo"), os.cpu_count() or 1, _usable_cores()).text


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _system() -> Iterable[DoctorFinding]:
    version = platform.python_version()
    fits = (3, 11) <= sys.version_info[:2] <= (3, 13)
    yield DoctorFinding("System", "os", "ok", f"{_os_name()}, {platform.machine()}")
    yield DoctorFinding(
        "System", "python", "ok" if fits else "problem", f"{version} at {sys.executable}",
        "" if fits else "gazecast was tested with Python 3.11 to 3.13; make the environment with one of them",
    )  # fmt: skip


def _os_name() -> str:
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {platform.system()} {platform.release()}"
    except (OSError, KeyError):
        return platform.platform()


def _hardware(cpuinfo: str, meminfo: str, cgroup: str) -> Iterable[DoctorFinding]:
    yield checks.check_processor(cpuinfo, os.cpu_count() or 1, _usable_cores())
    yield checks.check_instructions(cpuinfo)
    yield checks.check_memory(meminfo, cgroup)


def _libraries() -> Iterable[DoctorFinding]:
    try:
        wanted = checks.parse_requirements(importlib.metadata.requires(DISTRIBUTION) or [])
    except importlib.metadata.PackageNotFoundError:
        yield DoctorFinding(
            "Libraries", DISTRIBUTION, "problem", "is not installed", "run make setup, or pip install -e ."
        )
        return
    for name, extra in wanted:
        yield checks.check_library(name, extra, _version(name))
    error = _import_error("cv2")
    if error:
        advice = "on Debian: sudo apt-get install libgl1 libglib2.0-0"
        yield DoctorFinding("Libraries", "cv2", "problem", f"cannot be imported: {error}", advice)


def _backends() -> Iterable[DoctorFinding]:
    for backend, (needs, install) in BACKENDS.items():
        found = [(name, version) for name in needs if (version := _version(name)) is not None]
        if not found:
            yield DoctorFinding("Engines", backend, "note", "not available", f"for more engines: {install}")
        else:
            yield DoctorFinding("Engines", backend, "ok", f"available ({found[0][0]} {found[0][1]})")


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _import_error(module: str) -> str:
    """Import a library in another process, which it may crash, and return its error; empty if there is none."""
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", f"import {module}"], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]


def _nvidia_smi() -> str | None:
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    query = "--query-gpu=name,memory.total,driver_version,compute_cap"
    try:
        done = subprocess.run(  # noqa: S603 - the driver's own tool, constant arguments
            [program, query, "--format=csv,noheader,nounits"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"error: {error}"
    return done.stdout if done.returncode == 0 else f"error: {(done.stdout + done.stderr).strip()}"


def _cache(cache: Path | None) -> Iterable[DoctorFinding]:
    try:
        from engines import ModelError, weights
        from engines.settings import default_cache_dir
    except ImportError as error:  # OpenCV without its system libraries; reported by `_libraries`
        yield DoctorFinding("Cache", "models", "problem", f"cannot be read: {error}")
        return
    root = cache or default_cache_dir().parent
    for entry in weights.list_models():
        trouble = ""
        try:
            weights.model_folder(entry.name, root=root / "models")
        except ModelError as error:
            trouble = str(error)
        yield checks.check_weights(entry.name, root / "models" / entry.name, trouble)
    files = [path for path in (root / "engines").rglob("*") if path.is_file()]
    size_mib = sum(path.stat().st_size for path in files) / (1 << 20)
    yield DoctorFinding("Cache", "engines", "ok", f"{len(files)} file(s), {size_mib:.0f} MiB in {root / 'engines'}")
    yield checks.check_disk(root, shutil.disk_usage(_existing(root)).free, os.access(_existing(root), os.W_OK))


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())


def _ports() -> Iterable[DoctorFinding]:
    yield checks.check_port("publish", PUBLISH_PORT, _is_free(PUBLISH_PORT))
    yield checks.check_port("device", DEVICE_PORT, _is_free(DEVICE_PORT))


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


def _display() -> Iterable[DoctorFinding]:
    names = ("DISPLAY", "WAYLAND_DISPLAY")
    found = next((f"{name}={os.environ[name]}" for name in names if os.environ.get(name)), "")
    yield checks.check_display(platform.system(), found)


def _origins() -> Iterable[DoctorFinding]:
    yield checks.check_origins({name: _home(name) for name in PACKAGES})


def _home(package: str) -> str:
    spec = importlib.util.find_spec(package)
    return str(Path(spec.origin).resolve().parent.parent) if spec and spec.origin else ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
