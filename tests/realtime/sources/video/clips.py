"""Tiny recordings, made where a test needs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import av
import cv2
import numpy as np

from engines import Image


def picture(number: int, size: tuple[int, int] = (64, 48)) -> Image:
    """A grey picture whose brightness tells its number."""
    return np.full((size[1], size[0], 3), 20 + 10 * number, np.uint8)


def number_in(image: Image) -> int:
    """The number of a `picture`, through lossy coding."""
    return round((float(image.mean()) - 20) / 10)


def make_folder(path: Path, count: int, size: tuple[int, int] = (64, 48), suffix: str = ".png") -> Path:
    """A folder of `count` numbered pictures."""
    path.mkdir()
    for i in range(count):
        cv2.imwrite(str(path / f"{i:03d}{suffix}"), picture(i, size))
    return path


def make_video(path: Path, count: int, fps: float = 25.0, size: tuple[int, int] = (64, 48)) -> Path:
    """A video of `count` numbered pictures."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, size)
    for i in range(count):
        writer.write(picture(i, size))
    writer.release()
    return path


def write_clip(
    path: Path,
    pictures: Sequence[Image],
    *,
    fps: int = 25,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: Mapping[str, str] | None = None,
    container_options: Mapping[str, str] | None = None,
    times: Sequence[int] | None = None,
    rotation: tuple[float, bool, bool] | None = None,
) -> Path:
    """A video of BGR pictures. times: of each, in 1/fps s. rotation: degrees anticlockwise, mirrored in x, in y."""
    with av.open(str(path), "w", options=dict(container_options or {})) as out:
        stream = out.add_stream(codec, rate=fps, options=dict(options or {}))
        stream.width, stream.height, stream.pix_fmt = pictures[0].shape[1], pictures[0].shape[0], pix_fmt
        if rotation:
            stream.set_display_rotation(rotation[0], hflip=rotation[1], vflip=rotation[2])
        for number, image in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts = number if times is None else times[number]
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path
