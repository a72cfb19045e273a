"""Assesses readings of the system. Pure: each function receives a reading and returns findings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

from realtime.commands.doctor.report import DoctorFinding
from realtime.pipeline.side_control import PictureSideControl

CPU_FLAGS = {
    "avx2": "avx2",
    "avx512f": "avx512",
    "avx512_vnni": "avx512_vnni",
    "avx_vnni": "avx_vnni",
    "avx512_bf16": "avx512_bf16",
    "amx_bf16": "amx_bf16",
    "amx_int8": "amx_int8",
    "asimddp": "arm dot product",
    "bf16": "arm bf16",
    "i8mm": "arm i8mm",
}
"""Flags of /proc/cpuinfo that decide how fast a precision runs -> their names in the report."""
FAST_PRECISIONS = {
    "int8": {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"},
    "bf16": {"avx512_bf16", "amx_bf16", "bf16"},
}
"""Precision -> flags of /proc/cpuinfo, any of which makes it fast."""
LOW_DISK_BYTES, MIN_DISK_BYTES = 2 << 30, 200 << 20
GIB = 1 << 30
DEFAULT_MODEL = "mobile_sam"


def check_processor(cpuinfo: str, cores: int, usable: int) -> DoctorFinding:
    """Assess the processor and its cores; with one core, tracker and encoder share it."""
    model = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    name = " ".join(model[1].split()) if model else "unknown processor"
    share = f"{cores} cores" if usable == cores else f"{usable} of {cores} cores may be used"
    advice = "" if usable > 1 else "encoder and tracker will share one core; expect old keyframes"
    return DoctorFinding("Hardware", "cpu", "note" if advice else "ok", f"{name}, {share}", advice)


def check_instructions(cpuinfo: str) -> DoctorFinding:
    """List the instructions that make int8 and bf16 fast."""
    line = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    flags = set(line[1].split()) if line else set()
    if not flags:
        return DoctorFinding("Hardware", "instructions", "note", "unknown on this system")
    found = " ".join(name for flag, name in CPU_FLAGS.items() if flag in flags) or "none of those that matter"
    fast = ["f32", *(precision for precision, needed in FAST_PRECISIONS.items() if flags & needed)]
    text = f"{found}; fast: {', '.join(fast)}"
    return DoctorFinding("Hardware", "instructions", "ok", text)


def check_backend(backend: str, found: str | None, install: str, has_gpu: bool) -> DoctorFinding:
    """Assess an engine by its library, such as "openvino 2026.4.1"; None if that is not installed."""
    if found is None:
        return DoctorFinding("Engines", backend, "note", "not available", f"for more engines: {install}")
    if backend == "tensorrt" and not has_gpu:
        return DoctorFinding("Engines", backend, "ok", f"installed ({found}), but needs an NVIDIA GPU")
    return DoctorFinding("Engines", backend, "ok", f"available ({found})")


def check_speed(measured: Mapping[str, Any]) -> DoctorFinding:
    """Assess the encoder's speed on 16:9 pictures. measured: as `engines.measure_speed` has it."""
    control = PictureSideControl(measured["sides"], 9 / 16, measured["ms_per_megapixel"])
    side, largest = control.side, max(control.sides)
    interval_ms = max(control.expect_ms(side), 1000 / 30)
    text = (
        f"{measured['precision']}, measured: keyframes every {interval_ms:.0f} ms at {side} px while the picture "
        f"moves; {largest} px takes {control.expect_ms(largest):.0f} ms"
    )
    if side >= largest:
        return DoctorFinding("Engines", "speed", "ok", text)
    advice = "masks of small and of fast objects will be coarser than with a GPU, or a CPU with AVX-512 VNNI"
    return DoctorFinding("Engines", "speed", "note", text, advice)


def check_memory(meminfo: str, cgroup: str) -> DoctorFinding:
    """Assess the memory, within the limit of a container where one is set."""
    kib = {key: int(value) for key, value in re.findall(r"^(\w+):\s+(\d+) kB", meminfo, re.MULTILINE)}
    if "MemTotal" not in kib:
        return DoctorFinding("Hardware", "memory", "note", "unknown on this system")
    total, free = kib["MemTotal"] * 1024, kib.get("MemAvailable", 0) * 1024
    limit = int(cgroup) if cgroup.strip().isdigit() else total
    text = f"{total / GIB:.1f} GiB, {free / GIB:.1f} free"
    if limit < total:
        text += f", of which this container may use {limit / GIB:.1f}"
    if min(free, limit) < 2 * GIB:
        return DoctorFinding("Hardware", "memory", "note", text, "2 GiB free are advised")
    return DoctorFinding("Hardware", "memory", "ok", text)


def parse_requirements(lines: Iterable[str]) -> list[tuple[str, str]]:
    """Return (name, extra or "") of each requirement in package metadata, without development tools."""
    found: dict[str, str] = {}
    for line in lines:
        name = re.match(r"[\w.-]+", line.strip())
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", line)
        if name and not (extra and extra[1] == "dev"):
            found.setdefault(name[0], extra[1] if extra else "")
    return list(found.items())


