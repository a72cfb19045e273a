"""Decodes video files with FFmpeg (PyAV)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from engines import Image
from engines.pictures import read_pictures
from realtime.errors import SourceError
from realtime.sources.video.decoding import (
    DEPTH_FORMATS,
    FrameDecoder,
    FrameTimes,
    VideoPacket,
    choose_stream,
    end_packet,
    measure_duration,
    measure_rate,
)
from realtime.sources.video.frame_images import CONVERSION_ERRORS, ImageConverter, orient, read_display_matrix
from realtime.sources.video.hardware import open_accelerated
from realtime.sources.video.incomplete_files import find_whole_part, is_cut_mp4, is_incomplete

_ADVICE = "; expected MP4, MKV, WebM or AVI. If it is one, convert it: ffmpeg -i IN -c:v libx264 OUT.mp4"
_DEPTH_ADVICE = " of depth; expected FFV1 gray16le in MKV, mm"
_MAX_KEYFRAME_INTERVAL_S = 10.0
"""Samples of a long film that are further apart than this are taken from its keyframes, which saves decoding it all."""


class FileDecoder:
    """Decodes one video file from start to end, any number of times.

    undecodable: packets and frames that were skipped so far. is_incomplete: whether the file ended early, when it was
    last read to its end.
    """

    def __init__(self, path: Path, *, hwaccel: str = "none", is_depth: bool = False) -> None:
        """hwaccel: see `hardware.py`. Raises `SourceError` unless it has video."""
        self._path, self._hwaccel, self._is_depth = path, hwaccel, is_depth
        self.undecodable, self.is_incomplete = 0, False
        with self._open() as (container, stream):
            self.fps, self.duration_s = measure_rate(stream), measure_duration(container, stream)

    def frames(self, *, only_keyframes: bool = False) -> Iterator[tuple[float, av.VideoFrame]]:
        """Yield (seconds since the first frame, frame). only_keyframes: those that are coded by themselves."""
        with self._open() as (container, stream):
            stream.thread_type = "AUTO"
            stream.codec_context.skip_frame = "NONKEY" if only_keyframes else "DEFAULT"
            decoder, times = FrameDecoder(stream), FrameTimes(self.fps)
            for packet in self._demux(container, stream):
                for frame in decoder.decode(packet):
                    yield times.place(frame.time), frame
                self.is_incomplete |= not packet.size and decoder.undecodable > 0
                self.undecodable, decoder.undecodable = self.undecodable + decoder.undecodable, 0

    def images(self) -> Iterator[tuple[float, Image]]:
        """Yield (seconds since the first frame, (H, W, 3) BGR)."""
        converter = ImageConverter()
        for at_s, frame in self.frames():
            try:
                image = converter.convert(frame)
            except CONVERSION_ERRORS:
                self.undecodable += 1
            else:
                yield at_s, image

    def _demux(self, container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[VideoPacket]:
        """Yield packets, the last one empty; a file that cannot be read further ends there."""
        is_cut = False
        try:
            for packet in container.demux(stream):
                if packet.size:
                    is_cut = packet.is_corrupt
                    yield packet
        except av.FFmpegError:
            is_cut = True
        self.is_incomplete = is_cut or is_incomplete(self._path)
        yield end_packet(stream)

    @contextmanager
    def _open(self) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
        """Open the file and choose its stream; raises `SourceError`."""
        # the absolute path keeps FFmpeg from taking what comes before a colon for a protocol
        name = str(self._path.absolute())
        try:
            container = open_accelerated(name, self._hwaccel)
        except (av.FFmpegError, OSError, ValueError):
            try:
                length = find_whole_part(self._path) if self._path.is_file() else None
            except OSError as error:
                raise SourceError(f"cannot read {self._path}: {error.strerror}") from None
            if length is None:
                raise self._explain() from None
            # FFmpeg refuses an MP4 that ends within the head of a fragment
            container = open_accelerated(f"subfile,,start,0,end,{length},,:{name}", self._hwaccel)
        with container:
            stream = choose_stream(container, is_depth=self._is_depth)
            if stream is None:
                raise self._explain()
            yield container, stream

    def _explain(self) -> SourceError:
        """Return the reason why the file cannot be read, or advice where none is known."""
        if self._path.is_file() and is_cut_mp4(self._path):
            return SourceError(
                f"{self._path} is incomplete: it ends before its index (moov), so that no player can read it; copy it "
                "again, or repair it with what recorded it"
            )
        if self._path.is_file() and not self._path.stat().st_size:
            return SourceError(f"{self._path} is empty; copy or record it again")
        return SourceError(f"{self._path} cannot be opened as a video{_DEPTH_ADVICE if self._is_depth else _ADVICE}")


def read_samples(place: Path, limit: int = 48) -> list[Image]:
    """Read at most `limit` pictures, evenly spaced, from a video or from the images below a folder.

    Raises `PromptError` or `SourceError`.
    """
    if not place.is_file():
        return read_pictures(place, limit)
    decoder, converter, found = FileDecoder(place), ImageConverter(), list[Image]()
    step_s = (decoder.duration_s or 0) / limit
    for at_s, frame in decoder.frames(only_keyframes=step_s > _MAX_KEYFRAME_INTERVAL_S):
        if len(found) < limit and at_s >= len(found) * step_s - 0.5 / decoder.fps:
            found.append(converter.convert(frame))
    if not found:
        raise SourceError(f"{place} has no picture that can be decoded; is it complete?")
    return found


def depth_frames(path: Path) -> Iterator[tuple[float, NDArray[np.uint16]]]:
    """Yield (seconds since the first frame, (H, W) steps) of a 16-bit video, such as FFV1 gray16le.

    Raises `SourceError` for a video that cannot be opened or has another format.
    """
    at_s = None
    for at_s, frame in FileDecoder(path, is_depth=True).frames():
        if frame.format.name not in DEPTH_FORMATS:
            raise SourceError(f"{path} has pictures of {frame.format.name}; depth is one channel of 16 bits")
        yield at_s, orient(frame.to_ndarray(), read_display_matrix(frame))
    if at_s is None:
        raise SourceError(f"{path} cannot be opened as a video{_DEPTH_ADVICE}")
