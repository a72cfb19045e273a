"""Tests that the command starts only when the imported packages are its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("realtime", "engines", "calibration")
RUN = "import sys; sys.path[:0] = sys.argv[1:]; import gazecast; sys.exit(gazecast.main())"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Make a folder with the packages' `__init__` and an entry point in place of the command's."""
    site = tmp_path / "site"
    for name in PACKAGES:
        (site / name).mkdir(parents=True)
        shutil.copy(ROOT / name / "__init__.py", site / name)
    (site / "realtime" / "__main__.py").write_text("def main():\n    return 7\n")
    shutil.copy(ROOT / "gazecast.py", site)
    return site


def start(*folders: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-c", RUN, *map(str, folders)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_alone_it_starts(installed):
    assert start(installed).returncode == 7


def test_another_package_that_python_finds_first_is_named(installed, tmp_path):
    other = tmp_path / "other"
    (other / "realtime").mkdir(parents=True)
    (other / "realtime" / "__init__.py").write_text("")
    done = start(other, installed)
    assert done.returncode == 2
    assert f"another package realtime at {other / 'realtime'}" in done.stderr
    assert "environment of its own" in done.stderr


@pytest.mark.parametrize("name", PACKAGES)
def test_overwritten_files_are_noticed(installed, name):
    (installed / name / "__init__.py").write_text("from .client import Client\n")
    done = start(installed)
    assert done.returncode == 2
    assert f"installed a package {name}" in done.stderr


def test_files_that_overwrote_those_of_another_are_noticed_by_the_command_and_by_an_import(installed):
    (installed / "realtime-2.4.0.dist-info").mkdir()
    assert start(installed).returncode == 2
    code = "import sys; sys.path.insert(0, sys.argv[1]); import realtime"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(installed)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 1
    assert "another distribution with a package `realtime`" in done.stderr


def test_a_missing_package_is_named(installed):
    shutil.rmtree(installed / "calibration")
    done = start(installed)
    assert done.returncode == 2
    assert "package calibration" in done.stderr  # none, or that of a clone that this environment knows


def test_a_missing_library_is_named_with_its_install_command(tmp_path):
    code = """
import sys
class Without:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "cv2":
            raise ModuleNotFoundError("No module named 'cv2'", name="cv2")
sys.meta_path.insert(0, Without())
from realtime.__main__ import main
sys.argv = ["gazecast", "run"]
sys.exit(main())
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2, done.stderr
    assert "needs opencv-python" in done.stderr
    assert ".[run]" in done.stderr


def test_a_subscriber_needs_no_opencv_until_a_png_arrives():
    code = """
import sys
class Without:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("cv2", "torch", "openvino", "matplotlib", "aiohttp", "av", "rich", "mcap"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Without())
import numpy as np
from realtime import MaskSubscriber, Requester
from realtime.comms.mask_encoding import decode_mask, encode_mask
mask = np.eye(9, dtype=bool)
for encoding in ("packbits+zstd", "coco_rle", "png"):
    try:
        print(encoding, (decode_mask(encode_mask(mask, encoding)) == mask).all())
    except Exception as error:
        print(encoding, type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == ["packbits+zstd True", "coco_rle True"]
    assert "png WireError a mask as PNG needs OpenCV" in done.stdout


@pytest.mark.parametrize(("chosen", "expected"), [(None, "1"), ("3", "3")])
def test_numpy_is_loaded_with_one_thread_unless_the_user_chose(chosen, expected, monkeypatch):
    code = """
import os, sys
from realtime.infra.entry_point import run_command
def load():
    print(os.environ["OPENBLAS_NUM_THREADS"], "numpy" in sys.modules)
    return lambda: 0
run_command(load)
"""
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    if chosen is not None:
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", chosen)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == [expected, "False"], done.stderr