def check_library(name: str, extra: str, version: str | None) -> DoctorFinding:
    """Assess one library; one that only an extra needs may be missing."""
    if version is not None:
        return DoctorFinding("Libraries", name, "ok", version)
    if extra:
        return DoctorFinding("Libraries", name, "note", "not installed", f"optional: pip install -e '.[{extra}]'")
    return DoctorFinding("Libraries", name, "problem", "not installed", "run make setup, or pip install -e .")


def check_aria(python: str, is_here: bool) -> DoctorFinding:
    """Assess Project Aria's client, which has an interpreter of its own. is_here: in this one."""
    find = partial(DoctorFinding, "Libraries", "projectaria-client-sdk")
    if python:
        return find("ok", f"expected in {python} (GAZECAST_ARIA_PYTHON)")
    if is_here:
        return find("ok", "installed here")
    return find("note", "not installed", "optional, in an environment of its own: docs/guides/other-trackers.md")


def check_gpu(answer: str | None) -> Iterable[DoctorFinding]:
    """Assess the output of nvidia-smi; None where it is not installed."""
    if answer is None:
        yield DoctorFinding("Hardware", "gpu", "ok", "no NVIDIA GPU found; the CPU does it all")
        return
    if answer.startswith("error:"):
        advice = "the driver is installed but does not answer; reboot or reinstall it"
        reason = answer.removeprefix("error:").strip() or "nvidia-smi fails and does not say why"
        yield DoctorFinding("Hardware", "gpu", "note", reason.splitlines()[0], advice)
        return
    for line in answer.strip().splitlines():
        name, mib, driver, capability = ([part.strip() for part in line.split(",")] + ["?"] * 4)[:4]
        size = f"{int(mib) / 1024:.0f} GiB" if mib.isdigit() else f"memory {mib}"
        yield DoctorFinding("Hardware", "gpu", "ok", f"{name}, {size}, driver {driver}, compute {capability}")


def check_weights(name: str, folder: Path, problem: str) -> DoctorFinding:
    """Assess a model's weights: cached, damaged or missing, which matters for the default model only."""
    if not problem:
        return DoctorFinding("Cache", name, "ok", f"cached in {folder}")
    if folder.exists():
        return DoctorFinding("Cache", name, "problem", problem)
    if name == DEFAULT_MODEL:
        return DoctorFinding("Cache", name, "note", "not cached", f"gazecast models pull {name}")
    return DoctorFinding("Cache", name, "ok", f"not cached (gazecast models pull {name})")


def check_disk(folder: Path, free: int, writable: bool) -> DoctorFinding:
    """Assess the disk of the cache."""
    find, text = partial(DoctorFinding, "Cache", "disk"), f"{free / GIB:.1f} GiB free for {folder}"
    if not writable:
        return find("problem", f"{folder} cannot be written", "set GAZECAST_CACHE to a folder of yours")
    if free < MIN_DISK_BYTES:
        return find("problem", text, "free some, or set GAZECAST_CACHE to a folder on another disk")
    if free < LOW_DISK_BYTES:
        return find("note", text, "enough for MobileSAM, not for the larger models")
    return find("ok", text)


def check_port(name: Literal["publish", "device"], number: int, free: bool) -> DoctorFinding:
    """Assess a default port: `publish` for masks, `device` for a Pupil device or `gazecast simulate`."""
    find = partial(DoctorFinding, "Ports", str(number))
    if name == "device":
        taken = "taken; a Pupil device or simulation? try --source pupil://127.0.0.1:50020"
        return find("ok", "free; no Pupil device or simulation on this machine" if free else taken)
    if free:
        return find("ok", "free; masks are published there")
    advice = "another gazecast runs? stop it, or choose another: --publish tcp://127.0.0.1:PORT"
    return find("note", "taken; masks are published there", advice)


def check_camera(node: Path, label: str, index: str, allowed: bool, group: str) -> DoctorFinding:
    """Assess a video device; its nodes after the first carry metadata, not frames."""
    number = node.name.removeprefix("video")
    if not allowed:
        advice = f"add yourself to its group and log in again: sudo usermod -aG {group} $USER"
        return DoctorFinding("Cameras", node.name, "note", f"{label}; may not be opened", advice)
    if index not in ("", "0"):
        return DoctorFinding("Cameras", node.name, "ok", f"{label}; metadata, no pictures")
    return DoctorFinding("Cameras", node.name, "ok", f"{label}; --source camera:{number}")


def check_display(system: str, found: str) -> DoctorFinding:
    """Assess whether a window can be opened."""
    if system in ("Windows", "Darwin") or found:
        return DoctorFinding("Display", "window", "ok", f"--window can be used {found}".rstrip())
    advice = "over SSH: ssh -X; without a screen watch the overlay topic instead"
    return DoctorFinding("Display", "window", "note", "no display; --window cannot be used", advice)


def check_origins(homes: dict[str, str]) -> DoctorFinding:
    """Assess whether the three packages come from one folder; other distributions may use their names."""
    if len(set(homes.values())) == 1 and "" not in homes.values():
        return DoctorFinding("Packages", "origin", "ok", next(iter(homes.values())))
    places = ", ".join(f"{name} from {home or 'nowhere'}" for name, home in homes.items())
    advice = "another package with such a name is installed; give gazecast an environment of its own: make setup"
    return DoctorFinding("Packages", "origin", "problem", places, advice)
