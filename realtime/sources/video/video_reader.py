"""Reads videos and folders of images as clips."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from engines import Image
from engines.pictures import PICTURES, PictureError, list_pictures, read_picture
from realtime.errors import SourceError

if TYPE_CHECKING:
    from realtime.sources.video.file_decoder import FileDecoder

FOLDER_FPS = 24.0
FPS_RANGE = (0.1, 1000.0)


class VideoFile:
    """A video file, or a folder of images in natural order of their names."""

    def __init__(self, path: Path, *, fps: float | None = None, hwaccel: str = "none") -> None:
        """fps: for folders. hwaccel: see `hardware.py`. Raises `SourceError` unless a first frame can be read."""
        self.path = path
        self._pictures: list[Path] = []
        self._undecodable = 0
        self._decoder: FileDecoder | None = None
        self.duration_s: float | None
        if path.is_dir():
            self._pictures = list_pictures(path)
            if not self._pictures:
                raise SourceError(f"{path} holds no pictures; expected files that end in {', '.join(PICTURES)}")
            self.fps = FOLDER_FPS if fps is None else fps
            if not FPS_RANGE[0] <= self.fps <= FPS_RANGE[1]:
                limits = f"{FPS_RANGE[0]} to {FPS_RANGE[1]:g}"
                raise SourceError(f"{path}: {self.fps:g} frames per second; expected {limits}")
            self.duration_s = len(self._pictures) / self.fps
        elif not path.exists():
            raise SourceError(f"there is no {path}; give a video file or a folder of pictures")
        else:
            from realtime.sources.video.file_decoder import FileDecoder  # PyAV is loaded for videos only

            self._decoder = FileDecoder(path, hwaccel=hwaccel)
            self.fps, self.duration_s = self._decoder.fps, self._decoder.duration_s
        first = next(self.frames(), None)
        if first is None:
            raise SourceError(f"{path} has no picture that can be decoded; is it complete?")
        self.size = first[1].shape[1], first[1].shape[0]
        self._undecodable -= self.undecodable

    @property
    def undecodable(self) -> int:
        """Number of frames that were skipped because they cannot be decoded."""
        return self._undecodable + (self._decoder.undecodable if self._decoder else 0)

    @property
    def is_incomplete(self) -> bool:
        """Whether the file was cut off, as is known when it was read to its end."""
        return self._decoder is not None and self._decoder.is_incomplete

    def frames(self) -> Iterator[tuple[float, Image]]:
        """Yield (seconds since the first frame, (H, W, 3) BGR); each call reads from the start."""
        return self._decoder.images() if self._decoder else self._read_pictures()

    def _read_pictures(self) -> Iterator[tuple[float, Image]]:
        for number, path in enumerate(self._pictures):
            try:
                image = read_picture(path)
            except PictureError:
                self._undecodable += 1
            else:
                yield number / self.fps, image
