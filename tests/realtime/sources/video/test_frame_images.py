"""Pictures of videos as they are meant: progressive, upright, in their colours."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from engines import Image
from realtime.sources.video.frame_images import orient
from realtime.sources.video.video_reader import VideoFile
from tests.realtime.sources.video.clips import write_clip

BLUE, GREEN, RED = (255, 0, 0), (0, 255, 0), (0, 0, 255)
SIZE = 96, 64


def quarters() -> Image:
    """Blue and green above, red and white below."""
    image = np.full((SIZE[1], SIZE[0], 3), 255, np.uint8)
    image[:32, :48], image[:32, 48:], image[32:, :48] = BLUE, GREEN, RED
    return image


def corners(image: Image) -> list[str]:
    """The colours of the corners: above from left to right, then below."""
    names = {BLUE: "blue", GREEN: "green", RED: "red", (255, 255, 255): "white"}
    values = [image[y, x].astype(int) for y in (8, -8) for x in (8, -8)]
    return [names[min(names, key=lambda colour: np.abs(np.array(colour) - value).sum())] for value in values]


def turned(image: Image, degrees: int, mirror_x: bool, mirror_y: bool) -> Image:
    """Turn anticlockwise, then mirror, as FFmpeg's program does with the same file."""
    return np.rot90(image, degrees // 90)[:: -1 if mirror_y else 1, :: -1 if mirror_x else 1]


@pytest.mark.parametrize("mirror_y", [False, True])
@pytest.mark.parametrize("mirror_x", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_film_is_turned_and_mirrored_as_its_file_asks(
    degrees: int, mirror_x: bool, mirror_y: bool, tmp_path: Path
) -> None:
    path = write_clip(tmp_path / "clip.mp4", [quarters()] * 2, rotation=(degrees, mirror_x, mirror_y))
    clip = VideoFile(path)
    (_, image), _ = clip.frames()
    assert clip.size == ((SIZE[1], SIZE[0]) if degrees % 180 else SIZE)
    assert corners(image) == corners(turned(quarters(), degrees, mirror_x, mirror_y))


def test_an_odd_angle_is_taken_for_the_nearest_quarter() -> None:
    image = np.arange(6, dtype=np.uint8).reshape(2, 3)
    cos, sin = round(0.9 * 65536), round(0.4 * 65536)
    assert np.array_equal(orient(image, (cos, sin, 0, -sin, cos)), image)
    assert np.array_equal(orient(image, (sin, cos, 0, -cos, sin)), np.rot90(image, -1))


@pytest.mark.parametrize("matrix", [1, 5, 6])  # BT.709, BT.601 of 625 and of 525 lines
@pytest.mark.parametrize("full", [False, True])
def test_colours_are_read_with_their_matrix_and_range(matrix: int, full: bool, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "clip.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"qp": "1"})
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuvj420p" if full else "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, 2 if full else 1
        frame = av.VideoFrame.from_ndarray(quarters(), format="bgr24")
        converted = frame.reformat(
            format=stream.pix_fmt, dst_colorspace=1 if matrix == 1 else 5, dst_color_range=2 if full else 1
        )
        for number in range(3):
            converted.pts = number
            out.mux(stream.encode(converted))
        out.mux(stream.encode(None))
    (_, image), *_ = VideoFile(tmp_path / "clip.mp4").frames()
    difference = np.abs(image.astype(int) - quarters())[8:24, 8:40]
    assert difference.max() <= 8


@pytest.mark.parametrize("matrix", [1, 6])
def test_the_same_values_of_two_matrices_are_other_colours(matrix: int, tmp_path: Path) -> None:
    """A sum of BT.709's weights: red, of which the two matrices have 0.2126 and 0.299."""
    yuv = av.VideoFrame(*SIZE, "yuv444p")
    for plane, value in zip(yuv.planes, (81, 90, 240), strict=True):  # red of BT.601
        plane.update(bytes([value]) * plane.buffer_size)
    with av.open(str(tmp_path / "clip.mkv"), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv444p"
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, 1
        yuv.pts, yuv.colorspace, yuv.color_range = 0, matrix, 1
        out.mux(stream.encode(yuv))
        out.mux(stream.encode(None))
    ((_, image),) = VideoFile(tmp_path / "clip.mkv").frames()
    blue, green, red = image[30, 30].astype(int)
    wanted = (0, 0, 254) if matrix == 6 else (0, 24, 255)
    assert np.abs(np.array((blue, green, red)) - wanted).max() <= 6, (blue, green, red)


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "ending", "loss"),
    [
        ("ffv1", "yuv420p10le", "mkv", 3),
        ("ffv1", "gray", "mkv", 1),
        ("ffv1", "gray16le", "mkv", 1),
        ("png", "rgba", "mov", 0),
        ("gif", "bgr8", "gif", 90),
        ("rawvideo", "bgr24", "avi", 0),
        ("mjpeg", "yuvj422p", "avi", 8),
    ],
)
def test_pixels_of_any_format_become_blue_green_red(
    codec: str, pix_fmt: str, ending: str, loss: int, tmp_path: Path
) -> None:
    grey = np.repeat(np.linspace(0, 255, SIZE[0]).astype(np.uint8)[None, :, None], SIZE[1], axis=0)
    grey = np.ascontiguousarray(np.repeat(grey, 3, axis=2))
    path = write_clip(tmp_path / f"clip.{ending}", [grey] * 2, codec=codec, pix_fmt=pix_fmt)
    for _, image in VideoFile(path).frames():
        assert (image.shape, image.dtype) == (grey.shape, np.uint8)
        assert np.abs(image.astype(int) - grey).max() <= loss


def moving_bars(count: int) -> list[Image]:
    """A bar that moves fast, by fields: the odd lines are half a frame later."""
    images = []
    for number in range(count):
        image = np.full((SIZE[1], SIZE[0], 3), 40, np.uint8)
        for line in range(SIZE[1]):
            left = 8 * number + 4 * (line % 2)
            image[line, left : left + 16] = 220
        images.append(image)
    return images


def test_interlaced_frames_become_progressive(tmp_path: Path) -> None:
    options = {"x264-params": "tff=1:interlaced=1", "qp": "4"}
    pictures = moving_bars(8)
    path = write_clip(tmp_path / "clip.mp4", pictures, options=options, pix_fmt="yuv422p")
    with av.open(str(path)) as container:
        woven = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0) if frame.interlaced_frame]
    assert len(woven) == 8
    frames = list(VideoFile(path).frames())
    assert [at_s for at_s, _ in frames] == pytest.approx([number / 25 for number in range(8)])
    for (_, image), combed in zip(frames, woven, strict=True):
        assert comb(image) < 0.25 * comb(combed)
        field = [np.abs(image[line::2].astype(int) - combed[line::2]).mean() for line in (0, 1)]
        assert min(field) < 2  # the lines of the first field stay
    reference = deinterlace_by_ffmpeg(path)
    assert all(np.array_equal(image, wanted) for (_, image), wanted in zip(frames, reference, strict=True))


