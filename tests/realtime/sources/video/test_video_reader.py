"""Clips from files and folders, and what is no clip."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime.errors import SourceError
from realtime.sources.video.opencv_capture import open_camera
from realtime.sources.video.video_reader import VideoFile
from tests.realtime.sources.video.clips import make_folder, make_video, number_in, picture


def test_file_has_its_frames_rate_and_times(tmp_path: Path) -> None:
    clip = VideoFile(make_video(tmp_path / "clip.mp4", 10, fps=20))
    assert (clip.fps, clip.size) == (20, (64, 48))
    for _ in range(2):  # each reading begins anew
        times, images = zip(*clip.frames(), strict=True)
        assert times == pytest.approx([i / 20 for i in range(10)])
        assert [number_in(image) for image in images] == list(range(10))
        assert {(image.shape, image.dtype) for image in images} == {((48, 64, 3), np.dtype(np.uint8))}


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPG"])
def test_folder_is_a_clip_in_order_of_names(tmp_path: Path, suffix: str) -> None:
    folder = make_folder(tmp_path / "clip", 5, suffix=suffix)
    (folder / "notes.txt").write_text("no picture")
    clip = VideoFile(folder, fps=10)
    times, images = zip(*clip.frames(), strict=True)
    assert times == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert [number_in(image) for image in images] == list(range(5))


def test_folder_skips_and_counts_other_files(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "clip", 4)
    (folder / "000.png").write_bytes(b"")
    (folder / "002.png").write_bytes(b"\x89PNG broken")
    cv2.imwrite(str(folder / "003.png"), picture(3, (32, 16))[:, :, 0])
    clip = VideoFile(folder, fps=10)
    frames = list(clip.frames())
    assert [at_s for at_s, _ in frames] == pytest.approx([0.1, 0.3])
    assert clip.undecodable == 2
    assert frames[1][1].shape == (16, 32, 3)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.mp4", None, "there is no .*missing.mp4; give a video file or a folder"),
        ("empty.mp4", b"", "is empty; copy or record it again"),
        ("text.mp4", b"this is no video" * 100, "cannot be opened as a video"),
    ],
)
def test_other_files_are_named(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=message):
        VideoFile(tmp_path / name)


def test_truncated_video_is_named(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", 10)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(SourceError, match="is incomplete"):
        VideoFile(path)


@pytest.mark.parametrize("kept", ["no index", "half an index"])
def test_a_cut_mp4_is_called_incomplete(tmp_path: Path, kept: str) -> None:
    path = make_video(tmp_path / "clip.mp4", 10)
    data = path.read_bytes()
    index = data.rindex(b"moov") - 4
    path.write_bytes(data[: index if kept == "no index" else index + 100])
    with pytest.raises(SourceError, match="is incomplete: it ends before its index"):
        VideoFile(path)


def test_names_with_a_colon_are_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_video(tmp_path / "clip.mp4", 3).rename(tmp_path / "2026-05-01T12:30:00.mp4")
    monkeypatch.chdir(tmp_path)
    assert len(list(VideoFile(Path("2026-05-01T12:30:00.mp4")).frames())) == 3


def test_a_video_whose_name_is_not_utf8_is_read(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", 3).rename(tmp_path / os.fsdecode(b"caf\xe9.mp4"))
    assert len(list(VideoFile(path).frames())) == 3


def test_folder_without_pictures_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"holds no pictures; expected files that end in \.jpg"):
        VideoFile(tmp_path)
    (tmp_path / "a.png").write_bytes(b"broken")
    with pytest.raises(SourceError, match="no picture that can be decoded"):
        VideoFile(tmp_path)


def test_folder_at_an_impossible_rate_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="0 frames per second"):
        VideoFile(make_folder(tmp_path / "clip", 1), fps=0.0)


def test_missing_camera_opens_as_none() -> None:
    assert open_camera(99) is None
