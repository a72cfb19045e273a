"""Films that were cut off, that have holes, or whose times are odd."""

from __future__ import annotations

import gc
import os
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from engines import Image
from realtime.errors import SourceError
from realtime.sources.video.decoding import FrameTimes
from realtime.sources.video.file_decoder import read_samples
from realtime.sources.video.frame_images import ImageConverter
from realtime.sources.video.incomplete_files import is_cut_mp4, is_incomplete
from realtime.sources.video.video_file import VideoFrames
from realtime.sources.video.video_reader import VideoFile
from tests.realtime.sources.video.clips import make_folder, number_in, picture, write_clip
from tests.realtime.waiting import eventually

KINDS = {
    "clip.mp4": ("libx264", {"movflags": "+faststart"}),
    "live.mp4": ("libx264", {"movflags": "frag_keyframe+empty_moov"}),
    "clip.mkv": ("libx264", {}),
    "clip.webm": ("libvpx", {}),
    "clip.ts": ("libx264", {}),
    "clip.m2ts": ("libx264", {}),
    "clip.avi": ("mjpeg", {}),
    "clip.flv": ("libx264", {}),
}


def make(path: Path) -> Path:
    codec, options = KINDS[path.name]
    noise = np.random.default_rng(5).integers(0, 60, (40, 48, 64, 3)).astype(np.uint8)  # so that each frame takes bytes
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    return write_clip(path, list(noise), codec=codec, pix_fmt=pix_fmt, options={"g": "5"}, container_options=options)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("share", [0.55, 0.9])
def test_a_cut_film_is_played_to_where_it_ends_and_that_is_reported(
    name: str, share: float, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = make(tmp_path / name)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data)) // 188 * 188 + 101])
    assert name == "clip.flv" or is_incomplete(path)  # FFmpeg itself notices that
    source = VideoFrames(path, real_time=False)
    source.start(lambda frame: None)
    eventually(lambda: source.status().state == "ended")
    source.stop()
    status = source.status()
    assert 40 * share - 10 < status.received < 40
    assert f"{name} is incomplete: it was cut off, and played to there, at " in status.reason
    assert status.reason.endswith(f" s, {status.received} frames")
    assert f"{name} is incomplete: it was cut off" in caplog.text


def test_a_fragmented_film_may_end_anywhere(tmp_path: Path) -> None:
    data = make(tmp_path / "live.mp4").read_bytes()
    path = tmp_path / "cut.mp4"
    fragment = data.index(b"moof", len(data) // 2) - 4
    for length in range(fragment - 20, fragment + 160, 7):
        path.write_bytes(data[:length])
        assert len(list(VideoFile(path).frames())) >= 10


@pytest.mark.parametrize("name", KINDS)
def test_a_whole_film_is_complete(name: str, tmp_path: Path) -> None:
    clip = VideoFile(make(tmp_path / name))
    assert len(list(clip.frames())) == 40
    assert (clip.undecodable, clip.is_incomplete) == (0, False)


def test_unreadable_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"moov")

    def refuse(path: Path, *mode: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SourceError, match=r"^cannot read .*clip.mp4: Permission denied$"):
        VideoFile(path)


@pytest.mark.parametrize("name", ["late.mkv", "late.mp4", "late.ts"])
def test_a_film_that_begins_late_lasts_from_its_first_frame(name: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path / name, [picture(i) for i in range(10)], times=range(1000, 1010))
    duration_s = VideoFile(path).duration_s
    assert duration_s == pytest.approx(0.4, abs=0.05)


