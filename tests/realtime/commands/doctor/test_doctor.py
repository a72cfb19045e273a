"""The doctor assesses readings of systems, and completes on this one."""

from __future__ import annotations

import importlib.util
import json
import socket
import sys
from pathlib import Path

import pytest

from realtime.commands.doctor import checks
from realtime.commands.doctor.probes import examine_machine
from realtime.commands.doctor.report import DoctorFinding, DoctorReport

CPUINFO = "processor\t: 0\nmodel name\t: Fast(R)  CPU @ 3GHz\nflags\t\t: fpu sse avx2 avx512f avx512_vnni amx_bf16\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm\n"
MEMINFO = "MemTotal:       16777216 kB\nMemFree: 100 kB\nMemAvailable:    8388608 kB\n"


def test_processor() -> None:
    whole = checks.check_processor(CPUINFO, 8, 8)
    assert (whole.state, whole.text) == ("ok", "Fast(R) CPU @ 3GHz, 8 cores")
    assert checks.check_processor(CPUINFO, 8, 4).text.endswith("4 of 8 cores may be used")
    one = checks.check_processor("", 1, 1)
    assert (one.state, one.text) == ("note", "unknown processor, 1 cores")
    assert "share one core" in one.advice


@pytest.mark.parametrize(
    ("cpuinfo", "text"),
    [
        (CPUINFO, "avx2 avx512 avx512_vnni amx_bf16; fast: f32, int8, bf16"),
        (ARM, "arm dot product arm i8mm; fast: f32, int8"),
        ("flags : fpu\n", "none of those that matter; fast: f32"),
        ("", "unknown on this system"),
    ],
)
def test_instructions(cpuinfo: str, text: str) -> None:
    assert checks.check_instructions(cpuinfo).text == text


@pytest.mark.parametrize(
    ("meminfo", "cgroup", "state", "text"),
    [
        (MEMINFO, "max\n", "ok", "16.0 GiB, 8.0 free"),
        (MEMINFO, "4294967296\n", "ok", "16.0 GiB, 8.0 free, of which this container may use 4.0"),
        (MEMINFO, "1073741824", "note", "16.0 GiB, 8.0 free, of which this container may use 1.0"),
        ("", "", "note", "unknown on this system"),
    ],
)
def test_memory(meminfo: str, cgroup: str, state: str, text: str) -> None:
    found = checks.check_memory(meminfo, cgroup)
    assert (found.state, found.text) == (state, text)


def test_requirements_know_their_extra() -> None:
    lines = ["numpy<3,>=1.26", "av>=13", 'torch>=2.6; extra == "torch"', "ruff>=0.11; extra == 'dev'"]
    assert checks.parse_requirements(lines) == [("numpy", ""), ("av", ""), ("torch", "torch")]


def test_a_missing_library_matters_only_when_it_is_needed() -> None:
    assert checks.check_library("numpy", "", "2.0").state == "ok"
    assert checks.check_library("numpy", "", None).state == "problem"
    assert checks.check_aria("", False).state == "note"
    assert "aria-env" in checks.check_aria("aria-env/bin/python", False).text
    assert checks.check_aria("", True).text == "installed here"
    optional = checks.check_library("torch", "torch", None)
    assert (optional.state, optional.advice) == ("note", "optional: pip install -e '.[torch]'")


@pytest.mark.parametrize(
    ("ms_per_megapixel", "state", "text"),
    [
        (400, "ok", "int8, measured: keyframes every 59 ms at 512 px while the picture moves; 512 px takes 59 ms"),
        (1700, "note", "int8, measured: keyframes every 98 ms at 320 px while the picture moves; 512 px takes 251 ms"),
        (50, "ok", "int8, measured: keyframes every 33 ms at 512 px while the picture moves; 512 px takes 7 ms"),
    ],
)
def test_speed_is_told_in_keyframes(ms_per_megapixel: float, state: str, text: str) -> None:
    measured = {"precision": "int8", "sides": [256, 320, 384, 448, 512], "ms_per_megapixel": ms_per_megapixel}
    found = checks.check_speed(measured)
    assert (found.state, found.text) == (state, text)


def test_graphics() -> None:
    (none,) = checks.check_gpu(None)
    assert none.state == "ok"
    two = list(checks.check_gpu("NVIDIA H200, 143771, 570.1, 9.0\nNVIDIA T4, [N/A], 570.1, 7.5\n"))
    assert two[0].text == "NVIDIA H200, 140 GiB, driver 570.1, compute 9.0"
    assert two[1].text == "NVIDIA T4, memory [N/A], driver 570.1, compute 7.5"
    (broken,) = checks.check_gpu("error: couldn't communicate with the NVIDIA driver\nmore")
    assert (broken.state, broken.text) == ("note", "couldn't communicate with the NVIDIA driver")
    (silent,) = checks.check_gpu("error: ")
    assert silent.state == "note"