def comb(image: Image) -> float:
    """How much each line differs from the mean of its neighbours."""
    grey = image[:, :, 1].astype(float)
    return float(np.abs(grey[1:-1] - (grey[:-2] + grey[2:]) / 2).mean())


def deinterlace_by_ffmpeg(path: Path) -> list[Image]:
    """The same filter by another way: its whole graph as a text."""
    images = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        graph = av.filter.Graph()
        source = graph.add_buffer(template=stream, time_base=stream.time_base)
        graph.link_nodes(source, graph.add("bwdif", "mode=0:parity=-1:deint=1"), graph.add("buffersink")).configure()
        for frame in [*container.decode(stream), None]:
            graph.push(frame)
            while True:
                try:
                    images.append(graph.vpull().to_ndarray(format="bgr24", interpolation="BICUBIC"))
                except (av.BlockingIOError, av.EOFError):
                    break
    return images


def test_a_change_of_size_within_a_film_is_followed(tmp_path: Path) -> None:
    sizes = [(64, 48), (64, 48), (32, 24), (96, 64)]
    path = tmp_path / "clip.mjpeg"
    path.write_bytes(b"".join(cv2.imencode(".jpg", np.full((h, w, 3), 90, np.uint8))[1].tobytes() for w, h in sizes))
    clip = VideoFile(path)
    assert clip.size == (64, 48)
    assert [(image.shape[1], image.shape[0]) for _, image in clip.frames()] == sizes