@pytest.mark.parametrize("content", [b"", b"R", b"RIFF", b"\x1a\x45\xdf\xa3", b"\x1a\x45\xdf\xa3\x00\x00", bytes(2000)])
def test_other_files_are_neither(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "any"
    path.write_bytes(content)
    assert is_incomplete(path) in (False, content == b"\x1a\x45\xdf\xa3")
    assert not is_cut_mp4(path)


def test_damaged_frames_are_counted_and_left_out(tmp_path: Path) -> None:
    whole = [cv2.imencode(".jpg", picture(number))[1].tobytes() for number in range(6)]
    whole[2] = whole[2][: len(whole[2]) // 2]
    path = tmp_path / "clip.avi"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        stream.encode(av.VideoFrame(64, 48, "yuvj420p"))
        for number, data in enumerate(whole):
            packet = av.Packet(data)
            packet.stream, packet.time_base, packet.pts, packet.dts = stream, Fraction(1, 25), number, number
            out.mux(packet)
    clip = VideoFile(path)
    assert [number_in(image) for _, image in clip.frames()] == [0, 1, 3, 4, 5]
    assert clip.undecodable == 1


def test_frames_that_cannot_be_converted_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_clip(tmp_path / "clip.mp4", [picture(number) for number in range(4)])
    clip = VideoFile(path)
    convert, numbers = ImageConverter.convert, iter(range(4))

    def fail_once(converter: ImageConverter, frame: av.VideoFrame) -> Image:
        if next(numbers) == 1:
            raise ValueError("no such format")
        return convert(converter, frame)

    monkeypatch.setattr(ImageConverter, "convert", fail_once)
    assert [number_in(image) for _, image in clip.frames()] == [0, 2, 3]
    assert clip.undecodable == 1


def test_frames_keep_their_own_times(tmp_path: Path) -> None:
    times = [7, 8, 12, 13, 40]
    path = write_clip(tmp_path / "clip.mkv", [picture(number) for number in range(5)], times=times)
    frames = list(VideoFile(path).frames())
    assert [at_s for at_s, _ in frames] == pytest.approx([(at - 7) / 25 for at in times], abs=0.001)


@pytest.mark.parametrize(
    ("times", "placed"),
    [
        ([], []),
        ([-0.4, -0.2, 0.0], [0, 0.2, 0.4]),
        ([5.0, 5.5, 5.5, 5.7], [0, 0.5, 0.6, 0.7]),
        ([None, None, None], [0, 0.1, 0.2]),
        ([3.0, None, 3.2, float("nan")], [0, 0.1, 0.2, 0.3]),
        ([3.0, 4.0, 0.0, 0.5], [0, 1.0, 1.1, 1.6]),  # another film behind the first
        ([0.0, 50.0], [0, 50.0]),
    ],
)
def test_odd_times_are_placed_in_order(times: list[float | None], placed: list[float]) -> None:
    axis = FrameTimes(10)
    assert [axis.place(at) for at in times] == pytest.approx(placed)


def test_a_long_step_ahead_of_a_stream_is_closed() -> None:
    axis = FrameTimes(10, max_step_s=10)
    assert [axis.place(at) for at in (0.0, 0.1, 95_443.0, 95_443.1)] == pytest.approx([0, 0.1, 0.2, 0.3])


def test_the_film_is_chosen_among_sound_and_covers(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as out:
        small, large = out.add_stream("libx264", rate=25), out.add_stream("libx264", rate=25)
        small.width, small.height, small.pix_fmt = 32, 24, "yuv420p"
        large.width, large.height, large.pix_fmt = 64, 48, "yuv420p"
        sound = out.add_stream("flac", rate=8000)
        sound.layout = "mono"
        for number in range(5):
            for stream, size in ((small, (32, 24)), (large, (64, 48))):
                frame = av.VideoFrame.from_ndarray(picture(number, size), format="bgr24")
                frame.pts = number
                out.mux(stream.encode(frame))
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 320), np.int16), format="s16", layout="mono")
            samples.sample_rate, samples.pts = 8000, 320 * number
            out.mux(sound.encode(samples))
        for stream in (small, large, sound):
            out.mux(stream.encode(None))
    clip = VideoFile(path)
    assert clip.size == (64, 48)
    assert [number_in(image) for _, image in clip.frames()] == list(range(5))


@pytest.mark.skipif(sys.platform != "linux", reason="open files are listed by Linux")
def test_repeating_leaves_no_file_open(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", [picture(number) for number in range(3)])

    def count_open() -> int:
        links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
        return sum(os.path.exists(link) and os.readlink(link) == str(path) for link in links)

    frames: list[int] = []
    source = VideoFrames(path, loop=True, real_time=False)
    source.start(lambda frame: frames.append(frame.index))
    eventually(lambda: len(frames) > 60)
    source.stop()
    gc.collect()
    eventually(lambda: count_open() == 0)


def test_samples_are_spread_over_a_film_and_a_folder(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", [picture(number) for number in range(20)], options={"g": "4"})
    assert [number_in(image) for image in read_samples(path, limit=5)] == [0, 4, 8, 12, 16]
    assert len(read_samples(path)) == 20
    folder = make_folder(tmp_path / "pictures", 4)
    assert [number_in(image) for image in read_samples(folder, limit=2)] == [0, 2]
