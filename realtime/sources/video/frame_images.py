"""Converts decoded video frames to images: progressive, upright, 8-bit BGR."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import Type
from numpy.typing import NDArray

from engines import Image

CONVERSION_ERRORS = (av.FFmpegError, ValueError)
"""What PyAV raises for data, and for formats of pixels, that it cannot handle."""
_IDENTITY = (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
"""The display matrix that changes nothing, in its fixed-point numbers."""


class Deinterlacer:
    """Makes frames that are flagged interlaced progressive, one for one, and passes on all others.

    The filter is bwdif ("Bob Weaver Deinterlacing Filter" of FFmpeg, after yadif and the BBC's w3fdif), which compares
    with the frames before and after: once an interlaced frame came, each frame comes out with the next one.
    """

    def __init__(self) -> None:
        self._graph: av.filter.Graph | None = None
        self._shape: tuple[object, ...] = ()

    def push(self, frame: av.VideoFrame) -> Iterator[av.VideoFrame]:
        """Yield the frames that are finished."""
        shape = (frame.width, frame.height, frame.format.name, frame.time_base)
        if self._graph is not None and shape != self._shape:
            yield from self.flush()
        if self._graph is None:
            if not frame.interlaced_frame:
                yield frame
                return
            self._graph, self._shape = _build_graph(frame), shape
        self._graph.push(frame)
        yield from self._pull()

    def flush(self) -> Iterator[av.VideoFrame]:
        """Yield the frames that still wait for a later one."""
        if self._graph is not None:
            self._graph.push(None)
            yield from self._pull()
            self._graph = None

    def _pull(self) -> Iterator[av.VideoFrame]:
        assert self._graph is not None
        while True:
            try:
                yield self._graph.vpull()
            except (av.BlockingIOError, av.EOFError):
                return


def _build_graph(frame: av.VideoFrame) -> av.filter.Graph:
    graph = av.filter.Graph()
    graph.link_nodes(
        graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base),
        graph.add("bwdif", mode="send_frame", parity="auto", deint="interlaced"),
        graph.add("buffersink"),
    ).configure()
    return graph


class ImageConverter:
    """Converts frames to (H, W, 3) BGR, with the matrix and range of their colours; one thread uses it.

    Frames that name no matrix are taken for BT.601, as FFmpeg and OpenCV do. A filter graph does it, because its
    memory is used again once an image is no longer referenced.
    """

    def __init__(self) -> None:
        self._graph: av.filter.Graph | None = None
        self._shape: tuple[object, ...] = ()

    def convert(self, frame: av.VideoFrame) -> Image:
        """Convert a frame, and turn it as its display matrix asks; raises `CONVERSION_ERRORS`."""
        shape = (frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range)
        if self._graph is None or shape != self._shape:
            self._graph, self._shape = _build_converter(frame), shape
        self._graph.vpush(frame)
        return orient(self._graph.vpull().to_ndarray(), read_display_matrix(frame))


def _build_converter(frame: av.VideoFrame) -> av.filter.Graph:
    graph = av.filter.Graph()
    graph.threads = 1
    source = graph.add(
        "buffer",
        video_size=f"{frame.width}x{frame.height}",
        pix_fmt=frame.format.name,
        time_base=str(frame.time_base or Fraction(1, 1000)),
        colorspace=str(frame.colorspace),
        range=str(frame.color_range),
    )
    scale = graph.add("scale", flags="bicubic")
    graph.link_nodes(source, scale, graph.add("format", pix_fmts="bgr24"), graph.add("buffersink")).configure()
    return graph


def read_display_matrix(frame: av.VideoFrame) -> tuple[int, ...]:
    """Return the 3 x 3 matrix by which the frame is to be shown, row by row."""
    side_data: Mapping[Type, Any] = frame.side_data  # type: ignore[assignment]
    data = side_data.get(Type.DISPLAYMATRIX)
    return _IDENTITY if data is None else tuple(np.frombuffer(data, np.int32).tolist())


def orient(image: NDArray[Any], matrix: tuple[int, ...]) -> NDArray[Any]:
    """Turn and mirror an image as a display matrix asks, to the nearest quarter of a turn.

    The matrix maps a pixel (x, y) to (a x + c y, b x + d y); its rows begin with a, b and c, d.
    """
    a, b, _, c, d = matrix[:5]
    if abs(a) + abs(d) >= abs(b) + abs(c):
        step_y, step_x = d, a
    else:
        image, step_y, step_x = image.swapaxes(0, 1), b, c
    return np.ascontiguousarray(image[:: -1 if step_y < 0 else 1, :: -1 if step_x < 0 else 1])
