"""Defines the settings of recordings. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """Holds the settings of recordings.

    file: record from the start into this file, or into a new file in this folder if the path has no ending; unset to
        record on request.
    folder: folder of the recordings that are started from the page.
    frames: format, jpeg or png, of frames that did not arrive as JPEG. Frames that did are kept as they are; these and
        PNG are lossless, so that an exact replay gives the masks of the run itself.
    jpeg_quality: JPEG quality of frames that did not arrive as JPEG, 1 to 100.
    overlays: keep published overlays too, which could be drawn again; only while a subscriber wants them.
    """

    file: Path | None = None
    folder: Path = Path("recordings")
    frames: Literal["jpeg", "png"] = "jpeg"
    jpeg_quality: int = 90
    overlays: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.jpeg_quality <= 100:
            raise ValueError(f"jpeg_quality must be 1 to 100, got {self.jpeg_quality}")
