"""Videos come out as a browser wants them, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from realtime.errors import VideoError
from realtime.media.video_writer import OverlayWriter


def grey(level: int, width: int = 96, height: int = 64) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


@pytest.mark.parametrize(("codec", "suffix", "name"), [("libx264", ".mp4", "h264"), ("libvpx-vp9", ".webm", "vp9")])
def test_frames_come_back_at_their_times(codec: str, suffix: str, name: str, tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.10, 0.5, 1.0]
    with OverlayWriter(tmp_path / "film", (95, 63), 25, codec=codec) as writer:
        for index, at_s in enumerate(times):
            writer.write(grey(40 * (index + 1), 95, 63), at_s)
    assert writer.path == tmp_path / f"film{suffix}"
    assert [path.name for path in tmp_path.iterdir()] == [writer.path.name]
    with av.open(str(writer.path)) as film:
        stream = film.streams.video[0]
        context = stream.codec_context
        assert (context.name, context.pix_fmt, context.width, context.height) == (name, "yuv420p", 96, 64)
        frames = list(film.decode(video=0))
    assert [frame.time for frame in frames] == pytest.approx(times, abs=0.002)
    for index, frame in enumerate(frames):
        assert abs(float(frame.to_ndarray(format="bgr24").mean()) - 40 * (index + 1)) < 6


def test_starts_to_play_before_it_is_loaded(tmp_path: Path) -> None:
    with OverlayWriter(tmp_path / "film", (96, 64), 25, codec="libx264") as writer:
        for index in range(10):
            writer.write(grey(index), index / 25)
    body = writer.path.read_bytes()
    assert 0 < body.index(b"moov") < body.index(b"mdat")


def test_late_frames_are_counted(tmp_path: Path) -> None:
    with OverlayWriter(tmp_path / "film", (96, 64), 25) as writer:
        for at_s in (0.0, 0.2, 0.2, 0.1, 0.3):
            writer.write(grey(9), at_s)
    assert (writer.frames, writer.late) == (3, 2)


def test_an_error_leaves_no_file(tmp_path: Path) -> None:
    writer = OverlayWriter(tmp_path / "film", (96, 64), 25)
    writer.write(grey(1), 0)
    with pytest.raises(ValueError, match=r"\(96, 64\), got a frame of \(10, 10\)"), writer:
        writer.write(grey(1, 10, 10), 1)
    assert list(tmp_path.iterdir()) == []


def test_a_bad_folder_and_a_bad_codec_are_errors(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="another folder"):
        OverlayWriter(tmp_path / "absent" / "film", (96, 64), 25)
    with pytest.raises(VideoError, match="no encoder nonsense"):
        OverlayWriter(tmp_path / "film", (96, 64), 25, codec="nonsense")