def test_model(tmp_path: Path) -> None:
    assert checks.check_weights("mobile_sam", tmp_path, "").state == "ok"
    assert checks.check_weights("mobile_sam", tmp_path / "no", "missing").advice == "gazecast models pull mobile_sam"
    assert checks.check_weights("sam_vit_h", tmp_path / "no", "missing").state == "ok"
    assert checks.check_weights("mobile_sam", tmp_path, "wrong sum").state == "problem"


@pytest.mark.parametrize(
    ("free", "writable", "state"),
    [(100 << 30, True, "ok"), (1 << 30, True, "note"), (1 << 20, True, "problem"), (100 << 30, False, "problem")],
)
def test_room(free: int, writable: bool, state: str) -> None:
    assert checks.check_disk(Path("cache"), free, writable).state == state


def test_ports() -> None:
    assert checks.check_port("publish", 5571, True).state == "ok"
    assert "--publish" in checks.check_port("publish", 5571, False).advice
    assert "pupil://127.0.0.1:50020" in checks.check_port("device", 50020, False).text


def test_cameras() -> None:
    node = Path("/dev/video2")
    assert checks.check_camera(node, "Cam", "0", True, "video").text == "Cam; --source camera:2"
    assert checks.check_camera(node, "Cam", "1", True, "video").text == "Cam; metadata, no pictures"
    locked = checks.check_camera(node, "Cam", "0", False, "plugdev")
    assert locked.state == "note"
    assert "usermod -aG plugdev" in locked.advice


def test_display() -> None:
    assert checks.check_display("Linux", "DISPLAY=:0").state == "ok"
    assert checks.check_display("Darwin", "").state == "ok"
    assert checks.check_display("Linux", "").state == "note"


def test_origins() -> None:
    assert checks.check_origins({"realtime": "/a", "engines": "/a"}).state == "ok"
    for other in ("/b", ""):
        found = checks.check_origins({"realtime": "/a", "engines": other})
        assert found.state == "problem"
        assert f"engines from {other or 'nowhere'}" in found.text


def test_the_report_is_formatted_as_text_and_json() -> None:
    findings = (
        DoctorFinding("Ports", "5571", "note", "taken", "choose another"),
        DoctorFinding("Packages", "origin", "problem", "elsewhere"),
    )
    report = DoctorReport(findings)
    assert not report.is_healthy
    assert report.to_text().splitlines() == [
        "Ports", "  - 5571    taken", "            -> choose another", "",
        "Packages", "  ! origin  elsewhere", "", "1 problem(s)",
    ]  # fmt: skip
    fields = json.loads(report.to_json())
    assert fields["healthy"] is False
    assert fields["findings"][0]["advice"] == "choose another"
    assert DoctorReport(findings[:1]).is_healthy


def test_examines_this_machine(tmp_path: Path) -> None:
    report = examine_machine(cache=tmp_path)
    assert list(dict.fromkeys(finding.section for finding in report.findings)) == [
        "System", "Hardware", "Libraries", "Engines", "Cache", "Ports", "Cameras", "Display", "Packages",
    ]  # fmt: skip
    found = {finding.name: finding for finding in report.findings}
    assert found["python"].text.startswith(".".join(map(str, sys.version_info[:3])))
    assert found["numpy"].state == "ok"
    assert found["mobile_sam"].text == "not cached"
    spec = importlib.util.find_spec("realtime")
    assert spec is not None
    assert spec.origin is not None
    assert found["origin"].text == str(Path(spec.origin).resolve().parent.parent)


def test_tensorrt_without_a_gpu_is_not_available() -> None:
    libraries = {"tensorrt": "tensorrt 11.1", "openvino": "openvino 2026.4"}
    texts = [checks.check_backend(name, found, "", has_gpu=False).text for name, found in libraries.items()]
    assert texts == ["installed (tensorrt 11.1), but needs an NVIDIA GPU", "available (openvino 2026.4)"]
    assert checks.check_backend("tensorrt", "tensorrt 11.1", "", has_gpu=True).text == "available (tensorrt 11.1)"
    assert checks.check_backend("tensorrt", None, "see the guide", has_gpu=False).state == "note"


def test_detects_a_port_that_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        number = holder.getsockname()[1]
        monkeypatch.setattr("realtime.commands.doctor.probes.PUBLISH_PORT", number)
        taken = next(finding for finding in examine_machine(cache=tmp_path).findings if finding.name == str(number))
    assert taken.text.startswith("taken")
    free = next(finding for finding in examine_machine(cache=tmp_path).findings if finding.name == str(number))
    assert free.text.startswith("free")


def test_damaged_weights_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "mobile_sam"
    folder.mkdir(parents=True)
    (folder / "mobile_sam.pt").write_bytes(b"short")
    found = next(finding for finding in examine_machine(cache=tmp_path).findings if finding.name == "mobile_sam")
    assert found.state == "problem"
    assert "5 bytes, expected 40,728,226" in found.text
